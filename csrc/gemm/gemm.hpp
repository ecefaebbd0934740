// SPDX-License-Identifier: BSD-3-Clause
// c = start + a b, for any strides of a and b: the loops around the microkernel.
//
//   for columns j of c, NC at a time, and k, KC at a time:   b's block, packed into panels of NR
//     for rows of c, MC at a time:                           a's block, packed into panels of MR
//       for panels of NR columns, for panels of MR rows:     the microkernel
//
// Where b is not packed, each panel of a passes by all of b's before the next panel of a does.
// Whether b and a are packed is decided by the bytes that are read again. Products with few columns, and
// those of a few rows with a transpose, are made as c' = b' a', with the rows of c in the lanes of the
// registers. None of this changes a bit: every element of c is one chain over k, continued from c from one
// block of KC to the next.
#pragma once

#include "gemm/microkernel.hpp"
#include "gemm/pack.hpp"
#include "gemm/thin.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kLaneColumns = 512;  // of c that are turned at a time: 128 kB on AVX-512

template <class T>
constexpr Index gemm_scratch_size() {
  return Blocking<T>::b_size + Blocking<T>::a_size + kLaneColumns * Blocking<T>::NR;
}

// The bytes from the first to the last row of a block, KC rows high at most.
template <class T>
Index block_span(Matrix<const T> m) {
  return smaller(m.rows, Blocking<T>::KC) * m.row_stride * static_cast<Index>(sizeof(T));
}

// How the loops around the microkernel go.
struct Loops {
  bool pack_a, pack_b;
  Index nc;            // columns of a block of b
  Index rows_a_panel;  // of a, a multiple of MR, that pass by a panel of b before the next panel's turn
};

