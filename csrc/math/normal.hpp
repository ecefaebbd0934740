// SPDX-License-Identifier: BSD-3-Clause
// The standard normal distribution, its density phi and its distribution function Phi, and what is made of
// them: s Phi(s), which is GELU, with its derivative, and exp(-s^2).
//
//   phi(s) = exp(-s^2/2)/sqrt(2 pi)
//   Phi(-t) = exp(-t^2/2) M(t) for t >= 0, with M(t) = P(y)/(t + a), y = (t - a)/(t + a): P is smooth on
//   all of [0, 40], which y maps to an interval; Phi(t) = 1 - Phi(-t)
//
// M decays as 1/t does, so that the tail keeps its relative accuracy down to the subnormals, which
// 1 + erf does not. Relative error of M: 2^-39 (Wide, t <= 16), 2^-62 (Twofold, t <= 40). Larger arguments
// are the caller's to clamp; NaN gives NaN.
//
// In T itself M is a table of pieces: y cost two roundings more, each multiplied by P'/P. GELU comes out
// within 1.5 ULP (1.6 for double), its tail included, and its derivative within 1.
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

// exp(-s^2) and its derivative; past 32 both are 0.
template <class W>
MLPKERN_INLINE Scaled<W> gaussian(W s) {
  const auto e = decaying(-square(clamp(s, -32.0, 32.0)));
  return {e.x, e.scale};
}
template <class W>
MLPKERN_INLINE Scaled<W> gaussian_derivative(W s) {
  const W kept = clamp(s, -32.0, 32.0);
  const auto e = decaying(-square(kept));
  return {with_sign(abs(kept) * e.x * 2.0, -s), e.scale};
}

// The same in T itself.
template <class T>
struct MillsTable;
template <>
struct MillsTable<float> {
  static constexpr auto& pieces = kMillsFloatPieces;
  static constexpr float offset = 1.0f, end = 14.875f;  // t + offset tells the interval
};
template <>
struct MillsTable<double> {
  static constexpr auto& pieces = kMillsDoublePieces;
  static constexpr double offset = 3.0, end = 39.0;
};

// M(t), by the exponent of t + offset and two more bits.
template <class T>
MLPKERN_INLINE Pair<T> mills_pair(Vec<T> t) {
  using M = MillsTable<T>;
  const auto index = bits_of(t + Vec<T>(M::offset)) >> (Format<T>::mantissa_bits - 2);
  const Piece<T> piece = piece_at(t, M::pieces, index);
  const Vec<T> hi = fma(piece.d, piece.slope, piece.y);
  return {hi, fma(piece.d, piece.slope, piece.y - hi)};
}
// exp(-t^2/2) raised.
template <class T>
MLPKERN_INLINE Pair<T> raised_gaussian_half(Vec<T> t) {
  const Vec<T> z = t * t, minus_half(T(-0.5));
  return raised_exponential(Pair<T>{z * minus_half, fma(t, t, -z) * minus_half});
}

template <class T>
MLPKERN_INLINE Pair<T> raised_gaussian(Vec<T> t) {
  const Vec<T> z = t * t;
  return raised_exponential(Pair<T>{-z, fma(-t, t, z)});
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gaussian(Vec<T> s) {
  const Pair<T> e = raised_gaussian(clamp(s, -32.0, 32.0));
  return {e.hi + e.lo, Vec<T>(Format<T>::lower)};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gaussian_derivative(Vec<T> s) {
  const Vec<T> t = min(Vec<T>(T(32)), abs(s)), twice = t + t;
  const Pair<T> e = raised_gaussian(t);
  return {with_sign(fma(twice, e.hi, twice * e.lo), -s), Vec<T>(Format<T>::lower)};
}

template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gelu(Vec<T> s) {
  const Vec<T> one(T(1)), zero(T(0)), lower(-Format<T>::lower);
  const Vec<T> t = min(Vec<T>(MillsTable<T>::end), abs(s));
  const Vec<T> tail = rounded_product(raised_gaussian_half(t), mills_pair(t));  // Phi(-|s|), raised
  const Mask<T> negative = s < zero;
  const Vec<T> upper = fma(tail, lower, one), lost = fma(tail, lower, one - upper);  // 1 - tail
  const Vec<T> gate = select(negative, tail, upper), rest = select(negative, zero, lost);
  const Vec<T> x = select(negative, t, abs(s));
  return {with_sign(fma(x, gate, t * rest), s), scale_where(negative, -lower)};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gelu_derivative(Vec<T> s) {
  const Vec<T> one(T(1)), lower(Format<T>::lower), t = min(Vec<T>(MillsTable<T>::end), abs(s));
  const Pair<T> m = mills_pair(t);  // M(t) - t/sqrt(2 pi), which passes through 0
  const Pair<T> line = pair_product(t, pair_of<T>({-kInvSqrt2Pi.hi, -kInvSqrt2Pi.lo}));
  const Vec<T> tail = rounded_product(raised_gaussian_half(t), pair_sum(m, line));
  const Mask<T> negative = s < Vec<T>(T(0));
  return {select(negative, tail, fma(tail, -lower, one)), scale_where(negative, lower)};
}

}  // namespace mlpkern::MLPKERN_ISA
