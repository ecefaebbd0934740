// SPDX-License-Identifier: BSD-3-Clause
// c = start + a b, for any strides of a and b: the loops around the microkernel.
//
//   for columns j of c, NC at a time, and k, KC at a time:   b's block, packed into panels of NR
//     for rows of c, MC at a time:                           a's block, packed into panels of MR
//       for panels of MR rows, for panels of NR columns:     the microkernel
//
// Whether b and a are packed is decided by the bytes that are read again. Narrow products are made as c' = b'
// a', with the rows of c in the lanes of the registers, where c's columns would leave most lanes empty. None
// of this changes a bit: every element of c is one chain over k, continued from c from one block of KC to the
// next.
#pragma once

#include "gemm/microkernel.hpp"
#include "gemm/pack.hpp"
#include "gemm/thin.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
constexpr Index gemm_scratch_size() {
  return Blocking<T>::KC * (Blocking<T>::NC + Blocking<T>::MC) + Blocking<T>::NR * Blocking<T>::NR;
}

// The bytes from the first to the last row of a block, KC rows high at most.
template <class T>
Index block_span(Matrix<const T> m) {
  return smaller(m.rows, Blocking<T>::KC) * m.row_stride * static_cast<Index>(sizeof(T));
}

// Whether to copy b: where its rows are not contiguous, and where many rows of a read a block of it again
// and again (once for every MR rows) that spans more than stays in L2 (1 MB).
template <class T>
bool packing_b_pays(Matrix<const T> b, Index rows) {
  return b.col_stride != 1 || (rows > 64 && block_span(b) > 800 << 10);
}

// Whether to copy a: where its columns are far apart, and each is read for more than one panel of b.
template <class T>
bool packing_a_pays(Matrix<const T> a, Index cols) {
  return a.col_stride != 1 && cols > Blocking<T>::NR && block_span(transposed(a)) > 256 << 10;
}

// c (m, n) for m <= MC, k <= KC, n <= NC. The panels of b are either packed or b itself, those of a too.
template <class T>
struct Panels {
  const T* data;
  Index step;    // from one panel to the next
  Index stride;  // b: from one row to the next; a: from one column to the next
  Index within;  // a: from one row to the next
};

// The bias of the elements from row i and column j on.
template <class T>
MLPKERN_INLINE const T* bias_from(Start start, const T* bias, Index i, Index j) {
  return start == Start::bias ? bias + j : start == Start::bias_of_rows ? bias + i : nullptr;
}

template <class T>
void gemm_block(Panels<T> a, Panels<T> b, Matrix<T> c, Index k, Start start, const T* bias) {
  using Block = Blocking<T>;
  const Index tiles = ceil_div(c.cols, Block::NR);
  for (Index i = 0; i < c.rows; i += Block::MR, a.data += a.step) {
    const Index m = smaller(Block::MR, c.rows - i);
    // The rows of a that come next, a share of them before each tile.
    const Index next = i + Block::MR < c.rows ? smaller(Block::MR, c.rows - i - Block::MR) : 0;
    const Index share = a.stride == 1 ? ceil_div(k, tiles) : 0;
    for (Index j = 0; j < tiles; ++j) {
      const Index n = smaller(Block::NR, c.cols - j * Block::NR);
      T* const corner = c.data + i * c.row_stride + j * Block::NR;
      for (Index r = 0; r < next; ++r) {
        prefetch_row(a.data + a.step + r * a.within + j * share, smaller(share, k - j * share));
      }
      if (j + 1 < tiles) {
        for (Index r = 0; r < m; ++r) prefetch_row(corner + r * c.row_stride + Block::NR, Block::NR);
      }
      const Tile<T> tile = {a.data,       a.within, a.stride, b.data + j * b.step, b.stride, corner,
                            c.row_stride, n,        k};
      kMicrokernels<T>.choose(m, n)(tile, start, bias_from(start, bias, i, j * Block::NR));
    }
  }
}

