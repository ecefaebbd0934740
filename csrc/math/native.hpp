// SPDX-License-Identifier: BSD-3-Clause
// Formulas for T in T itself, twice as many lanes to a register as in a wider number: Vec<T> takes the place
// of Work<T>. What a rounding would spoil is kept as a pair of T, and the last operation is the one that
// rounds. Every step is written with fma: an instruction set without it goes on using Work<T>.
//
//   exp(x) = 2^k (1 + p), p = r + r^2 (1/2 + r R(r)), |r| <= log(2)/2
//
// float, of which 1 ULP is promised: x - k log 2 comes in two parts, r and what its rounding lost, and p in
// two, right to 2^-28 of 1. double, of which 2 ULP are promised: both in one part, right to 2^-54, which
// takes a sixth less time. With all else in one part too, tanh was 2.5 ULP and sigmoid 2.3, and another
// quarter faster.
#pragma once

#include "math/coefficients.hpp"
#include "math/exp.hpp"
#include "math/polynomial.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// An unevaluated sum hi + lo, |lo| about an ulp of hi; up to 2^-5 of it from raised_exponential(Vec<float>).
template <class T>
struct Pair {
  Vec<T> hi, lo;
};
template <class T>
struct LaneOf<Pair<T>> {
  using type = T;
};

// `shift` added to a small number rounds it to an integer k in the lowest bits, `shift + bias` to 2^k's
// exponent. Below `low` exp, and a thousand times it, is 0, above `high` infinite. exp(x), for x <= 0, is
// kept raised by 2^raise_bits, where it is normal; `lower` brings it back.
template <class T>
struct Format;
template <>
struct Format<float> {
  static constexpr int mantissa_bits = 23, raise_bits = 64;
  static constexpr float shift = 0x1.8p23f, bias = 127.0f, low = -125.0f, high = 89.5f;
  static constexpr float lower = 0x1p-64f;
  static constexpr auto& ln2 = kLn2PartsFloat;
  static constexpr auto& exp = kExpFloat;
};
template <>
struct Format<double> {
  static constexpr int mantissa_bits = 52, raise_bits = 512;
  static constexpr double shift = kRoundingShift, bias = 1023.0, low = -760.0, high = 710.5;
  static constexpr double lower = 0x1p-512;
  static constexpr auto& ln2 = kLn2Parts;
  static constexpr auto& exp = kExpDouble;
};

template <class T>
MLPKERN_INLINE Vec<T> square(Vec<T> a) {
  return a * a;
}
template <class T>
MLPKERN_INLINE Vec<T> negative_abs(Vec<T> x) {
  return from_bits<T>(bits_of(x) | bits_of(Vec<T>(T(-0.0))));
}
template <class T>
MLPKERN_INLINE Vec<T> with_sign(Vec<T> a, Vec<T> sign) {
  return from_bits<T>(bits_of(a) | bits_of(sign_bit(sign)));
}
template <class T>
MLPKERN_INLINE Vec<T> clamp(Vec<T> x, double low, double high) {
  return min(Vec<T>(static_cast<T>(high)), max(Vec<T>(static_cast<T>(low)), x));
}

// Added to `bias`, it makes the power -2^k: the bit above the exponent's is the sign.
template <class T>
constexpr T kNegative = T(2) * (Format<T>::bias + T(1));

