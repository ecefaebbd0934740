// SPDX-License-Identifier: BSD-3-Clause
// Products with one thin operand, as a backward pass over a few rows has them. What counts is how the large
// matrix passes through the registers, once: panels and tiles only get in the way. The chains over k are
// those of every product.
//
//   dw = x' ds, k rows of a batch: c (m, n) is large, and written row after row
//   dx = ds w', m rows of a batch: b is w', whose squares are transposed in registers and never stored
//   s = x w + b, m rows of a batch: c stays in L1, and the rows of b pass by it, a few at a time, each from
//   end to end, as the hardware foresees them
#pragma once

#include "dispatch/table.hpp"
#include "gemm/blocking.hpp"
#include "gemm/pack.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kMostThin = 4, kMostThinRows = 2;  // by rows: 3 took 1.2 times as long as tiles

enum class Thin { no, rank, rows, squares };

template <class T>
Thin thinness(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start) {
  constexpr Index W = Vec<T>::width;
  if (start == Start::bias_of_rows) return Thin::no;
  if (b.col_stride == 1 && c.cols >= Blocking<T>::NR) {
    if (start != Start::bias && 0 < a.cols && a.cols <= kMostThin) return Thin::rank;
    if (c.rows <= kMostThinRows && a.cols >= 2 * kMostThin) return Thin::rows;
  }
  const bool squares = b.row_stride == 1 && c.rows <= kMostThin && a.cols >= W && c.cols >= W;
  return squares && start != Start::bias ? Thin::squares : Thin::no;
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

// c (Rows, n) = start + a (Rows, k) b (k, n), the rows of b contiguous: Depth of them at a time, whose
// factors stay in registers.
template <Index Rows, class T>
void gemm_by_rows(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  constexpr Index W = Vec<T>::width, Depth = 8 / Rows;
  const auto pass = [&]<Index depth>(Index p, Start from) {
    Vec<T> factor[Rows][depth];
    MLPKERN_UNROLL
    for (Index i = 0; i < Rows; ++i) {
      MLPKERN_UNROLL
      for (Index q = 0; q < depth; ++q) {
        factor[i][q] = Vec<T>(a.data[i * a.row_stride + (p + q) * a.col_stride]);
      }
    }
    const auto step = [&](Index j, auto... lanes) {
      Vec<T> sum[Rows];
      MLPKERN_UNROLL
      for (Index i = 0; i < Rows; ++i) {
        sum[i] = from == Start::zero   ? Vec<T>(T(0))
                 : from == Start::bias ? load(bias + j, lanes...)
                                       : load(c.data + i * c.row_stride + j, lanes...);
      }
      MLPKERN_UNROLL
      for (Index q = 0; q < depth; ++q) {
        const Vec<T> row = load(b.data + (p + q) * b.row_stride + j, lanes...);
        MLPKERN_UNROLL
        for (Index i = 0; i < Rows; ++i) sum[i] = fma(factor[i][q], row, sum[i]);
      }
      MLPKERN_UNROLL
      for (Index i = 0; i < Rows; ++i) store(c.data + i * c.row_stride + j, sum[i], lanes...);
    };
    Index j = 0;
    for (; j + W <= c.cols; j += W) step(j);
    if (j < c.cols) step(j, c.cols - j);
  };
  Index p = 0;
  for (; p + Depth <= b.rows; p += Depth)
    pass.template operator()<Depth>(p, p == 0 ? start : Start::accumulate);
  for (; p < b.rows; ++p) pass.template operator()<1>(p, Start::accumulate);
}

// Calls visit with count, 1 … Most, as a constant.
template <Index Most, Index Count = 1, class Visit>
MLPKERN_INLINE void with_constant(Index count, Visit visit) {
  if (count == Count) return visit.template operator()<Count>();
  if constexpr (Count < Most) with_constant<Most, Count + 1>(count, visit);
}

template <class T>
void gemm_thin(Thin how, Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias) {
  const bool accumulate = start == Start::accumulate;
  if (how == Thin::rank) {
    with_constant<kMostThin>(a.cols, [=]<Index K> { gemm_of_rank<K>(a, b, c, accumulate); });
  } else if (how == Thin::rows) {
    with_constant<kMostThinRows>(c.rows, [=]<Index Rows> { gemm_by_rows<Rows>(a, b, c, start, bias); });
  } else {
    with_constant<kMostThin>(c.rows, [=]<Index Rows> { gemm_by_squares<Rows>(a, b, c, accumulate); });
  }
}

}  // namespace mlpkern::MLPKERN_ISA
