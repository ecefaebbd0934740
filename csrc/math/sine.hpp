// SPDX-License-Identifier: BSD-3-Clause
// sin and cos of a product s omega, taken exactly: at large s its rounding would be whole turns.
//
//   s omega = j pi/2 + r, |r| <= pi/4;  the quadrant j mod 4 says which of ± sin(r), ± cos(r) it is
//
// Relative error 2^-39 (Wide) and 2^-70 (Twofold) where omega is 1; absolute error of the same size
// for any omega. At infinities, and where s omega is past 2^1130, NaN.
// Up to 2^19, r comes from pi/2 in parts whose products with j are exact (Cody and Waite); beyond, a lane
// at a time, from the bits of 2/pi that matter (Payne and Hanek), so that no lane sees its neighbours.
#pragma once

#include "math/coefficients.hpp"
#include "math/exp.hpp"
#include "math/polynomial.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// j, mod 4, in the lowest bits of a double; r in two parts.
struct Quadrant {
  Vec<double> j;
  Twofold r;
};

__extension__ typedef unsigned __int128 Turns;  // of pi/2, mod 4: two bits, then 126 behind the point

// x 2^extra 2/pi mod 4, to 2^-125, for 0 <= extra <= 110.
inline Turns quadrants_of(double x, int extra) {
  std::uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1075 + extra;  // |x 2^extra| = m 2^exponent
  const std::uint64_t m = (bits & 0xfffffffffffff) | 0x10000000000000;
  // The first bit of 2/pi whose product with x is no multiple of 4, counted from the start of the table.
  const int first = exponent - 2 + 64 * kTwoOverPiZeroWords;
  if (first < 0 || exponent - extra > 971) return 0;  // x is below 2^-200; infinite or NaN
  const std::uint64_t* word = kTwoOverPi + first / 64;
  const int shift = first % 64;
  std::uint64_t window[3];  // 192 bits from there on
  for (int i = 0; i < 3; ++i) {
    window[i] = shift == 0 ? word[i] : word[i] << shift | word[i + 1] >> (64 - shift);
  }
  // m times the window, mod 2^192, without the lowest 64 bits.
  const Turns low = Turns{m} * window[2], middle = Turns{m} * window[1];
  const Turns turns = (Turns{m * window[0]} << 64) + middle + (low >> 64);
  return bits >> 63 ? -turns : turns;
}

inline void reduce_lane(double hi, double lo, int extra, double& j, double& r_hi, double& r_lo) {
  const Turns turns = quadrants_of(hi, extra) + quadrants_of(lo, extra);
  const Turns rounded = turns + (Turns{1} << 125);
  j = kRoundingShift + static_cast<double>(static_cast<int>(rounded >> 126));
  Turns rest = turns << 2;  // the fraction, in units of 2^-128, as a signed number
  const bool negative = rest >> 127;
  if (negative) rest = -rest;
  // 128 bits as doubles of 53 and of what is left, then times pi/2 in the vector code.
  const int zeros = rest >> 64 ? __builtin_clzll(static_cast<std::uint64_t>(rest >> 64))
                               : 64 + __builtin_clzll(static_cast<std::uint64_t>(rest) | 1);
  const Turns top = zeros < 128 ? rest << zeros : rest;
  const double upper = static_cast<double>(static_cast<std::uint64_t>(top >> 75));
  const double lower = static_cast<double>(static_cast<std::uint64_t>(top >> 22) & 0x1fffffffffffff);
  // 2^-(zeros + 53) and 2^-(zeros + 106)
  const std::uint64_t scale_bits = static_cast<std::uint64_t>(1023 - 53 - zeros) << 52;
  double scale;
  __builtin_memcpy(&scale, &scale_bits, sizeof scale);
  if (negative) scale = -scale;
  r_hi = upper * scale;
  r_lo = lower * scale * 0x1p-53;
}

