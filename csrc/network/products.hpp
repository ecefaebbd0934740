// SPDX-License-Identifier: BSD-3-Clause
// Products that may be long; and one linear layer by itself, shared out to threads: the array functions
// `linear` and `linear_backward`.
#pragma once

#include "dispatch/table.hpp"

namespace mlpkern {

// kernels.gemm in the running thread, with a poll before it where it takes a part of a millisecond or more;
// where it takes more than some 10 ms (100 on the baseline) in blocks,
// with a poll before each, so that Ctrl-C comes through. The chains are the same. start: not bias_of_rows.
template <class T>
void long_gemm(const Kernels<T>& kernels, Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start,
               const T* bias, T* scratch);

// The same with kernels.gemm_packed.
template <class T>
void long_gemm_packed(const Kernels<T>& kernels, Matrix<const T> a, const T* packed, Matrix<T> c, Start start,
                      const T* bias);

// s (n, L) = x (n, D) w (D, L) + b, b null for none; any strides of x and w.
template <class T>
void linear(Matrix<const T> x, Matrix<const T> w, const T* b, Matrix<T> s);

// dx (n, D) = ds w', dw (D, L) = x' ds, db (L,) = the sum of ds over its rows; each may be null, and each
// is added to what is there where `start` says accumulate.
template <class T>
void linear_backward(Matrix<const T> ds, Matrix<const T> x, Matrix<const T> w, T* dx, T* dw, T* db,
                     Start start);

}  // namespace mlpkern
