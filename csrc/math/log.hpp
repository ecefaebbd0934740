// SPDX-License-Identifier: BSD-3-Clause
// log.
//
//   x = 2^k m, sqrt(1/2) <= m < sqrt(2);  log(x) = k log 2 + 2 atanh(t), t = (m - 1)/(m + 1)
//
// Relative error 2^-35 (Wide) and 2^-75 (Twofold), next to the zero at x = 1 too. log(0) =
// -infinity, log of a negative number is NaN, log(infinity) = infinity, NaN gives NaN.
#pragma once

#include "math/coefficients.hpp"
#include "math/exp.hpp"
#include "math/polynomial.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// k with x = 2^k m, for a positive normal x.
MLPKERN_INLINE Vec<double> exponent_from_sqrt_half(Vec<double> x) {
  constexpr std::uint64_t sqrt_half = 0x3fe6a09e667f3bcd;  // the bits of sqrt(1/2)
  constexpr std::uint64_t one = 0x3ff0000000000000;
  constexpr std::uint64_t shift = 0x4338000000000000;  // of kRoundingShift
  const auto biased = (bits_of(x) + (one - sqrt_half)) >> 52;
  return from_bits<double>(biased + shift) - Vec<double>(kRoundingShift + 1023.0);
}

// x 2^-k, in two steps: 2^-k alone may overflow.
template <class W>
MLPKERN_INLINE W mantissa(W x, Vec<double> k) {
  const Vec<double> shift(kRoundingShift), half = fma(k, Vec<double>(0.5), shift) - shift;
  return scaled(scaled(x, power_of_two(-half)), power_of_two(half - k));
}

// The limits: x <= 0, infinity, NaN.
template <class W>
MLPKERN_INLINE W log_limits(Vec<double> x, W result) {
  const Vec<double> zero(0.0), infinity(__builtin_inf());
  result = select(x == infinity, W(infinity), result);
  result = select(x == zero, W(-infinity), result);
  return select(x >= zero, result, W((x - x) / zero));  // 0/0
}

// f = m - 1, in [-0.3, 0.42].
MLPKERN_INLINE Wide log_of_near_one(Wide f, Vec<double> k) {
  const Vec<double> t = f.v / (f.v + Vec<double>(2.0));
  const Vec<double> z = t * t, twice = t + t;
  const Vec<double> near_one = fma(twice * z, polynomial(z, kLogWide), twice);
  return fma(k, Vec<double>(kLn2.hi), near_one);
}
MLPKERN_INLINE Twofold log_of_near_one(Twofold f, Vec<double> k) {
  const Twofold t = f / (f + 2.0);
  const Twofold z = square(t), twice = t + t;
  const Twofold near_one = twice + twice * z * polynomial<fast_two_sum>(z, kLogLead, kLogTail);
  return Twofold(kLn2) * Twofold(k) + near_one;
}

template <class W>
MLPKERN_INLINE W log(W x) {
  // Subnormal arguments are brought into the normal range first.
  const Mask<double> tiny = to_double(x) < Vec<double>(0x1p-1022);
  const W normal = select(tiny, scaled(x, Vec<double>(0x1p54)), x);
  const Vec<double> k = exponent_from_sqrt_half(to_double(normal));
  const Vec<double> whole_k = select(tiny, k - Vec<double>(54.0), k);
  return log_limits(to_double(x), log_of_near_one(mantissa(normal, k) - W(1.0), whole_k));
}

}  // namespace mlpkern::MLPKERN_ISA
