// SPDX-License-Identifier: BSD-3-Clause
// What the machine can do at best: fused multiply-adds in registers, and a sum y += factor x in memory.
// They are timed elsewhere; neither belongs to any network.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// Independent chains: more than latency times units (4 x 2 on what there is), few enough for 16 registers.
constexpr Index kFmaChains = 12;

template <class T>
constexpr Index fma_probe_flops() {
  return 2 * kFmaChains * Vec<T>::width;
}

// c = c/2 + 1 in every lane of every chain, count times. The sum of them all, so that none is left out.
template <class T>
T fma_probe(Index count, T half, T one) {
  Vec<T> chains[kFmaChains];
  for (Index i = 0; i < kFmaChains; ++i) chains[i] = Vec<T>(static_cast<T>(i));
  const Vec<T> factor(half), term(one);
  for (Index repeat = 0; repeat < count; ++repeat) {
    for (Index i = 0; i < kFmaChains; ++i) chains[i] = fma(chains[i], factor, term);
  }
  T sum = 0;
  for (Index i = 0; i < kFmaChains; ++i) {
    for (Index lane = 0; lane < Vec<T>::width; ++lane) sum += chains[i].v[lane];
  }
  return sum;
}

// y[i] += factor x[i]: like an optimizer, it writes only what it has read, 12 bytes a float.
template <class T>
void bandwidth_probe(T* y, const T* x, T factor, Index n) {
  const Vec<T> factors(factor);
  Index i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) store(y + i, fma(factors, load(x + i), load(y + i)));
  if (i < n) store(y + i, fma(factors, load(x + i, n - i), load(y + i, n - i)), n - i);
}

}  // namespace mlpkern::MLPKERN_ISA