template <class T>
void gemm_direct(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch) {
  using Block = Blocking<T>;
  T* const a_panels = scratch + Block::KC * Block::NC;
  const bool pack_b = packing_b_pays(b, c.rows);
  const bool pack_a = packing_a_pays(a, c.cols);
  for (Index j = 0; j < c.cols; j += Block::NC) {
    const Index n = smaller(Block::NC, c.cols - j);
    Index p = 0;
    do {  // once even where k = 0: c is then what it starts from
      const Index k = smaller(Block::KC, a.cols - p);
      const Matrix<const T> b_block = cols_of(rows_of(b, p, k), j, n);
      const Start from = p == 0 ? start : Start::accumulate;
      if (pack_b) pack_columns<Block::NR>(b_block, scratch);
      const Panels<T> b_panels = pack_b ? Panels<T>{scratch, k * Block::NR, Block::NR, 1}
                                        : Panels<T>{b_block.data, Block::NR, b.row_stride, 1};
      for (Index i = 0; i < c.rows; i += Block::MC) {
        const Matrix<const T> a_block = cols_of(rows_of(a, i, smaller(Block::MC, c.rows - i)), p, k);
        if (pack_a) pack_columns<Block::MR>(transposed(a_block), a_panels);
        gemm_block(pack_a ? Panels<T>{a_panels, k * Block::MR, Block::MR, 1}
                          : Panels<T>{a_block.data, Block::MR * a.row_stride, a.col_stride, a.row_stride},
                   b_panels, cols_of(rows_of(c, i, a_block.rows), j, n), k, from,
                   bias_from(from, bias, i, j));
      }
      p += k;
    } while (p < a.cols);
  }
}

// c' = start + b' a', NR rows of c at a time, in a square of scratch.
template <class T>
void gemm_rows_in_lanes(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias,
                        T* scratch) {
  constexpr Index NR = Blocking<T>::NR;
  T* const square = scratch + Blocking<T>::KC * (Blocking<T>::NC + Blocking<T>::MC);
  for (Index i = 0; i < c.rows; i += NR) {
    const Index m = smaller(NR, c.rows - i);
    const Matrix<T> c_rows = rows_of(c, i, m);
    for (Index j = 0; j < c.cols && start != Start::zero; ++j) {
      for (Index r = 0; r < m; ++r) {
        square[j * NR + r] = start == Start::accumulate ? c_rows.data[r * c.row_stride + j]
                                                        : *bias_from(start, bias, i + r, j);
      }
    }
    gemm_direct(transposed(b), transposed(rows_of(a, i, m)), Matrix<T>{square, c.cols, m, NR, 1},
                start == Start::zero ? start : Start::accumulate, static_cast<const T*>(nullptr), scratch);
    for (Index r = 0; r < m; ++r) {
      for (Index j = 0; j < c.cols; ++j) c_rows.data[r * c.row_stride + j] = square[j * NR + r];
    }
  }
}

// Registers of fused multiply-adds for each row of a and each k: ceil(n / width), or n / width and what it
// costs to turn a's rows into lanes.
template <class T>
bool rows_in_lanes_pay(Matrix<const T> a, Matrix<T> c) {
  constexpr Index W = Vec<T>::width;
  if (c.rows < W || c.cols > 2 * W || c.cols % W == 0) return false;
  const Index quarters = a.row_stride == 1 ? 0 : 2;  // a transposed copy: half a register's cycle an element
  return 4 * ceil_div(c.cols, W) * W > 4 * c.cols + quarters * W;
}

template <class T>
void gemm(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch) {
  if (const Thin how = thinness(a, b, c, start); how != Thin::no) {
    gemm_thin(how, a, b, c, start, bias);
  } else if (rows_in_lanes_pay(a, c)) {
    gemm_rows_in_lanes(a, b, c, start, bias, scratch);
  } else {
    gemm_direct(a, b, c, start, bias, scratch);
  }
}

}  // namespace mlpkern::MLPKERN_ISA
