// SPDX-License-Identifier: BSD-3-Clause
// Work<T>: the number that a formula for T is evaluated in, wider than T, so that the result is rounded
// to T once, at the end, and one formula serves both dtypes.
//
//   Work<float>  = Wide      a double; exp, log … of it are right to 2^-35 or better
//   Work<double> = Twofold   an unevaluated sum hi + lo of two doubles; + - * / sqrt are right to about
//                            2^-100, exp, log … to 2^-62 or better
//
// Both have + - * / and unary -, with doubles as operands too, comparisons (a Mask<double>), select, abs,
// sqrt, and math/exp.hpp, math/log.hpp … on top. Infinities and NaN behave as in IEEE 754.
#pragma once

#include "math/twofold.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

struct Wide {
  Vec<double> v;

  Wide() = default;
  MLPKERN_INLINE Wide(double c) : v(c) {}
  MLPKERN_INLINE Wide(Vec<double> x) : v(x) {}
  MLPKERN_INLINE Wide(Twin c) : v(c.hi) {}

  friend MLPKERN_INLINE Wide operator+(Wide a, Wide b) { return a.v + b.v; }
  friend MLPKERN_INLINE Wide operator-(Wide a, Wide b) { return a.v - b.v; }
  friend MLPKERN_INLINE Wide operator*(Wide a, Wide b) { return a.v * b.v; }
  friend MLPKERN_INLINE Wide operator/(Wide a, Wide b) { return a.v / b.v; }
  friend MLPKERN_INLINE Wide operator-(Wide a) { return -a.v; }
  friend MLPKERN_INLINE Mask<double> operator<(Wide a, Wide b) { return a.v < b.v; }
  friend MLPKERN_INLINE Mask<double> operator<=(Wide a, Wide b) { return a.v <= b.v; }
  friend MLPKERN_INLINE Mask<double> operator>(Wide a, Wide b) { return a.v > b.v; }
  friend MLPKERN_INLINE Mask<double> operator>=(Wide a, Wide b) { return a.v >= b.v; }
  friend MLPKERN_INLINE Mask<double> operator==(Wide a, Wide b) { return a.v == b.v; }
  friend MLPKERN_INLINE Mask<double> operator!=(Wide a, Wide b) { return a.v != b.v; }
};

template <class T>
struct WorkOf;
template <>
struct WorkOf<float> {
  using type = Wide;
};
template <>
struct WorkOf<double> {
  using type = Twofold;
};
template <class T>
using Work = typename WorkOf<T>::type;

MLPKERN_INLINE Wide select(Mask<double> mask, Wide a, Wide b) { return select(mask, a.v, b.v); }
MLPKERN_INLINE Wide abs(Wide a) { return abs(a.v); }
MLPKERN_INLINE Wide sqrt(Wide a) { return sqrt(a.v); }
MLPKERN_INLINE Wide square(Wide a) { return a.v * a.v; }
// a, which is not negative, with the sign of `sign`.
MLPKERN_INLINE Wide with_sign(Wide a, Wide sign) {
  return from_bits<double>(bits_of(a.v) | bits_of(sign_bit(sign.v)));
}
// a times a power of two, which is exact.
MLPKERN_INLINE Wide scaled(Wide a, Vec<double> power) { return a.v * power; }
// A product of two plain doubles.
template <class W>
MLPKERN_INLINE W product(Vec<double> a, Vec<double> b);
template <>
MLPKERN_INLINE Wide product<Wide>(Vec<double> a, Vec<double> b) {
  return a * b;
}
template <>
MLPKERN_INLINE Twofold product<Twofold>(Vec<double> a, Vec<double> b) {
  return two_product(a, b);
}

// The nearest double.
MLPKERN_INLINE Vec<double> to_double(Wide a) { return a.v; }
MLPKERN_INLINE Vec<double> to_double(Twofold a) {
  return select(a.lo == Vec<double>(0.0), a.hi, a.hi + a.lo);  // hi itself: it may be -0
}

// x kept in [low, high]; NaN stays.
MLPKERN_INLINE Wide clamp(Wide x, double low, double high) {
  return min(Vec<double>(high), max(Vec<double>(low), x.v));
}
MLPKERN_INLINE Twofold clamp(Twofold x, double low, double high) {
  const Twofold above = select(x.hi < Vec<double>(low), Twofold(low), x);
  return select(x.hi > Vec<double>(high), Twofold(high), above);
}

// x times scale, a power of two, is meant: a factor of a result that may be subnormal is kept in the
// normal range until the result is stored, so that it is rounded once. Where |x scale| > 2^-900, and
// for Wide always, scale is 1.
template <class W>
struct LaneOf {
  using type = double;
};
template <class T>
struct LaneOf<Vec<T>> {
  using type = T;
};
template <class W>
struct Scaled {
  W x;
  Vec<typename LaneOf<W>::type> scale;
};

// `scale` where the mask is set, 1 elsewhere.
template <class T>
MLPKERN_INLINE Vec<T> scale_where(Mask<T> mask, Vec<T> scale) {
  return select(mask, scale, Vec<T>(T(1)));
}

// Room that a product of small factors is given below 1; 1 where the exponent range needs none.
template <class W>
constexpr double kHeadroom = 1.0;
template <>
inline constexpr double kHeadroom<Twofold> = 0x1p300;

template <class T>
MLPKERN_INLINE Work<T> load_work(const T* p);
template <>
MLPKERN_INLINE Wide load_work(const float* p) {
  return load_widened(p);
}
template <>
MLPKERN_INLINE Twofold load_work(const double* p) {
  return load(p);
}
template <class T>
MLPKERN_INLINE Work<T> load_work(const T* p, Index n);
template <>
MLPKERN_INLINE Wide load_work(const float* p, Index n) {
  return load_widened(p, n);
}
template <>
MLPKERN_INLINE Twofold load_work(const double* p, Index n) {
  return load(p, n);
}

MLPKERN_INLINE void store_work(float* p, Wide a) { store_narrowed(p, a.v); }
MLPKERN_INLINE void store_work(float* p, Wide a, Index n) { store_narrowed(p, a.v, n); }
MLPKERN_INLINE void store_work(double* p, Twofold a) { store(p, to_double(a)); }
MLPKERN_INLINE void store_work(double* p, Twofold a, Index n) { store(p, to_double(a), n); }

MLPKERN_INLINE Vec<double> to_double(Scaled<Wide> a) { return a.x.v; }
MLPKERN_INLINE Vec<double> to_double(Scaled<Twofold> a) { return to_double(a.x) * a.scale; }
MLPKERN_INLINE void store_work(float* p, Scaled<Wide> a) { store_work(p, a.x); }
MLPKERN_INLINE void store_work(float* p, Scaled<Wide> a, Index n) { store_work(p, a.x, n); }
MLPKERN_INLINE void store_work(double* p, Scaled<Twofold> a) { store(p, to_double(a)); }
MLPKERN_INLINE void store_work(double* p, Scaled<Twofold> a, Index n) { store(p, to_double(a), n); }

}  // namespace mlpkern::MLPKERN_ISA
