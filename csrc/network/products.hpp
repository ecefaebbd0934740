// SPDX-License-Identifier: BSD-3-Clause
// One linear layer by itself, shared out to threads: the array functions `linear` and `linear_backward`.
#pragma once

#include "dispatch/table.hpp"

namespace mlpkern {

// s (n, L) = x (n, D) w (D, L) + b, b null for none; any strides of x and w.
template <class T>
void linear(Matrix<const T> x, Matrix<const T> w, const T* b, Matrix<T> s);

// dx (n, D) = ds w', dw (D, L) = x' ds, db (L,) = the sum of ds over its rows; each may be null, and each
// is added to what is there where `start` says accumulate.
template <class T>
void linear_backward(Matrix<const T> ds, Matrix<const T> x, Matrix<const T> w, T* dx, T* dw, T* db,
                     Start start);

}  // namespace mlpkern
