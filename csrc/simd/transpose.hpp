// SPDX-License-Identifier: BSD-3-Clause
// A square of a register's width transposed in registers: log2(width) rounds, each of which interleaves the
// first half of the rows with the second, a perfect shuffle of rows and lanes. 64 shuffles for 256 floats
// on AVX-512, where element by element a transposed copy takes 2 to 4 cycles an element.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// The numbers 0 … N - 1 as a pack (std::integer_sequence, whose header would not be this ISA's own).
template <Index... Lane>
struct Lanes {};
template <Index N, Index... Lane>
struct LanesUpTo {
  using type = typename LanesUpTo<N - 1, N - 1, Lane...>::type;
};
template <Index... Lane>
struct LanesUpTo<0, Lane...> {
  using type = Lanes<Lane...>;
};

// a[0] b[0] a[1] b[1] … from the first halves of a and b (Half 0) or from the second (Half 1).
template <Index Half, class T, Index... Lane>
MLPKERN_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, Lanes<Lane...>) {
  constexpr Index width = Vec<T>::width;
  return __builtin_shufflevector(a.v, b.v, (Half * width / 2 + Lane / 2 + Lane % 2 * width)...);
}

// rows[i][j] becomes rows[j][i].
template <class T>
MLPKERN_INLINE void transpose(Vec<T> (&rows)[Vec<T>::width]) {
  constexpr Index width = Vec<T>::width;
  constexpr typename LanesUpTo<width>::type lanes;
  for (Index round = 1; round < width; round *= 2) {
    Vec<T> next[width];
    for (Index i = 0; i < width / 2; ++i) {
      next[2 * i] = interleave<0>(rows[i], rows[i + width / 2], lanes);
      next[2 * i + 1] = interleave<1>(rows[i], rows[i + width / 2], lanes);
    }
    for (Index i = 0; i < width; ++i) rows[i] = next[i];
  }
}

}  // namespace mlpkern::MLPKERN_ISA
