// SPDX-License-Identifier: BSD-3-Clause
// Packing: a block of a matrix copied into panels that the microkernel reads straight through.
//
//   b (k, n) -> panels of NR columns, each k rows of NR;   a (m, k) -> panels of MR rows, each k columns of
//   MR. Of the last panel's missing columns nothing is written, or what the source holds elsewhere: the
//   microkernel masks them.
#pragma once

#include "gemm/blocking.hpp"
#include "simd/transpose.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

// Asks for the lines of a row of `cols` elements.
template <class T>
MLPKERN_INLINE void prefetch_row(const T* row, Index cols) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(T));
  for (Index j = 0; j < cols; j += line) __builtin_prefetch(row + j);
}

// From a matrix whose rows are contiguous, each read once from end to end. The rows are short and far apart:
// the hardware does not foresee them.
template <Index Width, class T>
MLPKERN_INLINE void copy_rows(Matrix<const T> m, T* panels) {
  constexpr Index W = Vec<T>::width;
  constexpr Index kRowsAhead = 8;
  const Index step = Blocking<T>::panel_step(m.rows, Width);
  for (Index p = 0; p < m.rows; ++p) {
    const T* row = m.data + p * m.row_stride;
    T* target = panels + p * Width;
    if (p + kRowsAhead < m.rows) prefetch_row(row + kRowsAhead * m.row_stride, m.cols);
    Index left = m.cols;
    for (; left >= Width; left -= Width, row += Width, target += step) {
      if constexpr (Width % W == 0) {
        for (Index j = 0; j < Width; j += W) store(target + j, load(row + j));
      } else {
        __builtin_memcpy(target, row, Width * sizeof(T));
      }
    }
    for (; left > 0; left -= W, row += W, target += W)
      store(target, load(row, smaller(left, W)), smaller(left, W));
  }
}

// square[i][j] = m(row + i, col + j), zeros past the end, of a matrix whose columns are contiguous.
template <class T>
MLPKERN_INLINE void load_square(Matrix<const T> m, Index row, Index col, Vec<T> (&square)[Vec<T>::width]) {
  constexpr Index W = Vec<T>::width;
  const Index rows = smaller(W, m.rows - row), cols = m.cols - col;
  const T* source = m.data + row + col * m.col_stride;
  for (Index j = 0; j < W; ++j, source += m.col_stride) {
    square[j] = j >= cols ? Vec<T>(T(0)) : rows == W ? load(source) : load(source, rows);
  }
  transpose(square);
}

// to(i, j) = m(i, j) for a matrix whose columns are contiguous, into rows `stride` apart.
template <class T>
MLPKERN_INLINE void transpose_columns(Matrix<const T> m, T* to, Index stride) {
  constexpr Index W = Vec<T>::width;
  for (Index j = 0; j < m.cols; j += W) {
    const Index cols = smaller(W, m.cols - j);
    for (Index p = 0; p < m.rows; p += W) {
      Vec<T> square[W];
      load_square(m, p, j, square);
      const Index rows = smaller(W, m.rows - p);
      for (Index i = 0; i < rows; ++i) {
        T* target = to + (p + i) * stride + j;
        if (cols == W) {
          store(target, square[i]);
        } else {
          store(target, square[i], cols);
        }
      }
    }
  }
}

// Panel by panel: the columns of `m` in groups of `Width`; element (p, j) of a group at p * Width + j.
template <Index Width, class T>
void pack_columns(Matrix<const T> m, T* panels) {
  if (m.col_stride == 1) return copy_rows<Width>(m, panels);
  const Index step = Blocking<T>::panel_step(m.rows, Width);
  for (Index first = 0; first < m.cols; first += Width, panels += step) {
    const Matrix<const T> group = cols_of(m, first, smaller(Width, m.cols - first));
    if (m.row_stride == 1) {
      transpose_columns(group, panels, Width);
      continue;
    }
    for (Index p = 0; p < group.rows; ++p) {
      for (Index j = 0; j < group.cols; ++j) {
        panels[p * Width + j] = group.data[p * m.row_stride + j * m.col_stride];
      }
    }
  }
}

}  // namespace mlpkern::MLPKERN_ISA
