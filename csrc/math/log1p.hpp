// SPDX-License-Identifier: BSD-3-Clause
// log1p(x) = log(1 + x), with log's errors and limits, and so also next to x = 0.
#pragma once

#include "math/log.hpp"
#include "math/native.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class W>
MLPKERN_INLINE W log1p(W x) {
  const W sum = x + W(1.0);
  const Vec<double> k = exponent_from_sqrt_half(to_double(sum));
  // For k = 0 x itself, of which the sum may have lost the end.
  const W f = select(k == Vec<double>(0.0), x, mantissa(sum, k) - W(1.0));
  return log_limits(to_double(sum), log_of_near_one(f, k));
}

// log1p(e) for e in [0, 1], of which e - 1 is known also (expm1 gives it): no exponent to take apart.
template <class W>
MLPKERN_INLINE W log1p_of_fraction(W e, W minus_one) {
  const Mask<double> doubled = e > W(0.41421356237309503);              // sqrt(2) - 1
  const W f = select(doubled, scaled(minus_one, Vec<double>(0.5)), e);  // (1 + e)/2 - 1, or e
  return log_of_near_one(f, select(doubled, Vec<double>(1.0), Vec<double>(0.0)));
}

// log1p(exp(-|x|)), which for x deep below 0 is exp(x).
template <class W>
MLPKERN_INLINE Scaled<W> log1p_of_decay(W x) {
  const auto e = decaying(-abs(x));
  const Mask<double> deep = x < W(-600.0);
  return {select(deep, e.x, log1p_of_fraction(e.x, e.minus_one)), scale_where(deep, e.scale)};
}

// log1p of a fraction in pairs of double, within 0.1 ULP:
//   log(1 + f) = f - (f^2/2 - t (f^2/2 + 2 t^2 A)), t = f/(2 + f), A = (atanh(t)/t - 1)/t^2
// of which all but f may be rounded (FreeBSD's form).
MLPKERN_INLINE Pair<double> log1p_of_fraction(Pair<double> e) {
  const Vec<double> zero(0.0), one(1.0), half(0.5);
  const Mask<double> doubled = e.hi > Vec<double>(0.41421356237309503);
  const Vec<double> less = e.hi - one, less_low = ((zero - one) - less) + e.hi + e.lo;
  const Vec<double> f = select(doubled, less * half, e.hi), f_low = select(doubled, less_low * half, e.lo);
  const Vec<double> t = f / (f + Vec<double>(2.0)), z = t * t, curve = f * f * half;
  const Vec<double> series = fma(z + z, polynomial(z, kLogDouble), curve);
  const Vec<double> rest = fma(f_low, fma(t, Vec<double>(-2.0), one), fma(t, series, -curve));
  const Vec<double> whole = select(doubled, Vec<double>(kLn2.hi), zero), sum = whole + f;
  const Vec<double> low = ((whole - sum) + f) + (rest + select(doubled, Vec<double>(kLn2.lo), zero));
  const Vec<double> hi = sum + low;
  return {hi, (sum - hi) + low};
}
MLPKERN_INLINE Scaled<Pair<double>> log1p_of_decay(Pair<double> x) {
  const Pair<double> e = raised_exponential(negative_abs(x));
  const Vec<double> lower(Format<double>::lower);
  const Mask<double> deep = x.hi < Vec<double>(-40.0);
  const Pair<double> log = log1p_of_fraction({e.hi * lower, e.lo * lower});
  return {{select(deep, e.hi, log.hi), select(deep, e.lo, log.lo)}, scale_where(deep, lower)};
}

}  // namespace mlpkern::MLPKERN_ISA
