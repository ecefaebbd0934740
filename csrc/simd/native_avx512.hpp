// SPDX-License-Identifier: BSD-3-Clause
// AVX-512 (F, BW, DQ, VL): the contract stands in vec.hpp.
#pragma once

#include <immintrin.h>

namespace mlpkern::MLPKERN_ISA {

constexpr int kVectorBytes = 64;
constexpr bool kHasFma = true;

MLPKERN_INLINE __m512 fma(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
MLPKERN_INLINE __m512d fma(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }

// The masked forms, all lanes on: GCC 12 warns of an uninitialized value inside the plain ones.
MLPKERN_INLINE __m512 larger(__m512 a, __m512 b) { return _mm512_maskz_max_ps(0xffff, a, b); }
MLPKERN_INLINE __m512d larger(__m512d a, __m512d b) { return _mm512_maskz_max_pd(0xff, a, b); }
MLPKERN_INLINE __m512 smaller(__m512 a, __m512 b) { return _mm512_maskz_min_ps(0xffff, a, b); }
MLPKERN_INLINE __m512d smaller(__m512d a, __m512d b) { return _mm512_maskz_min_pd(0xff, a, b); }

MLPKERN_INLINE __m512 lookup_native(const float (&table)[16],
                                    NativeOf<std::uint32_t, kVectorBytes>::type index) {
  return _mm512_maskz_permutexvar_ps(0xffff, reinterpret_cast<__m512i>(index), _mm512_loadu_ps(table));
}
MLPKERN_INLINE __m512d lookup_native(const double (&table)[16],
                                     NativeOf<std::uint64_t, kVectorBytes>::type index) {
  return _mm512_permutex2var_pd(_mm512_loadu_pd(table), reinterpret_cast<__m512i>(index),
                                _mm512_loadu_pd(table + 8));
}

MLPKERN_INLINE __mmask16 first_lanes(Index n) { return static_cast<__mmask16>((1u << n) - 1u); }

MLPKERN_INLINE __m512 load_partial(const float* p, Index n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
MLPKERN_INLINE __m512d load_partial(const double* p, Index n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(first_lanes(n)), p);
}
MLPKERN_INLINE void store_partial(float* p, __m512 v, Index n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}
MLPKERN_INLINE void store_partial(double* p, __m512d v, Index n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first_lanes(n)), v);
}

using HalfFloats = __m256;
MLPKERN_INLINE __m512d widen(HalfFloats half) { return _mm512_maskz_cvtps_pd(0xff, half); }
MLPKERN_INLINE HalfFloats narrow(__m512d v) { return _mm512_maskz_cvtpd_ps(0xff, v); }
MLPKERN_INLINE HalfFloats load_half(const float* p, Index n) {
  return _mm256_maskz_loadu_ps(static_cast<__mmask8>(first_lanes(n)), p);
}
MLPKERN_INLINE void store_half(float* p, HalfFloats half, Index n) {
  _mm256_mask_storeu_ps(p, static_cast<__mmask8>(first_lanes(n)), half);
}

}  // namespace mlpkern::MLPKERN_ISA
