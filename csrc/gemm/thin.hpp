// SPDX-License-Identifier: BSD-3-Clause
// Products with one thin operand, as a backward pass over a few rows has them. What counts is how the large
// matrix passes through the registers, once: panels and tiles only get in the way. The chains over k are
// those of every product.
//
//   dw = x' ds, k rows of a batch: c (m, n) is large, and written row after row
//   dx = ds w', m rows of a batch: b is w, whose squares are transposed in registers and never stored
#pragma once

#include "dispatch/table.hpp"
#include "gemm/blocking.hpp"
#include "gemm/pack.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kMostThin = 4;

template <class T>
bool is_thin(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start) {
  if (start != Start::zero && start != Start::accumulate) return false;
  if (b.col_stride == 1) return 0 < a.cols && a.cols <= kMostThin && c.cols >= Blocking<T>::NR;
  return b.row_stride == 1 && c.rows <= kMostThin && a.cols >= Vec<T>::width && c.cols >= Vec<T>::width;
}

// c (m, n) = start + a (m, K) b (K, n)
template <Index K, class T>
void gemm_of_rank(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, bool accumulate) {
  constexpr Index W = Vec<T>::width;
  for (Index i = 0; i < c.rows; ++i) {
    Vec<T> factor[K];
    MLPKERN_UNROLL
    for (Index p = 0; p < K; ++p) factor[p] = Vec<T>(a.data[i * a.row_stride + p * a.col_stride]);
    T* const row = c.data + i * c.row_stride;
    const auto step = [&](Index j, auto... lanes) {
      Vec<T> sum = accumulate ? load(row + j, lanes...) : Vec<T>(T(0));
      MLPKERN_UNROLL
      for (Index p = 0; p < K; ++p) sum = fma(factor[p], load(b.data + p * b.row_stride + j, lanes...), sum);
      store(row + j, sum, lanes...);
    };
    Index j = 0;
    for (; j + W <= c.cols; j += W) step(j);
    if (j < c.cols) step(j, c.cols - j);
  }
}

// c (Rows, n) = start + a (Rows, k) b (k, n), the columns of b contiguous.
template <Index Rows, class T>
void gemm_by_squares(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, bool accumulate) {
  constexpr Index W = Vec<T>::width;
  for (Index j = 0; j < c.cols; j += W) {
    const Index cols = smaller(W, c.cols - j);
    Vec<T> sums[Rows];
    MLPKERN_UNROLL
    for (Index i = 0; i < Rows; ++i) {
      sums[i] = accumulate ? load(c.data + i * c.row_stride + j, cols) : Vec<T>(T(0));
    }
    for (Index p = 0; p < b.rows; p += W) {
      Vec<T> square[W];
      load_square(b, p, j, square);
      const T* factor = a.data + p * a.col_stride;
      const Index depth = smaller(W, b.rows - p);
      for (Index q = 0; q < depth; ++q, factor += a.col_stride) {
        MLPKERN_UNROLL
        for (Index i = 0; i < Rows; ++i) sums[i] = fma(Vec<T>(factor[i * a.row_stride]), square[q], sums[i]);
      }
    }
    MLPKERN_UNROLL
    for (Index i = 0; i < Rows; ++i) store(c.data + i * c.row_stride + j, sums[i], cols);
  }
}

// The instance for so many, 1 … kMostThin, as a constant.
template <Index Count = 1, class Visit>
MLPKERN_INLINE void with_constant(Index count, Visit visit) {
  if (count == Count) return visit.template operator()<Count>();
  if constexpr (Count < kMostThin) with_constant<Count + 1>(count, visit);
}

template <class T>
void gemm_thin(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, bool accumulate) {
  if (b.col_stride == 1) {
    with_constant(a.cols, [=]<Index K> { gemm_of_rank<K>(a, b, c, accumulate); });
  } else {
    with_constant(c.rows, [=]<Index Rows> { gemm_by_squares<Rows>(a, b, c, accumulate); });
  }
}

}  // namespace mlpkern::MLPKERN_ISA
