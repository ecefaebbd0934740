// SPDX-License-Identifier: BSD-3-Clause
// A square of a register's width transposed in registers: log2(width) rounds, each of which interleaves the
// first half of the rows with the second, a perfect shuffle of rows and lanes. 64 shuffles for 256 floats
// on AVX-512, where element by element a transposed copy takes 2 to 4 cycles an element.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// The numbers 0 … N - 1 as a pack (std::integer_sequence, whose header would not be this ISA's own).
template <Index... Lane>
struct Lanes {};
template <Index N, Index... Lane>
struct LanesUpTo {
  using type = typename LanesUpTo<N - 1, N - 1, Lane...>::type;
};
template <Index... Lane>
struct LanesUpTo<0, Lane...> {
  using type = Lanes<Lane...>;
};

// a[0] b[0] a[1] b[1] … from the first halves of a and b (Half 0) or from the second (Half 1).
template <Index Half, class T, Index... Lane>
MLPKERN_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, Lanes<Lane...>) {
  constexpr Index width = Vec<T>::width;
  return __builtin_shufflevector(a.v, b.v, (Half * width / 2 + Lane / 2 + Lane % 2 * width)...);
}

// rows[i][j] becomes rows[j][i].
template <class T>
MLPKERN_INLINE void transpose(Vec<T> (&rows)[Vec<T>::width]) {
  constexpr Index width = Vec<T>::width;
  constexpr typename LanesUpTo<width>::type lanes;
  for (Index round = 1; round < width; round *= 2) {
    Vec<T> next[width];
    for (Index i = 0; i < width / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + width / 2], lanes);
      next[2 * i + 1] = interleave<1>(rows[i], rows[i + width / 2], lanes);
    }
    for (Index i = 0; i < width; ++i) rows[i] = next[i];
  }
}

// a[0] a[2] … b[0] b[2] … (Odd 0), or a[1] a[3] … b[1] b[3] … (Odd 1): interleave undone.
template <Index Odd, class T, Index... Lane>
MLPKERN_INLINE Vec<T> every_second(Vec<T> a, Vec<T> b, Lanes<Lane...>) {
  return __builtin_shufflevector(a.v, b.v, (2 * Lane + Odd)...);
}

// to[j * stride + i] = from[i * N + j] for N = 2 or 4 columns, in registers; returns how many of the rows it
// did, a multiple of the register's width.
template <Index N, class T>
MLPKERN_INLINE Index part_columns(const T* from, Index rows, T* to, Index stride) {
  constexpr Index W = Vec<T>::width;
  constexpr typename LanesUpTo<W>::type lanes;
  Index i = 0;
  for (; i + W <= rows; i += W, from += N * W) {
    Vec<T> part[N];
    MLPKERN_UNROLL
    for (Index j = 0; j < N; ++j) part[j] = load(from + j * W);
    MLPKERN_UNROLL
    for (Index round = 1; round < N; round *= 2) {  // the rows of two registers: even columns, odd columns
      Vec<T> next[N];
      MLPKERN_UNROLL
      for (Index j = 0; j < N / 2; ++j) {
        next[j] = every_second<0>(part[2 * j], part[2 * j + 1], lanes);
        next[j + N / 2] = every_second<1>(part[2 * j], part[2 * j + 1], lanes);
      }
      MLPKERN_UNROLL
      for (Index j = 0; j < N; ++j) part[j] = next[j];
    }
    MLPKERN_UNROLL
    for (Index j = 0; j < N; ++j) store(to + j * stride + i, part[j]);
  }
  return i;
}

// to[j * N + i] = from[i * stride + j] for N = 2 or 4 rows; returns how many of the columns it did.
template <Index N, class T>
MLPKERN_INLINE Index join_rows(const T* from, Index stride, Index cols, T* to) {
  constexpr Index W = Vec<T>::width;
  constexpr typename LanesUpTo<W>::type lanes;
  Index j = 0;
  for (; j + W <= cols; j += W, to += N * W) {
    Vec<T> part[N];
    MLPKERN_UNROLL
    for (Index i = 0; i < N; ++i) part[i] = load(from + i * stride + j);
    MLPKERN_UNROLL
    for (Index round = 1; round < N; round *= 2) {
      Vec<T> next[N];
      MLPKERN_UNROLL
      for (Index i = 0; i < N / 2; ++i) {
        next[2 * i] = interleave<0>(part[i], part[i + N / 2], lanes);
        next[2 * i + 1] = interleave<1>(part[i], part[i + N / 2], lanes);
      }
      MLPKERN_UNROLL
      for (Index i = 0; i < N; ++i) part[i] = next[i];
    }
    MLPKERN_UNROLL
    for (Index i = 0; i < N; ++i) store(to + i * W, part[i]);
  }
  return j;
}

}  // namespace mlpkern::MLPKERN_ISA
