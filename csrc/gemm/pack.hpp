// SPDX-License-Identifier: BSD-3-Clause
// Packing: a block of a matrix copied into panels that the microkernel reads straight through.
//
//   b (k, n) -> panels of NR columns, each k rows of NR, the last panel's missing columns left as they are
//   (the microkernel masks them);   a (m, k) -> panels of MR rows, each k columns of MR.
#pragma once

#include "gemm/blocking.hpp"

namespace mlpkern::MLPKERN_ISA {

// Elements in a cache line of 64 bytes.
template <class T>
constexpr Index kLine = 64 / static_cast<Index>(sizeof(T));

// Panel by panel: the columns of `m` in groups of `Width`; element (p, j) of a group at p * Width + j.
template <Index Width, class T>
void pack_columns(Matrix<const T> m, T* panels) {
  for (Index first = 0; first < m.cols; first += Width, panels += m.rows * Width) {
    const Index count = m.cols - first < Width ? m.cols - first : Width;
    const T* group = m.data + first * m.col_stride;
    if (m.row_stride == 1) {  // transposed in memory: read along it, a square of a cache line at a time
      for (Index top = 0; top < m.rows; top += kLine<T>) {
        const Index end = top + kLine<T> < m.rows ? top + kLine<T> : m.rows;
        for (Index j = 0; j < count; ++j) {
          for (Index p = top; p < end; ++p) panels[p * Width + j] = group[p + j * m.col_stride];
        }
      }
    } else {
      for (Index p = 0; p < m.rows; ++p) {
        for (Index j = 0; j < count; ++j) {
          panels[p * Width + j] = group[p * m.row_stride + j * m.col_stride];
        }
      }
    }
  }
}

}  // namespace mlpkern::MLPKERN_ISA
