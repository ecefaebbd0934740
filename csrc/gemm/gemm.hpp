// SPDX-License-Identifier: BSD-3-Clause
// c = start + a b, for any strides of a and b: the loops around the microkernel.
//
// b is packed where its rows are not contiguous, or where it is read again often enough to pay for the
// copy; a is packed where its columns are far apart (the same counts of bytes read again decide, from
// shapes and strides alone). Neither changes a bit: every element of c is one chain over k, continued from
// c from one block of KC to the next.
#pragma once

#include "gemm/microkernel.hpp"
#include "gemm/pack.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
constexpr Index gemm_scratch_size() {
  return Blocking<T>::KC * (Blocking<T>::NC + Blocking<T>::MC);
}

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

// Rows of a that make packing b worth while: each packed element is read once for every MR rows.
constexpr Index kPackRows = 64;

// One block: c (m, n) with k <= KC, n <= NC. The panels of b are either packed or b itself.
template <class T>
void gemm_block(Matrix<const T> a, const T* panels, Index panel_step, Index b_stride, Matrix<T> c,
                Start start, const T* bias, T* a_panel) {
  using Block = Blocking<T>;
  const bool pack_a = a.col_stride != 1 && c.cols > Block::NR;
  for (Index i = 0; i < c.rows; i += Block::MR) {
    const Index m = smaller(Block::MR, c.rows - i);
    const Matrix<const T> a_rows = rows_of(a, i, m);
    Index a_row = a.row_stride, a_col = a.col_stride;
    const T* a_data = a_rows.data;
    if (pack_a) {
      pack_columns<Block::MR>(transposed(a_rows), a_panel);
      a_data = a_panel;
      a_row = 1;
      a_col = Block::MR;
    }
    for (Index j = 0; j < c.cols; j += Block::NR) {
      const Index n = smaller(Block::NR, c.cols - j);
      const Tile<T> tile = {a_data,       a_row,
                            a_col,        panels + j / Block::NR * panel_step,
                            b_stride,     c.data + i * c.row_stride + j,
                            c.row_stride, n,
                            a.cols};
      kMicrokernels<T>.choose(m, n)(tile, start, bias == nullptr ? nullptr : bias + j);
    }
  }
}

template <class T>
void gemm(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch) {
  using Block = Blocking<T>;
  T* const a_panel = scratch + Block::KC * Block::NC;
  const bool pack_b = b.col_stride != 1 || (c.rows > kPackRows && b.cols > Block::NR);
  for (Index j = 0; j < c.cols; j += Block::NC) {
    const Index n = smaller(Block::NC, c.cols - j);
    const T* const bias_j = start == Start::bias ? bias + j : nullptr;
    Index p = 0;
    do {  // once even where k = 0: c is then what it starts from
      const Index k = smaller(Block::KC, a.cols - p);
      const Matrix<const T> b_block = cols_of(rows_of(b, p, k), j, n);
      const Start from = p == 0 ? start : Start::accumulate;
      if (pack_b) pack_columns<Block::NR>(b_block, scratch);
      gemm_block(cols_of(a, p, k), pack_b ? scratch : b_block.data, pack_b ? k * Block::NR : Block::NR,
                 pack_b ? Block::NR : b.row_stride, cols_of(c, j, n), from, bias_j, a_panel);
      p += k;
    } while (p < a.cols);
  }
}

}  // namespace mlpkern::MLPKERN_ISA
