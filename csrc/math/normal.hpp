// SPDX-License-Identifier: BSD-3-Clause
// The standard normal distribution: its density phi and its distribution function Phi.
//
//   phi(s) = exp(-s^2/2)/sqrt(2 pi)
//   Phi(-t) = exp(-t^2/2) M(t) for t >= 0, with M(t) = P(y)/(t + a), y = (t - a)/(t + a): P is smooth on
//   all of [0, 40], which y maps to an interval; Phi(t) = 1 - Phi(-t)
//
// M decays as 1/t does, so that the tail keeps its relative accuracy down to the subnormals, which
// 1 + erf does not. Relative error of M: 2^-39 (Wide, t <= 16), 2^-62 (Twofold, t <= 40). Larger arguments
// are the caller's to clamp; NaN gives NaN.
//
// In float itself M is a table of pieces: y cost two roundings more, each multiplied by P'/P. GELU comes out
// within 1.5 ULP, its tail included, and its derivative within 1.
#pragma once

#include "math/coefficients.hpp"
#include "math/exp.hpp"
#include "math/native.hpp"
#include "math/piecewise.hpp"
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

// GELU and its derivative: s Phi(s), and Phi(s) + s phi(s).
template <class W>
MLPKERN_INLINE Scaled<W> gelu(W s) {
  const W kept = clamp(s, -kNormalEnd<W>, kNormalEnd<W>);
  const auto e = gaussian_half(kept);
  const Mask<double> negative = kept < W(0.0);
  const W tail = e.x * mills_ratio(abs(kept));  // Phi(-|s|)
  const W gate = select(negative, tail, 1.0 - tail);
  return {with_sign(abs(select(negative, kept, s)) * gate, s), scale_where(negative, e.scale)};
}
template <class W>
MLPKERN_INLINE Scaled<W> gelu_derivative(W s) {
  const W kept = clamp(s, -kNormalEnd<W>, kNormalEnd<W>);
  const auto e = gaussian_half(kept);
  const Mask<double> negative = kept < W(0.0);
  const W distance = abs(kept);
  const W tail = e.x * (mills_ratio(distance) - distance * W(kInvSqrt2Pi));
  return {select(negative, tail, 1.0 - tail), scale_where(negative, e.scale)};
}

// The same in float.
template <>
inline constexpr double kNormalEnd<Vec<float>> = 14.875;  // where M's table ends, nearly

// exp(-t^2/2) raised. What the square's rounding lost is up to 2^-18, and multiplies all of exp(r) = 1 + p.
MLPKERN_INLINE Pair<float> raised_gaussian_half(Vec<float> t) {
  using F = Format<float>;
  const Vec<float> square = t * t, minus_half(-0.5f);
  const Vec<float> square_low = fma(t, t, -square);
  const auto e = reduce_exponential(square * minus_half, F::bias + float(F::raise_bits));
  const Vec<float> low = square_low * minus_half;
  const Pair<float> p = {e.p.hi, fma(low, e.p.hi, low) + e.p.lo};
  const Vec<float> power = power_of_biased(e.shifted), hi = fma(power, p.hi, power);
  return {hi, rest_of_product(power, p, power - hi)};
}
// M(t) on the intervals of 1 + t that its exponent and two more bits tell.
MLPKERN_INLINE Pair<float> mills_pair(Vec<float> t) {
  const Piece piece = piece_at(t, kMillsPieces, bits_of(t + Vec<float>(1.0f)) >> 21);
  const Vec<float> hi = fma(piece.d, piece.slope, piece.y);
  return {hi, fma(piece.d, piece.slope, piece.y - hi)};
}
// a b, rounded once.
MLPKERN_INLINE Vec<float> product(Pair<float> a, Pair<float> b) {
  return fma(a.hi, b.hi, fma(a.hi, b.lo, a.lo * b.hi));
}

MLPKERN_INLINE Scaled<Vec<float>> gelu(Vec<float> s) {
  const Vec<float> end(static_cast<float>(kNormalEnd<Vec<float>>)), one(1.0f), zero(0.0f);
  const Vec<float> t = min(end, abs(s)), lower(-Format<float>::lower);
  const Vec<float> tail = product(raised_gaussian_half(t), mills_pair(t));  // Phi(-|s|), raised
  const Mask<float> negative = s < zero;
  const Vec<float> upper = fma(tail, lower, one), lost = fma(tail, lower, one - upper);  // 1 - tail
  const Vec<float> gate = select(negative, tail, upper), rest = select(negative, zero, lost);
  const Vec<float> x = select(negative, t, abs(s));
  return {with_sign(fma(x, gate, t * rest), s), scale_where(negative, -lower)};
}
MLPKERN_INLINE Scaled<Vec<float>> gelu_derivative(Vec<float> s) {
  const Vec<float> end(static_cast<float>(kNormalEnd<Vec<float>>)), one(1.0f);
  const Vec<float> t = min(end, abs(s)), lower(Format<float>::lower);
  // M(t) - t/sqrt(2 pi)
  const Pair<float> m = mills_pair(t);
  const Vec<float> slope(-kInvSqrt2PiFloat[0]), line = t * slope;
  const Vec<float> line_low = fma(t, Vec<float>(-kInvSqrt2PiFloat[1]), fma(t, slope, -line));
  const Vec<float> hi = m.hi + line, line_part = hi - m.hi;
  const Vec<float> lost = (m.hi - (hi - line_part)) + (line - line_part);
  const Vec<float> tail = product(raised_gaussian_half(t), {hi, lost + (m.lo + line_low)});
  const Mask<float> negative = s < Vec<float>(0.0f);
  return {select(negative, tail, fma(tail, -lower, one)), scale_where(negative, lower)};
}

}  // namespace mlpkern::MLPKERN_ISA
