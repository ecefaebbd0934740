// SPDX-License-Identifier: BSD-3-Clause
#include "network/products.hpp"

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

namespace {

// Rows of c that one item computes: the fewer items, the less often b is packed; at least four items a
// worker, so that they end together; at most a billion multiply-adds an item, so that Ctrl-C comes through.
Index rows_an_item(Index rows, double work, int crew) {
  constexpr Index kFewest = 96;
  constexpr double kMostWork = 1e9;
  const Index items = std::max<Index>(crew == 1 ? 1 : 4 * crew, static_cast<Index>(work / kMostWork) + 1);
  return std::max(kFewest, (rows + items - 1) / items);
}

// c = start + a b by blocks of rows, or of columns where rows are few. The chains of the elements are the
// same whoever computes them.
template <class T>
void product(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  constexpr Index kCols = 512;
  const auto& kernels = active_kernels<T>();
  const double work =
      static_cast<double>(c.rows) * static_cast<double>(c.cols) * static_cast<double>(a.cols);
  const int crew = workers_for(work);
  const Index rows = rows_an_item(c.rows, work, crew);
  const Index row_blocks = (c.rows + rows - 1) / rows;
  const Index col_blocks = row_blocks >= crew ? 1 : (c.cols + kCols - 1) / kCols;
  parallel_for(row_blocks * col_blocks, crew, [&](Index block, int) {
    const Index i = block / col_blocks * rows, j = block % col_blocks * kCols;
    const Index m = std::min(rows, c.rows - i);
    const Index n = col_blocks == 1 ? c.cols : std::min(kCols, c.cols - j);
    kernels.gemm(rows_of(a, i, m), cols_of(b, j, n), cols_of(rows_of(c, i, m), j, n), start,
                 bias == nullptr ? nullptr : bias + j, thread_scratch<T>());
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
    active_kernels<T>().add_column_sums(ds, db);
  }
}

template void linear(Matrix<const float>, Matrix<const float>, const float*, Matrix<float>);
template void linear(Matrix<const double>, Matrix<const double>, const double*, Matrix<double>);
template void linear_backward(Matrix<const float>, Matrix<const float>, Matrix<const float>, float*, float*,
                              float*, Start);
template void linear_backward(Matrix<const double>, Matrix<const double>, Matrix<const double>, double*,
                              double*, double*, Start);

}  // namespace mlpkern
