// SPDX-License-Identifier: BSD-3-Clause
// What the compilers' extensions express, for machines without an instruction of its own: partial access lane
// by lane, conversions, the larger and the smaller. The contract stands in vec.hpp.
#pragma once

namespace mlpkern::MLPKERN_ISA {

template <class Native>
MLPKERN_INLINE Native larger(Native a, Native b) {
  return a > b ? a : b;
}
template <class Native>
MLPKERN_INLINE Native smaller(Native a, Native b) {
  return a < b ? a : b;
}

template <class T>
MLPKERN_INLINE typename NativeOf<T, kVectorBytes>::type load_partial(const T* p, Index n) {
  alignas(kVectorBytes) T lanes[kVectorBytes / sizeof(T)] = {};
  for (Index i = 0; i < n; ++i) lanes[i] = p[i];
  typename NativeOf<T, kVectorBytes>::type v;
  __builtin_memcpy(&v, lanes, sizeof v);
  return v;
}

template <class T>
MLPKERN_INLINE void store_partial(T* p, typename NativeOf<T, kVectorBytes>::type v, Index n) {
  for (Index i = 0; i < n; ++i) p[i] = v[i];
}

using HalfFloats = NativeOf<float, kVectorBytes / 2>::type;
MLPKERN_INLINE NativeOf<double, kVectorBytes>::type widen(HalfFloats half) {
  return __builtin_convertvector(half, NativeOf<double, kVectorBytes>::type);
}
MLPKERN_INLINE HalfFloats narrow(NativeOf<double, kVectorBytes>::type v) {
  return __builtin_convertvector(v, HalfFloats);
}
MLPKERN_INLINE HalfFloats load_half(const float* p, Index n) {
  HalfFloats half = {};
  for (Index i = 0; i < n; ++i) half[i] = p[i];
  return half;
}
MLPKERN_INLINE void store_half(float* p, HalfFloats half, Index n) {
  for (Index i = 0; i < n; ++i) p[i] = half[i];
}

}  // namespace mlpkern::MLPKERN_ISA
