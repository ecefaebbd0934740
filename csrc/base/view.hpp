// SPDX-License-Identifier: BSD-3-Clause
// Views of memory that somebody else owns. No ownership, no checks: the bindings check once.
#pragma once

#include <cstddef>

// Always inlined: this header is compiled with every ISA's flags, and a copy of a function in an object
// would be the linker's to choose.
#define MLPKERN_VIEW __attribute__((always_inline)) constexpr

namespace mlpkern {

using Index = std::ptrdiff_t;

MLPKERN_VIEW Index rounded_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }
MLPKERN_VIEW Index ceil_div(Index n, Index d) { return (n + d - 1) / d; }

// Element (i, j) lies at data[i * row_stride + j * col_stride]. Strides count elements, not bytes.
template <class T>
struct Matrix {
  T* data;
  Index rows, cols;
  Index row_stride, col_stride;
};

template <class T>
MLPKERN_VIEW Matrix<T> rows_of(Matrix<T> m, Index first, Index count) {
  return {m.data + first * m.row_stride, count, m.cols, m.row_stride, m.col_stride};
}

template <class T>
MLPKERN_VIEW Matrix<T> cols_of(Matrix<T> m, Index first, Index count) {
  return {m.data + first * m.col_stride, m.rows, count, m.row_stride, m.col_stride};
}

template <class T>
MLPKERN_VIEW Matrix<T> transposed(Matrix<T> m) {
  return {m.data, m.cols, m.rows, m.col_stride, m.row_stride};
}

// A C-contiguous matrix.
template <class T>
MLPKERN_VIEW Matrix<T> dense(T* data, Index rows, Index cols) {
  return {data, rows, cols, cols, 1};
}

}  // namespace mlpkern
