// SPDX-License-Identifier: BSD-3-Clause
// The loops around a function of one element, and the products of its derivative with a vector.
// Outputs may be inputs: each element is read before it is written.
#pragma once

#include "dispatch/table.hpp"
#include "math/work.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// What a chunk of elements is loaded as. Rounded: in T itself, for functions that need no wider number.
template <class T>
MLPKERN_INLINE Vec<T> rounded(Vec<T> x) {
  return x;
}
template <class T>
MLPKERN_INLINE Vec<T> rounded(Scaled<Vec<T>> a) {
  return a.x * a.scale;
}
template <class T>
struct Rounded {
  static constexpr Index width = Vec<T>::width;
  static MLPKERN_INLINE Vec<T> load_all(const T* p) { return load(p); }
  static MLPKERN_INLINE Vec<T> load_first(const T* p, Index n) { return load(p, n); }
  template <class X>
  static MLPKERN_INLINE void store_all(T* p, X x) {
    store(p, rounded(x));
  }
  template <class X>
  static MLPKERN_INLINE void store_first(T* p, X x, Index n) {
    store(p, rounded(x), n);
  }
};
template <class T>
struct Widened {
  static constexpr Index width = Vec<double>::width;
  static MLPKERN_INLINE Work<T> load_all(const T* p) { return load_work(p); }
  static MLPKERN_INLINE Work<T> load_first(const T* p, Index n) { return load_work(p, n); }
  template <class W>
  static MLPKERN_INLINE void store_all(T* p, W x) {
    store_work(p, x);
  }
  template <class W>
  static MLPKERN_INLINE void store_first(T* p, W x, Index n) {
    store_work(p, x, n);
  }
};

// out[i] = f(s[i]). One body: whether the chunk is whole is asked in each turn, which costs less than
// a second copy of f would cost in code.
template <class Access, class T, class F>
MLPKERN_INLINE void map_elements(const T* s, T* out, Index n, F f) {
  for (Index i = 0; i < n; i += Access::width) {
    const bool whole = n - i >= Access::width;
    const auto x = whole ? Access::load_all(s + i) : Access::load_first(s + i, n - i);
    const auto y = f(x);
    if (whole) {
      Access::store_all(out + i, y);
    } else {
      Access::store_first(out + i, y, n - i);
    }
  }
}

// out[i] = f(s[i]) v[i], f in T itself: one pass.
template <class T, class F>
MLPKERN_INLINE void multiply_elements(const T* s, const T* v, T* out, Index n, F f) {
  constexpr Index width = Vec<T>::width;
  const auto product = [&](Vec<T> x, Vec<T> y) { return rounded(f(x)) * y; };
  for (Index i = 0; i < n; i += width) {
    const Index left = n - i;
    if (left >= width) {
      store(out + i, product(load(s + i), load(v + i)));
    } else {
      store(out + i, product(load(s + i, left), load(v + i, left)), left);
    }
  }
}

// out[i] = factor(s[i]) v[i], through a chunk of factors that stays in L1: one loop for all functions.
template <class T>
void multiply_by(typename ActivationKernels<T>::Map factor, const T* s, const T* v, T* out, Index n,
                 const double* parameters) {
  constexpr Index chunk = 512;  // 4 KiB of doubles, beside the same of s, v and out
  alignas(64) T factors[chunk];
  for (Index start = 0; start < n; start += chunk) {
    const Index count = n - start < chunk ? n - start : chunk;
    factor(s + start, factors, 1, count, parameters);
    const T* first = v + start;
    T* target = out + start;
    for (Index i = 0; i < count; i += Vec<T>::width) {
      const Index left = count - i;
      if (left >= Vec<T>::width) {
        store(target + i, load(factors + i) * load(first + i));
      } else {
        store(target + i, load(factors + i, left) * load(first + i, left), left);
      }
    }
  }
}

}  // namespace mlpkern::MLPKERN_ISA
