// SPDX-License-Identifier: BSD-3-Clause
// The standard normal distribution: its density phi and its distribution function Phi.
//
//   phi(s) = exp(-s^2/2)/sqrt(2 pi)
//   Phi(-t) = exp(-t^2/2) M(t) for t >= 0, with M(t) = P(y)/(t + a), y = (t - a)/(t + a): P is smooth on
//   all of [0, 40], which y maps to an interval; Phi(t) = 1 - Phi(-t)
//
// M decays as 1/t does, so that the tail keeps its relative accuracy down to the subnormals, which
// 1 + erf does not. Relative error of M: 2^-39 (Wide, t <= 16), 2^-62 (Twofold, t <= 40).
// Larger arguments are the caller's to clamp; NaN gives NaN.
#pragma once

#include "math/coefficients.hpp"
#include "math/exp.hpp"
#include "math/polynomial.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// Where the products of phi and Phi with powers of s have reached 0 on the left, and Phi 1 on the right.
template <class W>
constexpr double kNormalEnd = 16.0;
template <>
inline constexpr double kNormalEnd<Twofold> = 40.0;

// exp(-s^2/2), of an exact square.
template <class W>
MLPKERN_INLINE Exponential<W> gaussian_half(W s) {
  return decaying(scaled(square(s), Vec<double>(-0.5)));
}

MLPKERN_INLINE Wide mills_ratio(Wide t) {
  const Vec<double> inverse = Vec<double>(1.0) / (t.v + Vec<double>(5.0));
  return polynomial((t.v - Vec<double>(5.0)) * inverse, kMillsWide) * inverse;
}
MLPKERN_INLINE Twofold mills_ratio(Twofold t) {
  const Twofold inverse = 1.0 / (t + 6.0);
  const Twofold y = (t - 6.0) * inverse;
  return polynomial<two_sum>(y, kMillsLead, kMillsTail) * inverse;
}

}  // namespace mlpkern::MLPKERN_ISA
