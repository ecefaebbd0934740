// SPDX-License-Identifier: BSD-3-Clause
#include "network/products.hpp"

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

namespace {

// The block of c that one item computes. The fewer items, the less often b is packed; but there are four a
// worker, so that they end together, and none has more than some 10 ms of work, so that Ctrl-C comes through
// (100 ms on the baseline).
struct Block {
  Index rows, cols;
};
Block block_of(Index rows, Index cols, Index k, int crew) {
  constexpr Index kFewestRows = 96, kFewestCols = 512;
  constexpr double kMostWork = 3e8;  // multiply-adds
  const double row_work = static_cast<double>(cols) * static_cast<double>(k);
  const Index items = crew == 1 ? 1 : 4 * crew;
  const auto most_rows = static_cast<Index>(kMostWork / std::max(row_work, 1.0));
  const Index m = std::max(kFewestRows, std::min(ceil_div(rows, items), most_rows));
  if (rows <= m && crew > 1) return {m, kFewestCols};  // few rows: share out the columns
  const auto most_cols =
      static_cast<Index>(kMostWork / (static_cast<double>(m) * static_cast<double>(k) + 1));
  return {m, most_cols >= cols ? cols : std::max(kFewestCols, most_cols / kFewestCols * kFewestCols)};
}

// c = start + a b by blocks. The chains of the elements are the same whoever computes them.
template <class T>
void product(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  if (c.rows == 0 || c.cols == 0) return;
  const auto& kernels = active_kernels<T>();
  const int crew =
      workers_for(static_cast<double>(c.rows) * static_cast<double>(c.cols) * static_cast<double>(a.cols));
  const Block block = block_of(c.rows, c.cols, a.cols, crew);
  const Index across = ceil_div(c.cols, block.cols);
  parallel_for(ceil_div(c.rows, block.rows) * across, crew, [&](Index item, int) {
    const Index i = item / across * block.rows, j = item % across * block.cols;
    const Index m = std::min(block.rows, c.rows - i), n = std::min(block.cols, c.cols - j);
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
  if (dx != nullptr)
    product(ds, transposed(w), dense(dx, ds.rows, w.rows), start, static_cast<const T*>(nullptr));
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
