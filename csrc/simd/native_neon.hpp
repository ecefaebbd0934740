// SPDX-License-Identifier: BSD-3-Clause
// NEON, the baseline of every 64-bit Arm: the contract stands in vec.hpp.
#pragma once

#include <arm_neon.h>

namespace mlpkern::MLPKERN_ISA {

constexpr int kVectorBytes = 16;
constexpr bool kHasFma = true;

MLPKERN_INLINE float32x4_t fma(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
MLPKERN_INLINE float64x2_t fma(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }

}  // namespace mlpkern::MLPKERN_ISA

#include "simd/partial_by_copy.hpp"
