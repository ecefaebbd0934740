// SPDX-License-Identifier: BSD-3-Clause
// Sums and products of vectors, element by element: what derivatives are put together from. Outputs may be
// inputs.
#pragma once

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// f(i, lanes...) for each register of n elements, of the last of which `lanes...` are in use.
template <class T, class F>
MLPKERN_INLINE void for_each_chunk(Index n, F f) {
  Index i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) f(i);
  if (i < n) f(i, n - i);
}

// sum += x
template <class T>
void add(const T* x, T* sum, Index n) {
  for_each_chunk<T>(n, [=](Index i, auto... lanes) {
    store(sum + i, load(sum + i, lanes...) + load(x + i, lanes...), lanes...);
  });
}

// out = x y
template <class T>
void multiply(const T* x, const T* y, T* out, Index n) {
  for_each_chunk<T>(n, [=](Index i, auto... lanes) {
    store(out + i, load(x + i, lanes...) * load(y + i, lanes...), lanes...);
  });
}

// sum += x y
template <class T>
void multiply_add(const T* x, const T* y, T* sum, Index n) {
  for_each_chunk<T>(n, [=](Index i, auto... lanes) {
    store(sum + i, fma(load(x + i, lanes...), load(y + i, lanes...), load(sum + i, lanes...)), lanes...);
  });
}

// out (rows, cols) = x' y, or where `accumulate` is set, added to it; x (rows,), y (cols,).
template <class T>
void outer_product(const T* x, Index rows, const T* y, Index cols, T* out, bool accumulate) {
  for (Index row = 0; row < rows; ++row, out += cols) {
    const Vec<T> factor(x[row]);
    for_each_chunk<T>(cols, [=](Index i, auto... lanes) {
      const Vec<T> v = load(y + i, lanes...);
      store(out + i, accumulate ? fma(factor, v, load(out + i, lanes...)) : factor * v, lanes...);
    });
  }
}

}  // namespace mlpkern::MLPKERN_ISA
