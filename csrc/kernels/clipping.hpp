// SPDX-License-Identifier: BSD-3-Clause
// What clipping gradients takes: the sum of their squares, and two ways to make them smaller, in place.
#pragma once

#include "kernels/vectors.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

MLPKERN_INLINE Vec<double> load_wide(const float* p) { return load_widened(p); }
MLPKERN_INLINE Vec<double> load_wide(const float* p, Index n) { return load_widened(p, n); }
MLPKERN_INLINE Vec<double> load_wide(const double* p) { return load(p); }
MLPKERN_INLINE Vec<double> load_wide(const double* p, Index n) { return load(p, n); }

// (factor x[0])² + (factor x[1])² + … in 32 virtual lanes, in double: lane j adds elements j, j + 32, … in
// order, and the second half of the lanes is added to the first until one is left. 32: four chains of
// additions where registers are widest.
template <class T>
double sum_of_squares(const T* x, double factor, Index n) {
  constexpr Index kSumLanes = 32, width = Vec<double>::width, registers = kSumLanes / width;
  Vec<double> sums[registers] = {};
  const Vec<double> f(factor);
  const auto add = [&](Index r, Vec<double> v) { sums[r] = fma(f * v, f * v, sums[r]); };
  Index i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes) {
    MLPKERN_UNROLL
    for (Index r = 0; r < registers; ++r) add(r, load_wide(x + i + r * width));
  }
  for (Index r = 0; i < n; ++r, i += width) {
    if (n - i >= width) {
      add(r, load_wide(x + i));
    } else {
      add(r, load_wide(x + i, n - i));
    }
  }
  double lanes[kSumLanes];
  for (Index r = 0; r < registers; ++r) store(lanes + r * width, sums[r]);
  for (Index half = kSumLanes / 2; half > 0; half /= 2) {
    for (Index j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

MLPKERN_INLINE void store_wide(float* p, Vec<double> x) { store_narrowed(p, x); }
MLPKERN_INLINE void store_wide(float* p, Vec<double> x, Index n) { store_narrowed(p, x, n); }
MLPKERN_INLINE void store_wide(double* p, Vec<double> x) { store(p, x); }
MLPKERN_INLINE void store_wide(double* p, Vec<double> x, Index n) { store(p, x, n); }

// x *= factor, in double: a factor may be smaller than floats are.
template <class T>
void scale(T* x, double factor, Index n) {
  const Vec<double> f(factor);
  for_each_chunk<double>(
      n, [=](Index i, auto... lanes) { store_wide(x + i, f * load_wide(x + i, lanes...), lanes...); });
}

// x into [-bound, bound]; NaN stays.
template <class T>
void clamp(T* x, T bound, Index n) {
  const Vec<T> most(bound), least(-bound);
  for_each_chunk<T>(n, [=](Index i, auto... lanes) {
    store(x + i, min(most, max(least, load(x + i, lanes...))), lanes...);
  });
}

}  // namespace mlpkern::MLPKERN_ISA
