// SPDX-License-Identifier: BSD-3-Clause
// exp and expm1.
//
//   x = k log 2 + r, |r| <= log(2)/2;  exp(x) = 2^k (1 + p), expm1(x) = 2^k p + (2^k - 1), p = expm1(r)
//
//              relative error    `exponential` and `decaying` take x past these for their ends
//   Wide       2^-36             [-709, 709]: 0, and more than any float
//   Twofold    2^-64             [-1300, 1300], through `scale`
//
// expm1 keeps its relative error next to 0. NaN gives NaN. exp and expm1 themselves overflow to infinity
// where the double nearest to them does.
#pragma once

#include "math/coefficients.hpp"
#include "math/polynomial.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// Added to |x| < 2^51 it rounds to an integer, which then stands in the lowest bits.
constexpr double kRoundingShift = 0x1.8p52;
// The same, plus the bias of a double's exponent: those bits are then the exponent of 2^k.
constexpr double kPowerShift = kRoundingShift + 1023.0;

// 2^k for an integer k in [-1022, 1023]; 0 for k = -1023.
MLPKERN_INLINE Vec<double> power_of_two(Vec<double> k) {
  return from_bits<double>(bits_of(k + Vec<double>(kPowerShift)) << 52);
}

MLPKERN_INLINE Wide product_with_power(Wide x, Vec<double>) { return x; }
MLPKERN_INLINE Twofold product_with_power(Twofold x, Vec<double> power) {
  return fold(x.hi * power, x.lo * power);
}

// exp(x) = x scale with scale 1 or a power of two; minus_one = expm1(x). What is not used costs nothing.
template <class W>
struct Exponential {
  W x;
  Vec<double> scale;
  W minus_one;

  MLPKERN_INLINE W value() const { return product_with_power(x, scale); }
};

// x in [-709, 709].
MLPKERN_INLINE Exponential<Wide> exponential_in_range(Wide x) {
  const Vec<double> shifted = fma(x.v, Vec<double>(kLog2e.hi), Vec<double>(kPowerShift));
  const Vec<double> power = from_bits<double>(bits_of(shifted) << 52);
  const Vec<double> k = shifted - Vec<double>(kPowerShift);
  const Vec<double> r = fma(k, Vec<double>(-kLn2.hi), x.v);
  const Vec<double> p = fma(r * r, polynomial(r, kExpWide), r);
  return {fma(power, p, power), Vec<double>(1.0), fma(power, p, power - Vec<double>(1.0))};
}

// k, and p in two doubles.
struct Reduced {
  Vec<double> k;
  Twofold p;
};
MLPKERN_INLINE Reduced reduce_exponent(Twofold x) {
  const Vec<double> shifted = fma(x.hi, Vec<double>(kLog2e.hi), Vec<double>(kRoundingShift));
  const Vec<double> k = shifted - Vec<double>(kRoundingShift);
  const Vec<double> upper = fma(k, Vec<double>(-kLn2Parts[0]), x.hi);  // exact
  const Twofold r = two_sum(upper, fma(k, Vec<double>(-kLn2Parts[1]), x.lo));
  const Twofold q = polynomial<fast_two_sum>(r, kExpLead, kExpTail);

  // p = r + r^2 q
  const Twofold square = two_product(r.hi, r.hi);
  const Vec<double> square_low = fma(r.hi + r.hi, r.lo, square.lo);
  const Twofold rest = two_product(square.hi, q.hi);
  const Vec<double> rest_low = fma(square.hi, q.lo, fma(square_low, q.hi, rest.lo));
  const Twofold p = fast_two_sum(r.hi, rest.hi);
  return {k, fast_two_sum(p.hi, p.lo + (r.lo + rest_low))};
}

// Powers past 2^±900 go into the scale, lest the lower half be lost: `inner` is the other's exponent.
MLPKERN_INLINE Exponential<Twofold> assemble(Reduced reduced, Vec<double> inner) {
  const Twofold p = reduced.p;
  const Vec<double> power = power_of_two(inner);
  const Twofold one_more = fast_two_sum(Vec<double>(1.0), p.hi);
  const Twofold minus_one = two_sum(power, Vec<double>(-1.0));
  const Twofold sum = two_sum(power * p.hi, minus_one.hi);
  return {scaled(fast_two_sum(one_more.hi, one_more.lo + p.lo), power), power_of_two(reduced.k - inner),
          fast_two_sum(sum.hi, fma(power, p.lo, sum.lo + minus_one.lo))};
}

MLPKERN_INLINE Exponential<Wide> exponential(Wide x) { return exponential_in_range(clamp(x, -709.0, 709.0)); }
MLPKERN_INLINE Exponential<Twofold> exponential(Twofold x) {
  const Reduced reduced = reduce_exponent(clamp(x, -1300.0, 1300.0));
  const Vec<double> inner = max(Vec<double>(-900.0), min(Vec<double>(900.0), reduced.k));
  Exponential<Twofold> e = assemble(reduced, inner);
  e.minus_one = select(reduced.k > inner, e.value(), e.minus_one);
  return e;
}

// The same for x <= 0, for less.
MLPKERN_INLINE Exponential<Wide> decaying(Wide x) {
  return exponential_in_range(max(Vec<double>(-709.0), x.v));
}
MLPKERN_INLINE Exponential<Twofold> decaying(Twofold x) {
  const Reduced reduced = reduce_exponent(select(x.hi < Vec<double>(-1300.0), Twofold(-1300.0), x));
  return assemble(reduced, max(Vec<double>(-900.0), reduced.k));
}

constexpr double kExpOverflow = 709.78271289338397;  // exp of more rounds to infinity

MLPKERN_INLINE Wide overflowing(Wide x, Wide y) {
  return select(x > Wide(kExpOverflow), Wide(__builtin_inf()), y);
}
MLPKERN_INLINE Twofold overflowing(Twofold, Twofold y) { return y; }

template <class W>
MLPKERN_INLINE W exp(W x) {
  return overflowing(x, exponential(x).value());
}

template <class W>
MLPKERN_INLINE W expm1(W x) {
  return overflowing(x, exponential(x).minus_one);
}

}  // namespace mlpkern::MLPKERN_ISA
