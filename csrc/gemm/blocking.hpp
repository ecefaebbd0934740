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
  // A packed panel of b, KC * NR * sizeof(T) = 512 * 64 * 4 B = 128 kB on AVX-512, is read again from L2 (1
  // MB) for each MR rows; chains continue from c between blocks, so KC changes no bit. Each time c is read
  // and written: 384 gave 2 % less at 1024, 256 4 %.
  static constexpr Index KC = 512;
  // Columns of b that are packed at a time, 2048 floats or 4 MB: where a is packed too, it is so once for
  // each NC. 512 gave 2 % less for x' ds at 1024 and 2048.
  static constexpr Index NC = 8192 / static_cast<Index>(sizeof(T));
  // A block of a, MC * KC * sizeof(T) = 96 * 512 * 4 B = 192 kB, stays in L2 while panels of b pass by.
  static constexpr Index MC = 96;
  static_assert(NC % NR == 0 && MC % MR == 0);

  // From one packed panel to the next: a line more than a panel of k rows takes, as rows go into all panels
  // at once, which else, with 4 kB between their lines, would all meet in one set of L1.
  static constexpr Index panel_step(Index k, Index width) {
    return k * width + 64 / static_cast<Index>(sizeof(T));
  }
  static constexpr Index a_size = MC / MR * panel_step(KC, MR), b_size = NC / NR * panel_step(KC, NR);
};

}  // namespace mlpkern::MLPKERN_ISA
