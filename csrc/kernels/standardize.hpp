// SPDX-License-Identifier: BSD-3-Clause
// y = (x - mean) factor with a mean and a factor, 1/scale, for each column, and dx = dy factor: in double,
// whatever T is, and rounded to T once. With u = 2^-53 the three roundings in double (difference, factor,
// product) make an error of at most 3u |y|: float32 has the nearest number but for near-ties, however large
// the mean is beside the scale. y may be x.
#pragma once

#include "dispatch/table.hpp"
#include "kernels/pieces.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class... Lanes>
MLPKERN_INLINE Vec<double> load_double(const float* p, Lanes... lanes) {
  return load_widened(p, lanes...);
}
template <class... Lanes>
MLPKERN_INLINE Vec<double> load_double(const double* p, Lanes... lanes) {
  return load(p, lanes...);
}
template <class... Lanes>
MLPKERN_INLINE void store_double(float* p, Vec<double> a, Lanes... lanes) {
  store_narrowed(p, a, lanes...);
}
template <class... Lanes>
MLPKERN_INLINE void store_double(double* p, Vec<double> a, Lanes... lanes) {
  store(p, a, lanes...);
}

template <class T, class... Lanes>
MLPKERN_INLINE void standardize_vector(const T* x, Vec<double> mean, Vec<double> factor, T* y,
                                       Lanes... lanes) {
  store_double(y, (load_double(x, lanes...) - mean) * factor, lanes...);
}

// x, y (rows, cols); four rows share the loads of their columns' numbers.
template <class T>
void standardize(const T* x, Standardization by, T* y, Index rows, Index cols) {
  constexpr Index kRows = 4;
  for (Index row = 0; row < rows; row += kRows) {
    const Index end = min_index(row + kRows, rows) * cols;
    for_each_vector(cols, [=](Index j, auto... lanes) {
      const Vec<double> mean = by.mean == nullptr ? Vec<double>(0.0) : load(by.mean + j, lanes...);
      const Vec<double> factor = load(by.factor + j, lanes...);
      for (Index i = row * cols + j; i < end; i += cols)
        standardize_vector(x + i, mean, factor, y + i, lanes...);
    });
  }
}

// The same turned: x, y (cols, stride), a column of the samples in each row.
template <class T>
void standardize_turned(const T* x, Standardization by, T* y, Index cols, Index stride) {
  for (Index j = 0; j < cols; ++j, x += stride, y += stride) {
    const Vec<double> mean(by.mean == nullptr ? 0.0 : by.mean[j]), factor(by.factor[j]);
    for_each_vector(
        stride, [=](Index i, auto... lanes) { standardize_vector(x + i, mean, factor, y + i, lanes...); });
  }
}

}  // namespace mlpkern::MLPKERN_ISA
