// SPDX-License-Identifier: BSD-3-Clause
// Sizes of the blocks of a product, in the words of the BLIS papers: the microkernel computes MR x NR
// elements of c in registers; KC rows of a panel of b stay in L1/L2; NC columns of b are packed at a time.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
struct Blocking {
  // Registers: MR * vectors accumulators + vectors of b + 1 broadcast of a.
  //   32 registers (AVX-512, NEON): 6 * 4 + 4 + 1 = 29;   16 registers (AVX2, SSE2): 6 * 2 + 2 + 1 = 15.
#if defined(__AVX512F__) || defined(__aarch64__)
  static constexpr Index vectors = 4;
#else
  static constexpr Index vectors = 2;
#endif
  static constexpr Index MR = 6;
  static constexpr Index NR = vectors * Vec<T>::width;
  // A panel of b, KC * NR * sizeof(T) = 384 * 64 * 4 B = 96 kB on AVX-512, is read again for each MR rows
  // from L2 (1 MB); chains continue from c between blocks, so KC changes no bit. 256 gave 2 % less at 1024.
  static constexpr Index KC = 384;
  // A packed block of b, KC * NC * sizeof(T), takes most of L2: 384 * 512 * 4 B = 768 kB.
  static constexpr Index NC = 2048 / static_cast<Index>(sizeof(T));
  // A packed block of a, MC * KC * sizeof(T) = 96 * 384 * 4 B = 144 kB.
  static constexpr Index MC = 96;
  static_assert(NC % NR == 0 && MC % MR == 0);
};

}  // namespace mlpkern::MLPKERN_ISA