// exp(x) = 2^k (1 + p): k as the lowest bits of `shifted`, with `bias` added to it.
template <class T>
struct ReducedExponential {
  Vec<T> shifted;
  Pair<T> p;
};
template <class T>
constexpr bool kTwoParts = sizeof(T) == sizeof(float);
template <class T, bool two_parts = kTwoParts<T>>
MLPKERN_INLINE ReducedExponential<T> reduce_exponential(Vec<T> x, T bias) {
  using F = Format<T>;
  const Vec<T> shift(F::shift + bias), shifted = fma(x, Vec<T>(static_cast<T>(kLog2e.hi)), shift);
  const Vec<T> k = shifted - shift;
  const Vec<T> upper = fma(k, Vec<T>(-F::ln2[0]), x);  // exact
  const Vec<T> r = fma(k, Vec<T>(-F::ln2[1]), upper);
  const Vec<T> curve = fma(r, polynomial(r, F::exp), Vec<T>(T(0.5)));
  if constexpr (two_parts) {
    const Vec<T> lost = fma(k, Vec<T>(-F::ln2[1]), upper - r);
    const Vec<T> rest = fma(r * r, curve, lost), p = r + rest;
    return {shifted, {p, rest - (p - r)}};
  } else {
    return {shifted, {fma(r * r, curve, r), Vec<T>(T(0))}};
  }
}
// What sum = fma(power, p.hi, other) lost of power p + other; left = other - sum, which is exact.
template <class T>
MLPKERN_INLINE Vec<T> rest_of_product(Vec<T> power, Pair<T> p, Vec<T> left) {
  const Vec<T> rest = fma(power, p.hi, left);
  if constexpr (kTwoParts<T>) return fma(power, p.lo, rest);
  return rest;
}

// 2^k for a biased k.
template <class T>
MLPKERN_INLINE Vec<T> power_of_biased(Vec<T> shifted) {
  return from_bits<T>(bits_of(shifted) << Format<T>::mantissa_bits);
}

// exp(x) = x scale, as math/exp.hpp has it: 0.83 ULP (float). The power in two halves, for k from
// -181 to 129 (-1096 to 1025); as integers, which costs 0.04 ns less than rounding k/2.
template <class T>
MLPKERN_INLINE Scaled<Vec<T>> exponential(Vec<T> x) {
  using F = Format<T>;
  using Integers = decltype(Mask<T>::m);
  const ReducedExponential<T> e = reduce_exponential(clamp(x, F::low, F::high), T(0));
  const auto k = reinterpret_cast<Integers>(bits_of(e.shifted) - bits_of(Vec<T>(F::shift)));
  const auto half = k >> 1, rest = k - half;
  constexpr int bias = static_cast<int>(F::bias);
  const Vec<T> first = reinterpret_cast<typename Vec<T>::Native>((half + bias) << F::mantissa_bits);
  const Vec<T> second = reinterpret_cast<typename Vec<T>::Native>((rest + bias) << F::mantissa_bits);
  return {(Vec<T>(T(1)) + e.p.hi) * first, second};
}

// c in two parts.
template <class T>
MLPKERN_INLINE Pair<T> pair_of(Twin c) {
  if constexpr (sizeof(T) == sizeof(double)) return {Vec<T>(c.hi), Vec<T>(c.lo)};
  const float hi = static_cast<float>(c.hi);
  return {Vec<T>(T(hi)), Vec<T>(static_cast<T>(c.hi - static_cast<double>(hi)))};
}
// -|x|
template <class T>
MLPKERN_INLINE Pair<T> negative_abs(Pair<T> x) {
  const auto flip = bits_of(Vec<T>(T(-0.0))) & ~bits_of(x.hi);
  return {from_bits<T>(bits_of(x.hi) ^ flip), from_bits<T>(bits_of(x.lo) ^ flip)};
}

// a b, rounded once, and as a pair.
template <class T>
MLPKERN_INLINE Vec<T> rounded_product(Pair<T> a, Pair<T> b) {
  return fma(a.hi, b.hi, fma(a.hi, b.lo, a.lo * b.hi));
}
template <class T>
MLPKERN_INLINE Pair<T> pair_product(Pair<T> a, Pair<T> b) {
  const Vec<T> hi = a.hi * b.hi;
  return {hi, fma(a.hi, b.hi, -hi) + fma(a.hi, b.lo, a.lo * b.hi)};
}
template <class T>
MLPKERN_INLINE Pair<T> pair_product(Vec<T> a, Pair<T> b) {
  const Vec<T> hi = a * b.hi;
  return {hi, fma(a, b.lo, fma(a, b.hi, -hi))};
}
template <class T>
MLPKERN_INLINE Pair<T> pair_sum(Pair<T> a, Pair<T> b) {
  const Vec<T> hi = a.hi + b.hi, part = hi - a.hi;
  return {hi, ((a.hi - (hi - part)) + (b.hi - part)) + (a.lo + b.lo)};
}