// The lanes of `large` in q, for s omega of any size, a lane at a time.
inline void reduce_large(Vec<double> s, double omega, Mask<double> large, Quadrant& q) {
  constexpr int extra = 110;  // s 2^-110 omega does not overflow where s omega does
  const Mask<double> huge = abs(s) > Vec<double>(0x1p900);
  const Vec<double> smaller = select(huge, s * Vec<double>(0x1p-110), s);
  const Twofold x = two_product(smaller, Vec<double>(omega));
  Twofold fraction(0.0);
  for (Index i = 0; i < Vec<double>::width; ++i) {
    if (large.m[i] == 0) continue;
    double j, hi, lo;
    reduce_lane(x.hi.v[i], x.lo.v[i], huge.m[i] ? extra : 0, j, hi, lo);
    q.j.v[i] = j;
    fraction.hi.v[i] = hi;
    fraction.lo.v[i] = lo;
  }
  q.r = select(large, fraction * Twofold(kHalfPi), q.r);
  const Mask<double> finite = abs(x.hi) <= Vec<double>(0x1.fffffffffffffp1023);
  q.r.hi = select(large & ~finite, x.hi - x.hi, q.r.hi);  // NaN: infinity has no quadrant
}

// What is left of x, less j pi/2; `first` is x.hi less j times the first part, exactly.
MLPKERN_INLINE Twofold remainder(Wide, Twofold x, Vec<double> j, Vec<double> first) {
  // Two parts leave 2^-67, which is enough for a float: no j pi/2 comes nearer to one than 2^-28 (at 161
  // pi/2). To s omega, omega not 1, it may; the error is absolute there. With all four sine took 1.7 times as
  // long.
  return {fma(j, Vec<double>(-kHalfPiTwoParts[1]), first) + x.lo, Vec<double>(0.0)};
}
MLPKERN_INLINE Twofold remainder(Twofold, Twofold x, Vec<double> j, Vec<double> first) {
  const Twofold second = two_sum(first, j * Vec<double>(-kHalfPiParts[1]));
  const Twofold third = two_sum(second.hi, j * Vec<double>(-kHalfPiParts[2]));
  const Twofold fourth = two_sum(third.hi, fma(j, Vec<double>(-kHalfPiParts[3]), x.lo));
  return fast_two_sum(fourth.hi, second.lo + third.lo + fourth.lo);
}

template <class W>
MLPKERN_INLINE Quadrant reduce(Vec<double> s, double omega) {
  const Twofold x = two_product(s, Vec<double>(omega));
  const Vec<double> shift(kRoundingShift);
  const Vec<double> shifted = fma(x.hi, Vec<double>(kTwoOverPi1), shift), j = shifted - shift;
  const Vec<double> first = fma(j, Vec<double>(-kHalfPiParts[0]), x.hi);
  Quadrant q{shifted, remainder(W(), x, j, first)};
  const Mask<double> large = ~(abs(x.hi) <= Vec<double>(0x1p19));
  if (any(large)) reduce_large(s, omega, large, q);
  return q;
}

MLPKERN_INLINE Wide sine_polynomial(Twofold r, Wide) {
  const Vec<double> x = r.hi, z = x * x;
  return fma(x * z, polynomial(z, kSineWide), x);
}
MLPKERN_INLINE Wide cosine_polynomial(Twofold r, Wide) {
  const Vec<double> z = r.hi * r.hi;
  return fma(z * z, polynomial(z, kCosineWide), fma(z, Vec<double>(-0.5), Vec<double>(1.0)));
}
MLPKERN_INLINE Twofold sine_polynomial(Twofold r, Twofold) {
  const Twofold z = square(r);
  return r + r * z * polynomial<fast_two_sum>(z, kSineLead, kSineTail);
}
MLPKERN_INLINE Twofold cosine_polynomial(Twofold r, Twofold) {
  const Twofold z = square(r);
  const Twofold rest = square(z) * polynomial<fast_two_sum>(z, kCosineLead, kCosineTail);
  return (1.0 - scaled(z, Vec<double>(0.5))) + rest;
}

// sin(s omega + turn pi/2).
template <class W>
MLPKERN_INLINE W sine_of_product(W s, double omega, int turn) {
  const Quadrant q = reduce<W>(to_double(s), omega);
  const auto quadrant = bits_of(q.j) + static_cast<std::uint64_t>(turn);
  const Mask<double> odd = mask_of_bit<double>(quadrant, 0);
  const W magnitude = select(odd, cosine_polynomial(q.r, W()), sine_polynomial(q.r, W()));
  const Mask<double> negative = mask_of_bit<double>(quadrant, 1);
  return select(negative, -magnitude, magnitude);
}

}  // namespace mlpkern::MLPKERN_ISA
