// SPDX-License-Identifier: BSD-3-Clause
// The walk over a matrix that row kernels share, and numbers a row made numbers an element.
//
// Kernels walk a matrix (rows, cols) in pieces of at most kPiece elements: as many whole rows as fit, or,
// where a row is longer, a part of one row. Elementwise work runs over a piece as if it were one long
// row, so that narrow rows fill the vectors too; what it leaves in L1 is then added up row by row.
#pragma once

#include <cstdint>

#include "base/view.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kPiece = 512;  // 4 kB of doubles: a kernel's four or five such arrays stay in L1
static_assert(kPiece % 8 == 0);
constexpr Index kLanes = 8;  // the virtual lanes of a sum, whatever the register
// Room for a piece, and for what `spread` writes past its end.
template <class T>
constexpr Index kSpread = kPiece + Vec<T>::width;

constexpr Index min_index(Index a, Index b) { return a < b ? a : b; }

// Calls step(i) for the whole vectors of n doubles, and step(i, lanes) for what is left: a step that
// hands `lanes...` on to its loads and stores is one body for both.
template <class Step>
MLPKERN_INLINE void for_each_vector(Index n, Step step) {
  constexpr Index width = Vec<double>::width;
  Index i = 0;
  for (; i + width <= n; i += width) step(i);
  if (i < n) step(i, n - i);
}

// n elements, from row `row`, column `col` on. first: the index of the first of them in the matrix.
struct Piece {
  Index row, col, n, first;
};

// The whole rows of one piece, eights of them where there are so many, and 1 where rows are longer. cols > 0.
constexpr Index rows_together(Index cols) {
  const Index rows = cols < kPiece ? kPiece / cols : 1;
  return rows < kLanes ? rows : rows / kLanes * kLanes;
}

// Calls visit(piece) for the pieces of a matrix, in order. cols > 0.
template <class Visit>
MLPKERN_INLINE void for_each_piece(Index rows, Index cols, Visit visit) {
  const Index step = rows_together(cols);
  for (Index row = 0; row < rows; row += step) {
    const Index elements = min_index(step, rows - row) * cols;
    for (Index col = 0; col < elements; col += kPiece) {
      visit(Piece{row, col, min_index(kPiece, elements - col), row * cols + col});
    }
  }
}

// Calls visit(row, col, i, count) for each row in a piece: its count elements from column col on are the
// elements i, i + 1, … of the piece.
template <class Visit>
MLPKERN_INLINE void for_each_row(Piece piece, Index cols, Visit visit) {
  Index row = piece.row, col = piece.col;
  for (Index i = 0; i < piece.n; col = 0, ++row) {
    const Index count = min_index(cols - col, piece.n - i);
    visit(row, col, i, count);
    i += count;
  }
}

// out[i] = values[the row of element i], by whole registers: what goes past a row is overwritten by the next,
// and what goes past the piece, less than a register, is nobody's.
template <class T>
inline void spread(const T* values, Piece piece, Index cols, T* out) {
  if (cols == 1) {
    __builtin_memcpy(out, values + piece.row, static_cast<std::size_t>(piece.n) * sizeof(T));
    return;
  }
  for_each_row(piece, cols, [=](Index row, Index, Index i, Index count) {
    const Vec<T> value(values[row]);
    for (Index k = i; k < i + count; k += Vec<T>::width) store(out + k, value);
  });
}

// A number a row, for each element of a piece. Where all rows have the same, as without weights, it is
// written once and not once a piece.
class ByElement {
 public:
  ByElement(const double* values, Index rows, Index cols) : values_(values), cols_(cols) {
    if (cols == 1 || rows == 0) return;
    Index row = 1;
    while (row < rows && values[row] == values[0]) ++row;
    same_ = row == rows;
    if (!same_) return;
    const Vec<double> value(values[0]);
    for (Index i = 0; i < min_index(rows * cols, kPiece); i += Vec<double>::width) store(out_ + i, value);
  }
  const double* of(Piece piece) {
    if (cols_ == 1) return values_ + piece.row;
    if (!same_) spread(values_, piece, cols_, out_);
    return out_;
  }

 private:
  const double* values_;
  Index cols_;
  bool same_ = false;
  double out_[kSpread<double>];
};

// Calls visit(i, row) for the element i in column columns[row] of each row, where it is in the piece.
template <class Integer, class Visit>
MLPKERN_INLINE void for_each_place(const Integer* columns, Piece piece, Index cols, Visit visit) {
  if (cols > kPiece) {  // a part of one row
    const Index k = static_cast<Index>(columns[piece.row]) - piece.col;
    if (0 <= k && k < piece.n) visit(k, piece.row);
    return;
  }
  Index row = piece.row;
  for (Index i = 0; i < piece.n; i += cols, ++row) visit(i + static_cast<Index>(columns[row]), row);
}

// out[i] = 1 where the column of element i is its row's label, else 0.
template <class T>
inline void one_hot(const std::int64_t* labels, Piece piece, Index cols, T* out) {
  for (Index i = 0; i < piece.n; ++i) out[i] = T(0);
  for_each_place(labels, piece, cols, [out](Index i, Index) { out[i] = T(1); });
}

}  // namespace mlpkern::MLPKERN_ISA
