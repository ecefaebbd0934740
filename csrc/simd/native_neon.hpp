// SPDX-License-Identifier: BSD-3-Clause
// NEON, the baseline of every 64-bit Arm: the contract stands in vec.hpp.
#pragma once

#include <arm_neon.h>

namespace mlpkern::MLPKERN_ISA {

constexpr int kVectorBytes = 16;
constexpr bool kHasFma = true;

MLPKERN_INLINE float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
MLPKERN_INLINE float64x2_t fma(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }

// 64 bytes, by the four indices of a lane's bytes.
MLPKERN_INLINE float32x4_t lookup_native(const float (&table)[16],
                                         NativeOf<std::uint32_t, kVectorBytes>::type index) {
  const uint32x4_t bytes = (index & 15) * 0x04040404 + 0x03020100;
  const uint8x16x4_t rows = vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(table));
  return vreinterpretq_f32_u8(vqtbl4q_u8(rows, vreinterpretq_u8_u32(bytes)));
}

// A lane at a time.
MLPKERN_INLINE NativeOf<double, kVectorBytes>::type lookup_native(
    const double (&table)[16], NativeOf<std::uint64_t, kVectorBytes>::type index) {
  NativeOf<double, kVectorBytes>::type v;
  for (Index i = 0; i < kVectorBytes / 8; ++i) v[i] = table[index[i] & 15];
  return v;
}

}  // namespace mlpkern::MLPKERN_ISA

#include "simd/partial_by_copy.hpp"
