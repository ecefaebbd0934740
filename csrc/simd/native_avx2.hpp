// SPDX-License-Identifier: BSD-3-Clause
// AVX2 with FMA: the contract stands in vec.hpp.
#pragma once

#include <immintrin.h>

namespace mlpkern::MLPKERN_ISA {

constexpr int kVectorBytes = 32;
constexpr bool kHasFma = true;

MLPKERN_INLINE __m256 fma(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
MLPKERN_INLINE __m256d fma(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }

MLPKERN_INLINE __m256 larger(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
MLPKERN_INLINE __m256d larger(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
MLPKERN_INLINE __m256 smaller(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
MLPKERN_INLINE __m256d smaller(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }

// The two halves of the table, and the index's bit of value 8 to choose: blendv looks at the sign.
MLPKERN_INLINE __m256 lookup_native(const float (&table)[16],
                                    NativeOf<std::uint32_t, kVectorBytes>::type index) {
  const __m256i i = reinterpret_cast<__m256i>(index);
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), i);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), i);
  return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}

// A lane at a time.
MLPKERN_INLINE NativeOf<double, kVectorBytes>::type lookup_native(
    const double (&table)[16], NativeOf<std::uint64_t, kVectorBytes>::type index) {
  NativeOf<double, kVectorBytes>::type v;
  for (Index i = 0; i < kVectorBytes / 8; ++i) v[i] = table[index[i] & 15];
  return v;
}

// All ones in lanes 0..n-1: a window of eight (four) integers that slides over ones, then zeros.
MLPKERN_INLINE __m256i first_lanes32(Index n) {
  alignas(32) static constexpr std::int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones + 8 - n));
}
MLPKERN_INLINE __m256i first_lanes64(Index n) {
  alignas(32) static constexpr std::int64_t ones[8] = {-1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(ones + 4 - n));
}

MLPKERN_INLINE __m256 load_partial(const float* p, Index n) {
  return _mm256_maskload_ps(p, first_lanes32(n));
}
MLPKERN_INLINE __m256d load_partial(const double* p, Index n) {
  return _mm256_maskload_pd(p, first_lanes64(n));
}
MLPKERN_INLINE void store_partial(float* p, __m256 v, Index n) {
  _mm256_maskstore_ps(p, first_lanes32(n), v);
}
MLPKERN_INLINE void store_partial(double* p, __m256d v, Index n) {
  _mm256_maskstore_pd(p, first_lanes64(n), v);
}

using HalfFloats = __m128;
MLPKERN_INLINE __m256d widen(HalfFloats half) { return _mm256_cvtps_pd(half); }
MLPKERN_INLINE HalfFloats narrow(__m256d v) { return _mm256_cvtpd_ps(v); }
MLPKERN_INLINE __m128i first_half_lanes(Index n) {
  return _mm256_castsi256_si128(first_lanes32(n));  // n <= 4
}
MLPKERN_INLINE HalfFloats load_half(const float* p, Index n) {
  return _mm_maskload_ps(p, first_half_lanes(n));
}
MLPKERN_INLINE void store_half(float* p, HalfFloats half, Index n) {
  _mm_maskstore_ps(p, first_half_lanes(n), half);
}

}  // namespace mlpkern::MLPKERN_ISA
