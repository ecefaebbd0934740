// SPDX-License-Identifier: BSD-3-Clause
// The logistic function sigma(x) = 1/(1 + exp(-x)), its three derivatives, and tanh.
//
//   e = exp(-|x|):  sigma = (1 or, for x < 0, e)/(1 + e), sigma' = e/(1 + e)^2,
//                   sigma'' = -sign(x) e (1 - e)/(1 + e)^3, sigma''' = e (1 - 4e + e^2)/(1 + e)^4
//   m = expm1(-2|x|):  tanh = ±(-m)/(2 + m), but of floats from a table of pieces, math/piecewise.hpp
//
//                 sigma   sigma'   tanh
//   Vec<float>    0.77    0.77     0.74 ULP    e (from a table) and 1 + e in pairs
//   Vec<double>   1.0     1.0      1.42 ULP
//   wider                                      rounded once, by the caller
//
// NaN gives NaN; a result decays through the subnormals, and tanh keeps the sign of a zero.
#pragma once

#include "math/exp.hpp"
#include "math/native.hpp"
#include "math/piecewise.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class W>
MLPKERN_INLINE Scaled<W> logistic(W x) {
  const auto e = decaying(-abs(x));
  const Mask<double> negative = x < W(0.0);
  return {select(negative, e.x, W(1.0)) / (e.x + 1.0), scale_where(negative, e.scale)};
}
template <class W>
MLPKERN_INLINE Scaled<W> logistic_derivative(W x) {
  const auto e = decaying(-abs(x));
  return {e.x / square(e.x + 1.0), e.scale};
}
// factor sigma''; the factor comes before the division, for a result that is subnormal.
template <class W, class Factor>
MLPKERN_INLINE Scaled<W> logistic_second_derivative(W x, Factor factor) {
  const auto e = decaying(-abs(x));
  const W sum = e.x + 1.0;
  return {with_sign(abs(e.minus_one) * e.x * factor / (square(sum) * sum), -x), e.scale};
}
template <class W>
MLPKERN_INLINE W logistic_bend(W e) {  // 1 - 4e + e^2
  return e * (e - 4.0) + 1.0;
}
template <class W>
MLPKERN_INLINE Scaled<W> logistic_third_derivative(W x, double factor) {
  const auto e = decaying(-abs(x));
  return {e.x * factor * logistic_bend(e.x) / square(square(e.x + 1.0)), e.scale};
}
// The derivative of s sigma(p(s)), of p and q = s p': sigma(p) (1 + q sigma(-p)).
template <class W>
MLPKERN_INLINE Scaled<W> gated_derivative(W p, W q) {
  const auto e = decaying(-abs(p));
  const Mask<double> negative = p < W(0.0);
  const W one_more = e.x + 1.0, numerator = one_more + select(negative, q, q * e.x);
  return {select(negative, e.x, W(1.0)) * numerator / square(one_more), scale_where(negative, e.scale)};
}
template <class W>
MLPKERN_INLINE W tanh(W s) {
  const W m = decaying(scaled(-abs(s), Vec<double>(2.0))).minus_one;
  return with_sign(abs(m) / (m + 2.0), s);
}

// The same in T itself.

// 1 + e, of e raised. The lower part is as large a part of the upper one as it is in e.
template <class T>
MLPKERN_INLINE Pair<T> one_and(Pair<T> raised) {
  const Vec<T> lower(Format<T>::lower), one(T(1)), hi = fma(raised.hi, lower, one);
  return {hi, fma(raised.lo, lower, fma(raised.hi, lower, one - hi))};
}
// Both rounded to hi, which takes two parts where the lower one is large.
template <class T>
MLPKERN_INLINE Pair<T> normalized(Pair<T> d) {
  if constexpr (!kTwoParts<T>) return d;
  const Vec<T> hi = d.hi + d.lo;
  return {hi, (d.hi - hi) + d.lo};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> logistic_of(Mask<T> negative, Pair<T> e) {
  const Vec<T> zero(T(0)), one(T(1));
  const Pair<T> n = {select(negative, e.hi, one), select(negative, e.lo, zero)};
  return {quotient(n, one_and(e)), scale_where(negative, Vec<T>(Format<T>::lower))};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> logistic(Vec<T> x) {
  return logistic_of(x < Vec<T>(T(0)), raised_exponential(negative_abs(x)));
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> logistic(Pair<T> x) {
  return logistic_of(x.hi < Vec<T>(T(0)), raised_exponential(negative_abs(x)));
}
template <class T>
MLPKERN_INLINE Pair<T> square(Pair<T> d) {
  const Vec<T> z = d.hi * d.hi;
  return {z, fma(d.hi + d.hi, d.lo, fma(d.hi, d.hi, -z))};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> logistic_derivative(Vec<T> x) {
  const Pair<T> e = raised_exponential(negative_abs(x));
  return {quotient(e, square(normalized(one_and(e)))), Vec<T>(Format<T>::lower)};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gated_derivative_of(Mask<T> negative, Pair<T> e, Pair<T> q) {
  const Vec<T> lower(Format<T>::lower);
  const Pair<T> right = pair_product(q, {e.hi * lower, e.lo * lower}), d = normalized(one_and(e));
  const Pair<T> numerator = pair_sum(d, {select(negative, q.hi, right.hi), select(negative, q.lo, right.lo)});
  const Pair<T> left = pair_product(numerator, e);
  const Pair<T> chosen = {select(negative, left.hi, numerator.hi), select(negative, left.lo, numerator.lo)};
  return {negative_quotient(chosen, square(d)), select(negative, -lower, Vec<T>(T(-1)))};
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gated_derivative(Vec<T> p, Vec<T> q) {
  return gated_derivative_of(p < Vec<T>(T(0)), raised_exponential(negative_abs(p)), Pair<T>{q, Vec<T>(T(0))});
}
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> gated_derivative(Pair<T> p, Pair<T> q) {
  return gated_derivative_of(p.hi < Vec<T>(T(0)), raised_exponential(negative_abs(p)), q);
}
MLPKERN_INLINE Vec<double> tanh(Vec<double> s) {
  using F = Format<double>;
  // exp(-2|s|) = -power (1 + p); beyond the end tanh rounds to 1, and the power is normal
  const auto e =
      reduce_exponential(max(Vec<double>(-40.0), abs(s) * Vec<double>(-2.0)), F::bias + kNegative<double>);
  const Vec<double> power = power_of_biased(e.shifted), two(2.0), whole = Vec<double>(1.0) + power;
  const Vec<double> hi = fma(power, e.p.hi, whole), lo = rest_of_product(power, e.p, whole - hi);  // -m
  const Vec<double> sum = two - hi;                                                                // 2 + m
  return with_sign(quotient<double>({hi, lo}, {sum, ((two - sum) - hi) - lo}), s);
}
// For float on the intervals [2^j, 1.5 2^j) and [1.5 2^j, 2^(j+1)) from 2^-4 on; the first begins at 0, where
// the piece is added to s itself. A table and no division: 0.6 of the time of the quotient above.
MLPKERN_INLINE Vec<float> tanh(Vec<float> s) {
  const Vec<float> t = min(Vec<float>(kTanhEnd), abs(s)), first(0.0625f);
  const auto index = bits_of(max(first, t)) >> 22;  // the exponent, and the first bit behind it
  const Piece<float> piece = piece_at(t, kTanhPieces, index);
  const Vec<float> base = select(t < Vec<float>(0.09375f), t, piece.y);
  return with_sign(fma(piece.d, piece.slope, base), s);
}

}  // namespace mlpkern::MLPKERN_ISA
