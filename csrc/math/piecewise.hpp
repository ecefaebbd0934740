// SPDX-License-Identifier: BSD-3-Clause
// A function on 16 intervals, a polynomial on each:
//
//   f(t) = y + d R(d), d = t - c
//
// The centre c is a number where f is next to one of the dtype, y, to 2^-29 (2^-60) or better (S. Gal, 1986):
// y stands for f(c) without a second part, d is exact, and d R is a fraction of y, so that the sum is nearly
// as good as rounded once. 16 floats are a register of AVX-512, where a lookup costs one permutation, and two
// of AVX2; 16 doubles are two of AVX-512, and elsewhere are looked up lane by lane.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
struct Piece {
  Vec<T> d, y, slope;  // slope = R(d)
};

// Rows of the table: c, y, then the coefficients of R, constant first.
template <class T, int N>
MLPKERN_INLINE Piece<T> piece_at(Vec<T> t, const T (&table)[N][16], typename Vec<T>::Bits index) {
  const Vec<T> d = t - lookup(table[0], index);
  Vec<T> r = lookup(table[N - 1], index);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 2; --i) r = fma(r, d, lookup(table[i], index));
  return {d, lookup(table[1], index), r};
}

}  // namespace mlpkern::MLPKERN_ISA
