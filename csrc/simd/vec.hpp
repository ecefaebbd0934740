// SPDX-License-Identifier: BSD-3-Clause
// Vec<T>: one SIMD register of T, on the compilers' vector extensions, so that kernels read as
// arithmetic. What those extensions lack (fused multiply-add, masked memory access) stands in one
// small native_*.hpp an ISA.
//
// Contract of native_*.hpp:
//   kVectorBytes                 the register's width in bytes
//   kHasFma                      false only for the portable baseline
//   fma(a, b, c)                 a b + c, rounded once; the baseline rounds twice
//   larger, smaller              a > b ? a : b and a < b ? a : b: b where either is NaN
//   lookup_native(table, index)  table[index mod 16] in each lane, of 16 floats or doubles
//   load_partial(p, n)           lanes 0..n-1 from memory, the others 0; reads nothing past p + n
//   store_partial(p, v, n)       lanes 0..n-1 to memory; writes nothing past p + n;   0 <= n <= width
//   HalfFloats, widen, narrow    as many floats as a register holds doubles; both ways between the two
//   load_half, store_half        load_partial and store_partial of HalfFloats
//
// A comparison gives a Mask: all ones or all zeros in each lane, as wide as the lane. A comparison with
// NaN is false (but for !=), so that kernels order their branches with NaN in mind.
#pragma once

#include <cstdint>

#include "base/view.hpp"

#ifndef MLPKERN_ISA
#define MLPKERN_ISA baseline  // a file parsed alone (an editor, a linter)
#endif

#define MLPKERN_INLINE inline __attribute__((always_inline))

// Before a loop over an array of registers: unrolled by order. Where a compiler leaves one such loop be, the
// array is one in memory, written in each turn of the loops around it: products took three times as long.
#define MLPKERN_UNROLL _Pragma("GCC unroll 16")

namespace mlpkern::MLPKERN_ISA {

template <class T, int Bytes>
struct NativeOf {
  typedef T type __attribute__((vector_size(Bytes)));
};

// Integers as wide as a lane. Bits are unsigned, so that arithmetic on them wraps; masks are signed, as
// the compilers' comparisons give them.
template <class T>
struct IntegerOf;
template <>
struct IntegerOf<float> {
  using Signed = std::int32_t;
  using Unsigned = std::uint32_t;
};
template <>
struct IntegerOf<double> {
  using Signed = std::int64_t;
  using Unsigned = std::uint64_t;
};

}  // namespace mlpkern::MLPKERN_ISA

#if defined(__AVX512F__)
#include "simd/native_avx512.hpp"
#elif defined(__AVX2__)
#include "simd/native_avx2.hpp"
#elif defined(__aarch64__)
#include "simd/native_neon.hpp"
#else
#include "simd/native_portable.hpp"
#endif

namespace mlpkern::MLPKERN_ISA {

template <class T>
struct Mask {
  typename NativeOf<typename IntegerOf<T>::Signed, kVectorBytes>::type m;
  friend MLPKERN_INLINE Mask operator&(Mask a, Mask b) { return {a.m & b.m}; }
  friend MLPKERN_INLINE Mask operator|(Mask a, Mask b) { return {a.m | b.m}; }
  friend MLPKERN_INLINE Mask operator~(Mask a) { return {~a.m}; }
};

template <class T>
struct Vec {
  static constexpr Index width = kVectorBytes / static_cast<Index>(sizeof(T));
  using Native = typename NativeOf<T, kVectorBytes>::type;
  using Bits = typename NativeOf<typename IntegerOf<T>::Unsigned, kVectorBytes>::type;

  Native v;

  Vec() = default;
  MLPKERN_INLINE Vec(Native native) : v(native) {}
  MLPKERN_INLINE Vec(T scalar) : v(scalar - Native{}) {}  // x - 0 is x, also for -0.0