// b is copied where its rows are not contiguous, or where a block of it would take most of L2 (1 MB) and is
// read again; then its panels come from L2, and all rows of a block of a pass by each. Where b is not copied,
// L2 holds it, and it passes by each panel of a. a is copied where its columns are far apart and each is read
// for more than one panel of b; then it should not be copied for each few columns of b.
template <class T>
Loops loops_for(Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  using Block = Blocking<T>;
  constexpr Index kL2 = 1 << 20, kFewRows = 64, kFewColumns = 4 * Block::NR;
  const Index most = c.rows > kFewRows ? kL2 / 4 * 3 : kL2;
  const bool pack_b = b.col_stride != 1 || (c.rows > 2 && block_span(b) > most);
  const bool pack_a =
      a.col_stride != 1 && c.cols > Block::NR && (pack_b || block_span(transposed(a)) > kL2 / 4);
  return {pack_a, pack_b, pack_b && !pack_a && c.rows <= 4 * Block::MC ? kFewColumns : Block::NC,
          pack_b ? Block::MC : Block::MR};
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
void gemm_block(Panels<T> a, Panels<T> b, Matrix<T> c, Index k, Index rows_a_panel, Start start,
                const T* bias) {
  using Block = Blocking<T>;
  for (Index first = 0; first < c.rows; first += rows_a_panel) {
    const Index end = smaller(first + rows_a_panel, c.rows);
    for (Index j = 0; j < c.cols; j += Block::NR) {
      const Index n = smaller(Block::NR, c.cols - j);
      for (Index i = first; i < end; i += Block::MR) {
        const Index m = smaller(Block::MR, end - i);
        T* const corner = c.data + i * c.row_stride + j;
        T* const next = i + Block::MR < end ? corner + Block::MR * c.row_stride
                                            : c.data + first * c.row_stride + j + Block::NR;
        const T* const a_panel = a.data + i / Block::MR * a.step;
        const T* const b_panel = b.data + j / Block::NR * b.step;
        const Tile<T> tile = {a_panel, a.within, a.stride,     b_panel, b.stride,
                              corner,  next,     c.row_stride, n,       k};
        kMicrokernels<T>.choose(m, n)(tile, start, bias_from(start, bias, i, j));
      }
    }
  }
}

template <class T>
void gemm_direct(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch) {
  using Block = Blocking<T>;
  T* const a_panels = scratch + Block::b_size;
  const Loops loops = loops_for(a, b, c);
  for (Index j = 0; j < c.cols; j += loops.nc) {
    const Index n = smaller(loops.nc, c.cols - j);
    Index p = 0;
    do {  // once even where k = 0: c is then what it starts from
      const Index k = smaller(Block::KC, a.cols - p);
      const Matrix<const T> b_block = cols_of(rows_of(b, p, k), j, n);
      const Start from = p == 0 ? start : Start::accumulate;
      if (loops.pack_b) pack_columns<Block::NR>(b_block, scratch);
      const Panels<T> b_panels = loops.pack_b
                                     ? Panels<T>{scratch, Block::panel_step(k, Block::NR), Block::NR, 1}
                                     : Panels<T>{b_block.data, Block::NR, b.row_stride, 1};
      for (Index i = 0; i < c.rows; i += Block::MC) {
        const Matrix<const T> a_block = cols_of(rows_of(a, i, smaller(Block::MC, c.rows - i)), p, k);
        if (loops.pack_a) pack_columns<Block::MR>(transposed(a_block), a_panels);
        gemm_block(loops.pack_a
                       ? Panels<T>{a_panels, Block::panel_step(k, Block::MR), Block::MR, 1}
                       : Panels<T>{a_block.data, Block::MR * a.row_stride, a.col_stride, a.row_stride},
                   b_panels, cols_of(rows_of(c, i, a_block.rows), j, n), k, loops.rows_a_panel, from,
                   bias_from(from, bias, i, j));
      }
      p += k;
    } while (p < a.cols);
  }
}

// b is packed only where it is large and has columns for the lanes: in L1 and L2 it serves as it is.
template <class T>
Index packed_size(Index rows, Index cols) {
  constexpr Index kSmall = 64 << 10;
  if (cols <= 2 * Vec<T>::width || rows * cols * static_cast<Index>(sizeof(T)) <= kSmall) return 0;
  return ceil_div(cols, Blocking<T>::NR) * Blocking<T>::panel_step(rows, Blocking<T>::NR);
}

template <class T>
void pack(Matrix<const T> b, T* packed) {
  pack_columns<Blocking<T>::NR>(b, packed);
}

// All rows of a block of a pass by a panel of b, KC of its rows at a time.
template <class T>
void gemm_packed(Matrix<const T> a, const T* packed, Matrix<T> c, Start start, const T* bias) {
  using Block = Blocking<T>;
  for (Index i = 0; i < c.rows; i += Block::MC) {
    const Index m = smaller(Block::MC, c.rows - i);
    for (Index p = 0; p < a.cols; p += Block::KC) {
      const Index k = smaller(Block::KC, a.cols - p);
      const Panels<T> a_panels = {a.data + i * a.row_stride + p, Block::MR * a.row_stride, 1, a.row_stride};
      const Panels<T> b_panels = {packed + p * Block::NR, Block::panel_step(a.cols, Block::NR), Block::NR, 1};
      const Start from = p == 0 ? start : Start::accumulate;
      gemm_block(a_panels, b_panels, rows_of(c, i, m), k, Block::MC, from, bias_from(from, bias, i, 0));
    }
  }
}

// c' = start + b' a', NR rows and kLaneColumns columns of c at a time, in scratch.
template <class T>
void gemm_rows_in_lanes(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias,
                        T* scratch) {
  constexpr Index NR = Blocking<T>::NR;
  T* const turned = scratch + Blocking<T>::b_size + Blocking<T>::a_size;
  for (Index i = 0; i < c.rows; i += NR) {
    const Index m = smaller(NR, c.rows - i);
    const Matrix<const T> a_turned = transposed(rows_of(a, i, m));
    for (Index j = 0; j < c.cols; j += kLaneColumns) {
      const Index n = smaller(kLaneColumns, c.cols - j);
      const Matrix<T> block = cols_of(rows_of(c, i, m), j, n);
      if (start == Start::accumulate) {
        transpose_columns<T>({block.data, n, m, 1, block.row_stride}, turned, NR);
      } else if (start != Start::zero) {
        for (Index q = 0; q < n; ++q) {
          for (Index r = 0; r < m; ++r) turned[q * NR + r] = *bias_from(start, bias, i + r, j + q);
        }
      }
      gemm_direct(transposed(cols_of(b, j, n)), a_turned, Matrix<T>{turned, n, m, NR, 1},
                  start == Start::zero ? start : Start::accumulate, static_cast<const T*>(nullptr), scratch);
      transpose_columns<T>({turned, m, n, 1, NR}, block.data, block.row_stride);
    }
  }
}

// Whether rows of c in lanes take less than columns, in cycles of a register's fused multiply-add. Where c
// has few columns: for each row and k, ceil(cols / width), or cols / width and what it costs to turn a. Where
// b is a transpose: either b is turned, at half a cycle an element, or a and c are, and some lanes stay
// empty.
template <class T>
bool rows_in_lanes_pay(Matrix<const T> a, Matrix<const T> b, Matrix<T> c) {
  constexpr Index W = Vec<T>::width, kMostRows = 256;
  if (c.cols > 2 * W) {
    if (b.row_stride != 1 || b.col_stride == 1 || c.rows > kMostRows) return false;
    const Index empty = rounded_up(c.rows, W) - c.rows;
    return 2 * empty * a.cols * c.cols <= W * (a.cols * c.cols - c.rows * (a.cols + c.cols));
  }
  if (c.rows < W || c.cols % W == 0) return false;
  const Index quarters = a.row_stride == 1 ? 0 : 2;  // half a register's cycle an element
  return 4 * ceil_div(c.cols, W) * W > 4 * c.cols + quarters * W;
}

template <class T>
void gemm(Matrix<const T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, T* scratch) {
  if (const Thin how = thinness(a, b, c, start); how != Thin::no) {
    gemm_thin(how, a, b, c, start, bias);
  } else if (rows_in_lanes_pay(a, b, c)) {
    gemm_rows_in_lanes(a, b, c, start, bias, scratch);
  } else {
    gemm_direct(a, b, c, start, bias, scratch);
  }
}

}  // namespace mlpkern::MLPKERN_ISA
