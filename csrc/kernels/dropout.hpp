// SPDX-License-Identifier: BSD-3-Clause
// Dropout: out = scale x where a random number says "keep", 0 x elsewhere (so that NaN and infinity show).
// The numbers come from a counter: that of row i and column j is a function of the key, i and j alone,
// whatever rows are worked on together, by whom, and however they lie. Forward and backward make the same
// mask anew.
//
// The function is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
// as 1, 2, 3; SC 2011): additions, rotations and exclusive ors, so that 16 counters go through it at once on
// every ISA. The counter (i, 16 (j div 32) + j mod 16) gives two words: the first for the columns whose j div
// 16 is even, the second for the others, 16 columns further on.
#pragma once

#include "dispatch/table.hpp"
#include "kernels/vectors.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kWords = 16;
typedef std::uint32_t Words __attribute__((vector_size(4 * kWords)));
struct WordPair {
  Words first, second;
};

template <int Bits>
MLPKERN_INLINE void one_round(WordPair& x) {
  x.first += x.second;
  x.second = (x.second << Bits | x.second >> (32 - Bits)) ^ x.first;
}

// Four rounds, and the key words that are added behind them.
template <int R0, int R1, int R2, int R3>
MLPKERN_INLINE void four_rounds(WordPair& x, std::uint32_t key0, std::uint32_t key1) {
  one_round<R0>(x);
  one_round<R1>(x);
  one_round<R2>(x);
  one_round<R3>(x);
  x.first += key0;
  x.second += key1;
}

MLPKERN_INLINE WordPair threefry(const std::uint32_t* key, WordPair counter) {
  const std::uint32_t k0 = key[0], k1 = key[1], k2 = k0 ^ k1 ^ 0x1bd11bda;
  WordPair x = {counter.first + k0, counter.second + k1};
  four_rounds<13, 15, 26, 6>(x, k1, k2 + 1);
  four_rounds<17, 29, 16, 24>(x, k2, k0 + 2);
  four_rounds<13, 15, 26, 6>(x, k0, k1 + 3);
  four_rounds<17, 29, 16, 24>(x, k1, k2 + 4);
  four_rounds<13, 15, 26, 6>(x, k2, k0 + 5);
  return x;
}

// factors[k] = scale where word k is less than keep, else 0.
template <class T>
MLPKERN_INLINE void factors_of(Words words, const DropoutMask& mask, T* factors) {
  typedef typename IntegerOf<T>::Signed Wide __attribute__((vector_size(kWords * sizeof(T))));
  typedef T Numbers __attribute__((vector_size(kWords * sizeof(T))));
  const T scale = static_cast<T>(mask.scale);
  const Wide kept = __builtin_convertvector(words < mask.keep, Wide);  // -1 or 0
  const Numbers chosen = kept ? scale - Numbers{} : Numbers{};
  __builtin_memcpy(factors, &chosen, sizeof chosen);
}

template <class T>
void dropout(const T* x, T* out, Index first_row, Index rows, Index cols, Index stride,
             const DropoutMask& mask) {
  const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, zeros = {};
  alignas(64) T factors[2 * kWords];
  const auto draw = [&](Words row, Words counter) {
    const WordPair words = threefry(mask.key, {row, counter});
    factors_of(words.first, mask, factors);
    factors_of(words.second, mask, factors + kWords);
  };
  const auto at_most = [](Index n, Index most) { return n < most ? n : most; };
  if (stride == 0) {
    for (Index i = 0; i < rows; ++i) {
      const Words row = zeros + static_cast<std::uint32_t>(first_row + i);
      for (Index j = 0; j < cols; j += 2 * kWords) {
        draw(row, lanes + static_cast<std::uint32_t>(j / 2));
        const Index place = i * cols + j;
        multiply<T>(x + place, factors, out + place, at_most(cols - j, 2 * kWords));
      }
    }
    return;
  }
  for (Index j = 0; j < cols; j += j % kWords == kWords - 1 ? kWords + 1 : 1) {
    const Words counter = zeros + static_cast<std::uint32_t>(j / (2 * kWords) * kWords + j % kWords);
    for (Index i = 0; i < stride; i += kWords) {  // in the last lanes there may be no sample
      draw(lanes + static_cast<std::uint32_t>(first_row + i), counter);
      const Index count = at_most(stride - i, kWords);
      multiply<T>(x + j * stride + i, factors, out + j * stride + i, count);
      if (j + kWords >= cols) continue;
      const Index second = (j + kWords) * stride + i;
      multiply<T>(x + second, factors + kWords, out + second, count);
    }
  }
}

}  // namespace mlpkern::MLPKERN_ISA