  friend MLPKERN_INLINE Vec operator+(Vec a, Vec b) { return a.v + b.v; }
  friend MLPKERN_INLINE Vec operator-(Vec a, Vec b) { return a.v - b.v; }
  friend MLPKERN_INLINE Vec operator*(Vec a, Vec b) { return a.v * b.v; }
  friend MLPKERN_INLINE Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  friend MLPKERN_INLINE Vec operator-(Vec a) { return -a.v; }
  friend MLPKERN_INLINE Mask<T> operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend MLPKERN_INLINE Mask<T> operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend MLPKERN_INLINE Mask<T> operator>(Vec a, Vec b) { return {a.v > b.v}; }
  friend MLPKERN_INLINE Mask<T> operator>=(Vec a, Vec b) { return {a.v >= b.v}; }
  friend MLPKERN_INLINE Mask<T> operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend MLPKERN_INLINE Mask<T> operator!=(Vec a, Vec b) { return {a.v != b.v}; }
};

template <class T>
MLPKERN_INLINE typename Vec<T>::Bits bits_of(Vec<T> a) {
  return reinterpret_cast<typename Vec<T>::Bits>(a.v);
}
template <class T>
MLPKERN_INLINE Vec<T> from_bits(typename Vec<T>::Bits bits) {
  return reinterpret_cast<typename Vec<T>::Native>(bits);
}

// Set where that bit of the lane is set.
template <class T>
MLPKERN_INLINE Mask<T> mask_of_bit(typename Vec<T>::Bits bits, int bit) {
  return {reinterpret_cast<decltype(Mask<T>::m)>(-(bits >> bit & 1))};
}

// if_true where the mask is set, if_false elsewhere.
template <class T>
MLPKERN_INLINE Vec<T> select(Mask<T> mask, Vec<T> if_true, Vec<T> if_false) {
  return mask.m ? if_true.v : if_false.v;
}

// table[index mod 16] in each lane.
template <class T>
MLPKERN_INLINE Vec<T> lookup(const T (&table)[16], typename Vec<T>::Bits index) {
  return lookup_native(table, index);
}

template <class T>
MLPKERN_INLINE bool any(Mask<T> mask) {
  typename IntegerOf<T>::Signed all = 0;
  for (Index i = 0; i < Vec<T>::width; ++i) all |= mask.m[i];
  return all != 0;
}

template <class T>
MLPKERN_INLINE Mask<T> is_nan(Vec<T> a) {
  return a != a;
}

template <class T>
MLPKERN_INLINE Vec<T> sign_bit(Vec<T> a) {
  const auto minus_zero = bits_of(Vec<T>(T(-0.0)));
  return from_bits<T>(bits_of(a) & minus_zero);
}
template <class T>
MLPKERN_INLINE Vec<T> abs(Vec<T> a) {
  const auto minus_zero = bits_of(Vec<T>(T(-0.0)));
  return from_bits<T>(bits_of(a) & ~minus_zero);
}

// The larger and the smaller; b where either is NaN. Write the value that may be NaN second.
template <class T>
MLPKERN_INLINE Vec<T> max(Vec<T> a, Vec<T> b) {
  return larger(a.v, b.v);
}
template <class T>
MLPKERN_INLINE Vec<T> min(Vec<T> a, Vec<T> b) {
  return smaller(a.v, b.v);
}

// Correctly rounded, as IEEE 754 asks of every machine.
template <class T>
MLPKERN_INLINE Vec<T> sqrt(Vec<T> a) {
  Vec<T> root;
  for (Index i = 0; i < Vec<T>::width; ++i) {
    if constexpr (sizeof(T) == 4) {
      root.v[i] = __builtin_sqrtf(a.v[i]);
    } else {
      root.v[i] = __builtin_sqrt(a.v[i]);
    }
  }
  return root;
}

template <class T>
MLPKERN_INLINE Vec<T> load(const T* p) {
  typename Vec<T>::Native native;
  __builtin_memcpy(&native, p, sizeof native);
  return native;
}
template <class T>
MLPKERN_INLINE void store(T* p, Vec<T> a) {
  __builtin_memcpy(p, &a.v, sizeof a.v);
}

template <class T>
MLPKERN_INLINE Vec<T> load(const T* p, Index n) {
  return load_partial(p, n);
}
template <class T>
MLPKERN_INLINE void store(T* p, Vec<T> a, Index n) {
  store_partial(p, a.v, n);
}

// Has the compiler keep a in a register, where it would rather read it from memory again for each use.
template <class T>
MLPKERN_INLINE void hold(Vec<T>& a) {
#if defined(__AVX512F__)
  asm("" : "+v"(a.v));
#elif defined(__x86_64__)
  asm("" : "+x"(a.v));
#elif defined(__aarch64__)
  asm("" : "+w"(a.v));
#endif
}

template <class T>
MLPKERN_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return fma(a.v, b.v, c.v);
}

// As many floats as a register holds doubles, widened (exactly), and back (rounded to nearest).
MLPKERN_INLINE Vec<double> load_widened(const float* p) {
  HalfFloats half;
  __builtin_memcpy(&half, p, sizeof half);
  return widen(half);
}
MLPKERN_INLINE Vec<double> load_widened(const float* p, Index n) { return widen(load_half(p, n)); }
MLPKERN_INLINE void store_narrowed(float* p, Vec<double> a) {
  const HalfFloats half = narrow(a.v);
  __builtin_memcpy(p, &half, sizeof half);
}
MLPKERN_INLINE void store_narrowed(float* p, Vec<double> a, Index n) { store_half(p, narrow(a.v), n); }

}  // namespace mlpkern::MLPKERN_ISA