// exp(x), raised, for x.hi <= 0; x.lo, up to 2^-17 (2^-43), multiplies all of exp(r) = 1 + p, and is as large
// a part of the lower half: rounded, the result is hi + lo, not hi.
template <class T>
MLPKERN_INLINE Pair<T> raised_exponential(Pair<T> x) {
  using F = Format<T>;
  const auto e = reduce_exponential<T, true>(max(Vec<T>(F::low), x.hi), F::bias + T(F::raise_bits));
  const Vec<T> p_low = fma(x.lo, e.p.hi, x.lo) + e.p.lo;
  const Vec<T> power = power_of_biased(e.shifted), hi = fma(power, e.p.hi, power);
  return {hi, fma(power, p_low, fma(power, e.p.hi, power - hi))};
}
// exp(x), raised, for x <= 0. Of floats 2^(k/16) (1 + q), k = 16 n + j, with 2^(j/16) from a table, and so
// with a lower part of up to 2^-5 of the upper one: |r| <= log(2)/32 needs fewer terms, and no second part
// itself. sigmoid took 0.7 of the time that it took with p in two parts.
MLPKERN_INLINE Pair<float> raised_exponential(Vec<float> x) {
  using F = Format<float>;
  const Vec<float> shift(F::shift + 16.0f * F::raise_bits), kept = max(Vec<float>(F::low), x);
  const Vec<float> shifted = fma(kept, Vec<float>(static_cast<float>(16.0 * kLog2e.hi)), shift);
  const Vec<float> k = shifted - shift;
  const Vec<float> upper = fma(k, Vec<float>(-kLn2SixteenthParts[0]), kept);  // exact
  const Vec<float> r = fma(k, Vec<float>(-kLn2SixteenthParts[1]), upper);
  const Vec<float> p = fma(r * r, polynomial(r, kExpNear), r);
  const auto index = bits_of(shifted), exponent = index >> 4 << F::mantissa_bits;
  const Vec<float> power = from_bits<float>(bits_of(lookup(kPowerOfTwo, index)) + exponent);
  return {power, power * (p + lookup(kPowerOfTwoLost, index))};
}
template <class T>
MLPKERN_INLINE Pair<T> raised_exponential(Vec<T> x) {
  using F = Format<T>;
  const auto e = reduce_exponential(max(Vec<T>(F::low), x), F::bias + T(F::raise_bits));
  const Vec<T> power = power_of_biased(e.shifted), hi = fma(power, e.p.hi, power);
  return {hi, rest_of_product(power, e.p, power - hi)};
}

// -n/d, rounded once, but for 2^-20 ULP (2^-4 where a float's lower part is up to 2^-5 of the upper one). The
// sign spares the negations that the remainder would need.
template <class T>
MLPKERN_INLINE Vec<T> negative_quotient(Pair<T> n, Pair<T> d) {
  const Vec<T> whole = kTwoParts<T> ? d.hi + d.lo : d.hi;
  const Vec<T> reciprocal = Vec<T>(T(-1)) / whole, q = n.hi * reciprocal;
  const Vec<T> remainder = fma(q, d.hi, n.hi) + fma(q, d.lo, n.lo);
  return fma(reciprocal, remainder, q);
}
// n/d of numbers that are not negative.
template <class T>
MLPKERN_INLINE Vec<T> quotient(Pair<T> n, Pair<T> d) {
  return abs(negative_quotient(n, d));
}

}  // namespace mlpkern::MLPKERN_ISA
