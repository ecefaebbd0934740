// SPDX-License-Identifier: BSD-3-Clause
// A function of float on 16 intervals, a polynomial on each:
//
//   f(t) = y + d R(d), d = t - c
//
// The centre c is a float where f is next to a float, y, to 2^-29 or better (S. Gal, 1986): y stands for
// f(c) without a second part, d is exact, and d R is a fraction of y, so that the sum is nearly as good
// as rounded once. 16 floats are a register of AVX-512, where a lookup costs one permutation; two of AVX2.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

struct Piece {
  Vec<float> d, y, slope;  // slope = R(d)
};

// Rows of the table: c, y, then the coefficients of R, constant first.
template <int N>
MLPKERN_INLINE Piece piece_at(Vec<float> t, const float (&table)[N][16], Vec<float>::Bits index) {
  const Vec<float> d = t - lookup(table[0], index);
  Vec<float> r = lookup(table[N - 1], index);
#pragma GCC unroll 16
  for (int i = N - 2; i >= 2; --i) r = fma(r, d, lookup(table[i], index));
  return {d, lookup(table[1], index), r};
}

}  // namespace mlpkern::MLPKERN_ISA
