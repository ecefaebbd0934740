// SPDX-License-Identifier: BSD-3-Clause
// Sums along rows, and the walk over a matrix that row kernels share. The order of every sum is fixed by
// the row's length alone: not by the vector width, the row's place or the memory's alignment.
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

// The whole rows of one piece, and 1 where rows are longer. cols > 0.
constexpr Index rows_together(Index cols) { return cols < kPiece ? kPiece / cols : 1; }

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

// out[i] = values[the row of element i].
template <class T>
inline void spread(const T* values, Piece piece, Index cols, T* out) {
  if (cols == 1) {
    for (Index i = 0; i < piece.n; ++i) out[i] = values[piece.row + i];
    return;
  }
  for_each_row(piece, cols, [=](Index row, Index, Index i, Index count) {
    for (Index k = i; k < i + count; ++k) out[k] = values[row];
  });
}

// out[i] = 1 where the column of element i is its row's label, else 0.
template <class T>
inline void one_hot(const std::int64_t* labels, Piece piece, Index cols, T* out) {
  for (Index i = 0; i < piece.n; ++i) out[i] = T(0);
  for_each_row(piece, cols, [=](Index row, Index col, Index i, Index count) {
    const Index k = static_cast<Index>(labels[row]) - col;
    if (0 <= k && k < count) out[i + k] = T(1);
  });
}

// The sum of x[0], x[1], … in eight virtual lanes: lane j adds x[j], x[j + 8], … in order, and the
// lanes are added as a tree, ((0+4)+(2+6)) + ((1+5)+(3+7)). x may come in portions, if all but the last are
// multiples of 8. The error is at most about (n/8 + 3) u sum |x|.
class LaneSum {
 public:
  MLPKERN_INLINE void add(const double* x, Index n) {
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (Index v = 0; v < kVectors; ++v) lanes_[v] = lanes_[v] + load(x + i + v * kWidth);
    }
    for (Index v = 0; i < n; ++v, i += kWidth) {
      lanes_[v] = lanes_[v] + load(x + i, min_index(n - i, kWidth));  // a lane past the end adds 0
    }
  }
  MLPKERN_INLINE double total() const {
    double s[kLanes];
    for (Index v = 0; v < kVectors; ++v) store(s + v * kWidth, lanes_[v]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }

 private:
  static constexpr Index kLanes = 8, kWidth = Vec<double>::width, kVectors = kLanes / kWidth;
  Vec<double> lanes_[kVectors] = {};
};

// The sums of rows that come piece by piece: sums[row] is written when the row is complete.
class RowSums {
 public:
  RowSums(Index cols, double* sums) : cols_(cols), sums_(sums) {}
  void add(const double* x, Piece piece) {
    if (cols_ == 1) {  // the same sums: 0.8 ns a row, and not 7
      for (Index i = 0; i < piece.n; ++i) sums_[piece.row + i] = 0.0 + x[i];
      return;
    }
    for_each_row(piece, cols_, [=, this](Index row, Index col, Index i, Index count) {
      sum_.add(x + i, count);
      if (col + count < cols_) return;
      sums_[row] = sum_.total();
      sum_ = LaneSum();
    });
  }

 private:
  Index cols_;
  double* sums_;
  LaneSum sum_;
};

}  // namespace mlpkern::MLPKERN_ISA
