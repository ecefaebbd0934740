// SPDX-License-Identifier: BSD-3-Clause
// c[0] + c[1] x + c[2] x^2 + …, always in the same order of operations.
#pragma once

#include "math/twofold.hpp"

namespace mlpkern::MLPKERN_ISA {

// Even and odd powers in two chains, which run side by side.
template <class T, int N>
MLPKERN_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  static_assert(N >= 3);
  const Vec<T> square = x * x;
  Vec<T> last(c[N - 1]), before(c[N - 2]);  // of the parity of N - 1, and of N - 2
#pragma GCC unroll 32
  for (int i = N - 3; i >= 0; --i) {
    const Vec<T> next = fma(last, square, Vec<T>(c[i]));
    last = before;
    before = next;
  }
  return fma(last, x, before);
}

// Horner's rule in two doubles over `lead`, on top of `tail` in one. Where each coefficient is larger
// than the rest of the sum that it is added to, `Sum` may be fast_two_sum.
template <Twofold (*Sum)(Vec<double>, Vec<double>), int M, int N>
MLPKERN_INLINE Twofold polynomial(Twofold x, const Twin (&lead)[M], const double (&tail)[N]) {
  const Vec<double> rest = polynomial(x.hi, tail);
  Twofold sum = Sum(Vec<double>(lead[M - 1].hi), x.hi * rest);
  sum.lo = sum.lo + Vec<double>(lead[M - 1].lo);
#pragma GCC unroll 32
  for (int i = M - 2; i >= 0; --i) {
    const Twofold p = two_product(x.hi, sum.hi);
    const Vec<double> low = fma(x.hi, sum.lo, fma(x.lo, sum.hi, p.lo));
    sum = Sum(Vec<double>(lead[i].hi), p.hi);
    sum.lo = sum.lo + (low + Vec<double>(lead[i].lo));
  }
  return sum;
}

}  // namespace mlpkern::MLPKERN_ISA
