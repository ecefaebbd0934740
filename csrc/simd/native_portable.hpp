// SPDX-License-Identifier: BSD-3-Clause
// The portable baseline: vector extensions alone, no intrinsic, any machine (SSE2 on x86-64). It has no
// fused multiply-add, so it is the one ISA whose bits differ from the others'.
#pragma once

namespace mlpkern::MLPKERN_ISA {

constexpr int kVectorBytes = 16;
constexpr bool kHasFma = false;

template <class Native>
MLPKERN_INLINE Native fma(Native a, Native b, Native c) {
  return a * b + c;
}

MLPKERN_INLINE NativeOf<float, kVectorBytes>::type lookup_native(
    const float (&table)[16], NativeOf<std::uint32_t, kVectorBytes>::type index) {
  NativeOf<float, kVectorBytes>::type v;
  for (Index i = 0; i < 4; ++i) v[i] = table[index[i] & 15];
  return v;
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
