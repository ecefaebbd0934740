// SPDX-License-Identifier: BSD-3-Clause
#include "network/products.hpp"

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

namespace {

// A block of c that takes some 10 ms at most, for each kDepth of k: 6e8 multiply-adds.
constexpr Index kMostRows = 516, kMostCols = 768, kDepth = 1536;  // multiples of the microkernels' sizes
constexpr double kLong = 1e7;  // multiply-adds: a part of a millisecond, worth a poll
constexpr double kMostWork = 1.0 * kMostRows * kMostCols * kDepth;

double work_of(Index rows, Index cols, Index k) {
  return static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(k);
}

// The blocks of c: `down` times `across` of them.
struct Blocks {
  Index rows, cols;  // of one
  Index down, across;
};

// Two a worker, so that they end together. Each copies the rows of b that it needs, and those of a where
// their elements are apart; so the columns are shared out where b alone is copied, else the rows.
Blocks blocks_of(Index rows, Index cols, bool copies_a, int crew) {
  constexpr Index kFewestRows = 96, kFewestCols = 128;
  Index down = ceil_div(rows, kMostRows), across = ceil_div(cols, kMostCols);
  const Index items = crew == 1 ? 1 : 2 * crew;
  const auto share_rows = [&] {
    down = std::max(down, std::min(ceil_div(items, across), rows / kFewestRows));
  };
  const auto share_cols = [&] {
    across = std::max(across, std::min(ceil_div(items, down), cols / kFewestCols));
  };
  if (copies_a) share_rows();
  share_cols();
  share_rows();
  const Index m = rounded_up(ceil_div(rows, down), 6), n = rounded_up(ceil_div(cols, across), 64);
  return {m, n, ceil_div(rows, m), ceil_div(cols, n)};
}

// c = start + a b by blocks. The chains of the elements are the same whoever computes them.
template <class T>
void product(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  if (c.rows == 0 || c.cols == 0) return;
  const auto& kernels = active_kernels<T>();
  const int crew = workers_for(work_of(c.rows, c.cols, a.cols));
  const Blocks blocks = blocks_of(c.rows, c.cols, a.col_stride != 1, crew);
  parallel_for(blocks.down * blocks.across, crew, [&](Index item, int) {
    const Index i = item / blocks.across * blocks.rows, j = item % blocks.across * blocks.cols;
    const Index m = std::min(blocks.rows, c.rows - i), n = std::min(blocks.cols, c.cols - j);
    long_gemm(kernels, rows_of(a, i, m), cols_of(b, j, n), cols_of(rows_of(c, i, m), j, n), start,
              bias == nullptr ? nullptr : bias + j, thread_scratch<T>());
  });
}

}  // namespace

template <class T>
void long_gemm(const Kernels<T>& kernels, Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start,
               const T* bias, T* scratch) {
  const double work = work_of(c.rows, c.cols, a.cols);
  if (work > kLong) poll();
  if (work <= kMostWork) return kernels.gemm(a, b, c, start, bias, scratch);
  const Blocks blocks = blocks_of(c.rows, c.cols, false, 1);
  for (Index i = 0; i < c.rows; i += blocks.rows) {
    const Index m = std::min(blocks.rows, c.rows - i);
    for (Index j = 0; j < c.cols; j += blocks.cols) {
      const Index n = std::min(blocks.cols, c.cols - j);
      const T* const from = start == Start::bias ? bias + j : nullptr;
      for (Index p = 0; p < a.cols; p += kDepth) {
        const Index k = std::min(kDepth, a.cols - p);
        poll();
        kernels.gemm(cols_of(rows_of(a, i, m), p, k), cols_of(rows_of(b, p, k), j, n),
                     cols_of(rows_of(c, i, m), j, n), p == 0 ? start : Start::accumulate,
                     p == 0 ? from : nullptr, scratch);
      }
    }
  }
}

template <class T>
void long_gemm_packed(const Kernels<T>& kernels, Matrix<const T> a, const T* packed, Matrix<T> c, Start start,
                      const T* bias) {
  constexpr Index kFewestRows = 48;
  const auto most = static_cast<Index>(kMostWork / std::max(work_of(1, c.cols, a.cols), 1.0));
  const Index block = std::max(kFewestRows, most / kFewestRows * kFewestRows);
  for (Index i = 0; i < c.rows; i += block) {
    const Index m = std::min(block, c.rows - i);
    if (work_of(m, c.cols, a.cols) > kLong) poll();
    kernels.gemm_packed(rows_of(a, i, m), packed, rows_of(c, i, m), start, bias);
  }
}

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

template void long_gemm(const Kernels<float>&, Matrix<const float>, Matrix<const float>, Matrix<float>, Start,
                        const float*, float*);
template void long_gemm_packed(const Kernels<float>&, Matrix<const float>, const float*, Matrix<float>, Start,
                               const float*);

template void long_gemm(const Kernels<double>&, Matrix<const double>, Matrix<const double>, Matrix<double>,
                        Start, const double*, double*);
template void long_gemm_packed(const Kernels<double>&, Matrix<const double>, const double*, Matrix<double>,
                               Start, const double*);

}  // namespace mlpkern
