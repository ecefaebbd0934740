// SPDX-License-Identifier: BSD-3-Clause
#include "network/products.hpp"

#include <algorithm>
#include <vector>

#include "base/aligned.hpp"
#include "dispatch/registry.hpp"
#include "network/pool.hpp"

namespace mlpkern {

namespace {

// c = start + a b by blocks of rows, or of columns where rows are few. The chains of the elements are the
// same whoever computes them.
template <class T>
void product(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  constexpr Index kRows = 192, kCols = 512;
  const auto& kernels = active_isa().kernels<T>();
  const double work =
      static_cast<double>(c.rows) * static_cast<double>(c.cols) * static_cast<double>(std::max<Index>(a.cols, 1));
  const int crew = workers_for(work);
  const Index row_blocks = std::max<Index>(1, (c.rows + kRows - 1) / kRows);
  const Index col_blocks =
      row_blocks >= crew ? 1 : std::max<Index>(1, (c.cols + kCols - 1) / kCols);
  std::vector<AlignedBuffer<T>> scratch(static_cast<std::size_t>(crew));
  for (auto& buffer : scratch) buffer.reserve(kernels.gemm_scratch);
  parallel_for(row_blocks * col_blocks, crew, [&](Index block, int worker) {
    const Index i = block / col_blocks * kRows, j = block % col_blocks * kCols;
    const Index m = std::min(kRows, c.rows - i);
    const Index n = col_blocks == 1 ? c.cols : std::min(kCols, c.cols - j);
    kernels.gemm(rows_of(a, i, m), cols_of(b, j, n), cols_of(rows_of(c, i, m), j, n), start,
                 bias == nullptr ? nullptr : bias + j, scratch[static_cast<std::size_t>(worker)].data());
  });
}

}  // namespace

template <class T>
void linear(Matrix<const T> x, Matrix<const T> w, const T* b, Matrix<T> s) {
  product(x, w, s, b == nullptr ? Start::zero : Start::bias, b);
}

template <class T>
void linear_backward(Matrix<const T> ds, Matrix<const T> x, Matrix<const T> w, T* dx, T* dw, T* db,
                     Start start) {
  if (dx != nullptr) product(ds, transposed(w), dense(dx, ds.rows, w.rows), start, static_cast<const T*>(nullptr));
  if (dw != nullptr) {
    product(transposed(x), ds, dense(dw, w.rows, w.cols), start, static_cast<const T*>(nullptr));
  }
  if (db != nullptr) {
    if (start == Start::zero) std::fill_n(db, w.cols, T(0));
    active_isa().kernels<T>().add_column_sums(ds, db);
  }
}

template void linear(Matrix<const float>, Matrix<const float>, const float*, Matrix<float>);
template void linear(Matrix<const double>, Matrix<const double>, const double*, Matrix<double>);
template void linear_backward(Matrix<const float>, Matrix<const float>, Matrix<const float>, float*, float*,
                              float*, Start);
template void linear_backward(Matrix<const double>, Matrix<const double>, Matrix<const double>, double*,
                              double*, double*, Start);

}  // namespace mlpkern
