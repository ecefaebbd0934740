// SPDX-License-Identifier: BSD-3-Clause
// Twofold: an unevaluated sum hi + lo of two doubles, |lo| <= ulp(hi)/2, in every lane: about 106 bits.
// After T. J. Dekker (1971), and Joldes, Muller and Popescu, "Tight and rigorous error bounds for basic
// building blocks of double-word arithmetic" (2017). Relative error of + - * / sqrt about 2^-102 (of a
// sum: relative to |a| + |b|), as long as results stay above 2^-900.
//
// Where hi is infinite or NaN, lo is 0: `fold` sees to it, so that the operators keep IEEE 754's rules.
// The functions with long names (two_sum …) do not, and the polynomials are built on those.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// A constant hi + lo.
struct Twin {
  double hi, lo;
};

struct Twofold {
  Vec<double> hi, lo;

  Twofold() = default;
  MLPKERN_INLINE Twofold(double c) : hi(c), lo(0.0) {}
  MLPKERN_INLINE Twofold(Vec<double> x) : hi(x), lo(0.0) {}
  MLPKERN_INLINE Twofold(Twin c) : hi(c.hi), lo(c.lo) {}
  MLPKERN_INLINE Twofold(Vec<double> h, Vec<double> l) : hi(h), lo(l) {}
};

// a + b exactly.
MLPKERN_INLINE Twofold two_sum(Vec<double> a, Vec<double> b) {
  const Vec<double> sum = a + b, b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}
// The same where |a| >= |b| or a is 0.
MLPKERN_INLINE Twofold fast_two_sum(Vec<double> a, Vec<double> b) {
  const Vec<double> sum = a + b;
  return {sum, b - (sum - a)};
}

// a rounded to 26 bits, which leaves 26 for the rest. On the bits, because Veltkamp's multiplication by
// 2^27 + 1 overflows.
MLPKERN_INLINE Vec<double> upper_half(Vec<double> a) {
  return from_bits<double>((bits_of(a) + std::uint64_t{0x4000000}) & ~std::uint64_t{0x7ffffff});
}
// a b - p, for p next to a b: exact. Without fma from halves, whose products are exact (Dekker).
MLPKERN_INLINE Vec<double> product_error(Vec<double> a, Vec<double> b, Vec<double> p) {
  if constexpr (kHasFma) {
    return fma(a, b, -p);
  } else {
    const Vec<double> a1 = upper_half(a), a2 = a - a1, b1 = upper_half(b), b2 = b - b1;
    return ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2;
  }
}
MLPKERN_INLINE Twofold two_product(Vec<double> a, Vec<double> b) {
  const Vec<double> p = a * b;
  return {p, product_error(a, b, p)};
}

// hi + lo made a Twofold again; where lo is no number, because hi overflowed, hi alone.
MLPKERN_INLINE Twofold fold(Vec<double> hi, Vec<double> lo) {
  const Mask<double> finite = abs(lo) <= Vec<double>(0x1.fffffffffffffp1023);
  const Vec<double> sum = hi + lo;
  return {select(finite, sum, hi), select(finite, lo - (sum - hi), Vec<double>(0.0))};
}

MLPKERN_INLINE Twofold operator-(Twofold a) { return {-a.hi, -a.lo}; }

MLPKERN_INLINE Twofold operator+(Twofold a, Twofold b) {
  const Twofold sum = two_sum(a.hi, b.hi);
  return fold(sum.hi, sum.lo + (a.lo + b.lo));
}
MLPKERN_INLINE Twofold operator+(Twofold a, double b) {
  const Twofold sum = two_sum(a.hi, b);
  return fold(sum.hi, sum.lo + a.lo);
}
MLPKERN_INLINE Twofold operator+(double a, Twofold b) { return b + a; }
MLPKERN_INLINE Twofold operator-(Twofold a, Twofold b) { return a + -b; }
MLPKERN_INLINE Twofold operator-(Twofold a, double b) { return a + -b; }
MLPKERN_INLINE Twofold operator-(double a, Twofold b) { return -b + a; }

MLPKERN_INLINE Twofold operator*(Twofold a, Twofold b) {
  const Twofold p = two_product(a.hi, b.hi);
  return fold(p.hi, fma(a.hi, b.lo, fma(a.lo, b.hi, p.lo)));
}
MLPKERN_INLINE Twofold operator*(Twofold a, double b) {
  const Twofold p = two_product(a.hi, b);
  return fold(p.hi, fma(a.lo, Vec<double>(b), p.lo));
}
MLPKERN_INLINE Twofold operator*(double a, Twofold b) { return b * a; }
MLPKERN_INLINE Twofold square(Twofold a) {
  const Twofold p = two_product(a.hi, a.hi);
  return fold(p.hi, fma(a.hi + a.hi, a.lo, p.lo));
}

// One division: the quotient's lower half is the remainder times the same reciprocal.
MLPKERN_INLINE Twofold operator/(Twofold a, Twofold b) {
  const Vec<double> reciprocal = Vec<double>(1.0) / b.hi;
  const Vec<double> quotient = a.hi * reciprocal;
  const Vec<double> remainder = fma(-quotient, b.lo, a.lo - product_error(quotient, b.hi, a.hi));
  return fold(quotient, remainder * reciprocal);
}

MLPKERN_INLINE Twofold sqrt(Twofold a) {
  const Vec<double> root = sqrt(a.hi);
  return fold(root, (a.lo - product_error(root, root, a.hi)) / (root + root));
}

MLPKERN_INLINE Mask<double> operator<(Twofold a, Twofold b) {
  return (a.hi < b.hi) | ((a.hi == b.hi) & (a.lo < b.lo));
}
MLPKERN_INLINE Mask<double> operator<=(Twofold a, Twofold b) {
  return (a.hi < b.hi) | ((a.hi == b.hi) & (a.lo <= b.lo));
}
MLPKERN_INLINE Mask<double> operator>(Twofold a, Twofold b) { return b < a; }
MLPKERN_INLINE Mask<double> operator>=(Twofold a, Twofold b) { return b <= a; }
MLPKERN_INLINE Mask<double> operator==(Twofold a, Twofold b) { return (a.hi == b.hi) & (a.lo == b.lo); }
MLPKERN_INLINE Mask<double> operator!=(Twofold a, Twofold b) { return ~(a == b); }

MLPKERN_INLINE Twofold select(Mask<double> mask, Twofold a, Twofold b) {
  return {select(mask, a.hi, b.hi), select(mask, a.lo, b.lo)};
}

MLPKERN_INLINE Twofold flip_sign(Twofold a, Vec<double> sign) {
  const auto bit = bits_of(sign_bit(sign));
  return {from_bits<double>(bits_of(a.hi) ^ bit), from_bits<double>(bits_of(a.lo) ^ bit)};
}
MLPKERN_INLINE Twofold abs(Twofold a) { return flip_sign(a, a.hi); }
// a, which is not negative, with the sign of `sign`.
MLPKERN_INLINE Twofold with_sign(Twofold a, Twofold sign) { return flip_sign(a, sign.hi); }
// a times a power of two: exact, but where it leaves the normal range.
MLPKERN_INLINE Twofold scaled(Twofold a, Vec<double> power) { return {a.hi * power, a.lo * power}; }

}  // namespace mlpkern::MLPKERN_ISA
