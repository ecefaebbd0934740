// SPDX-License-Identifier: BSD-3-Clause
// Sums along rows. The order of every sum is fixed by the row's length alone: not by the vector width, the
// row's place or the memory's alignment.
#pragma once

#include "kernels/pieces.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// Lanes of a and b: those of a count from 0, those of b from the width on.
template <int... Lanes>
MLPKERN_INLINE Vec<double> lanes_of(Vec<double> a, Vec<double> b) {
  return __builtin_shufflevector(a.v, b.v, Lanes...);
}

// In blocks of 2 Step lanes, first those of a, the lower half of the block plus the upper, then those of b.
template <int Step>
MLPKERN_INLINE Vec<double> halves_added(Vec<double> a, Vec<double> b) {
  constexpr int width = Vec<double>::width;
  static_assert(width == 2 || width == 4 || width == 8);
  if constexpr (width == 2) {
    return lanes_of<0, 2>(a, b) + lanes_of<1, 3>(a, b);
  } else if constexpr (width == 4) {
    if constexpr (Step == 2) return lanes_of<0, 1, 4, 5>(a, b) + lanes_of<2, 3, 6, 7>(a, b);
    return lanes_of<0, 4, 2, 6>(a, b) + lanes_of<1, 5, 3, 7>(a, b);
  } else {
    if constexpr (Step == 4) {
      return lanes_of<0, 1, 2, 3, 8, 9, 10, 11>(a, b) + lanes_of<4, 5, 6, 7, 12, 13, 14, 15>(a, b);
    }
    if constexpr (Step == 2) {
      return lanes_of<0, 1, 8, 9, 4, 5, 12, 13>(a, b) + lanes_of<2, 3, 10, 11, 6, 7, 14, 15>(a, b);
    }
    return lanes_of<0, 8, 2, 10, 4, 12, 6, 14>(a, b) + lanes_of<1, 9, 3, 11, 5, 13, 7, 15>(a, b);
  }
}

// The sum of x[0], x[1], … in eight virtual lanes: lane j adds x[j], x[j + 8], … in order, and the
// lanes are added as a tree, ((0+4)+(2+6)) + ((1+5)+(3+7)). x may come in portions, if all but the last are
// multiples of 8. The error is at most about (n/8 + 3) u sum |x|.
class LaneSum {
 public:
  MLPKERN_INLINE void add(const double* x, Index n) {
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes) add_eight(x + i);
    if (i < n) add_last(x + i, n - i);
  }
  MLPKERN_INLINE void add_eight(const double* x) {
    for (Index v = 0; v < kVectors; ++v) lanes_[v] = lanes_[v] + load(x + v * kWidth);
  }
  // Fewer than eight.
  MLPKERN_INLINE void add_last(const double* x, Index n) {
    for (Index v = 0; v < kVectors && v * kWidth < n; ++v) {
      lanes_[v] = lanes_[v] + load(x + v * kWidth, min_index(n - v * kWidth, kWidth));  // past the end 0
    }
  }
  MLPKERN_INLINE double total() const {
    double s[kLanes];
    for (Index v = 0; v < kVectors; ++v) store(s + v * kWidth, lanes_[v]);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
  // The tree down to a register: its halves, and theirs, are left to add.
  MLPKERN_INLINE Vec<double> folded() const {
    if constexpr (kVectors == 1) return lanes_[0];
    if constexpr (kVectors == 2) return lanes_[0] + lanes_[1];
    if constexpr (kVectors == 4) return (lanes_[0] + lanes_[2]) + (lanes_[1] + lanes_[3]);
  }

 private:
  static constexpr Index kWidth = Vec<double>::width, kVectors = kLanes / kWidth;
  Vec<double> lanes_[kVectors] = {};
};

// The same sums of as many rows as a register has lanes, side by side: a tree of registers for a tree of
// numbers a row. For rows of 10, 0.09 ns an element and not 0.25.
inline Vec<double> row_sums(const double* x, Index cols) {
  constexpr Index width = Vec<double>::width;
  LaneSum rows[width];
  Index k = 0;
  for (; k + kLanes <= cols; k += kLanes) {
    for (Index row = 0; row < width; ++row) rows[row].add_eight(x + row * cols + k);
  }
  if (k < cols) {
    for (Index row = 0; row < width; ++row) rows[row].add_last(x + row * cols + k, cols - k);
  }
  const auto pair = [&]<int Step>(Index a, Index b) {
    return halves_added<Step>(rows[a].folded(), rows[b].folded());
  };
  if constexpr (width == 2) return pair.template operator()<1>(0, 1);
  if constexpr (width == 4) {
    return halves_added<1>(pair.template operator()<2>(0, 2), pair.template operator()<2>(1, 3));
  }
  if constexpr (width == 8) {
    const auto even = halves_added<2>(pair.template operator()<4>(0, 4), pair.template operator()<4>(2, 6));
    const auto odd = halves_added<2>(pair.template operator()<4>(1, 5), pair.template operator()<4>(3, 7));
    return halves_added<1>(even, odd);
  }
}

// The sums of rows that come piece by piece: sums[row] is written when the row is complete.
class RowSums {
 public:
  RowSums(Index cols, double* sums) : cols_(cols), sums_(sums) {}
  void add(const double* x, Piece piece) {
    if (cols_ == 1) {  // the same sums: 0.8 ns a row, and not 7
      for (Index i = 0; i < piece.n; ++i) sums_[piece.row + i] = 0.0 + x[i];
      return;
    }
    const Index whole = cols_ <= kPiece ? add_rows(x, piece) : 0;
    piece.row += whole;
    piece.n -= whole * cols_;
    for_each_row(piece, cols_, [=, this](Index row, Index col, Index i, Index count) {
      sum_.add(x + whole * cols_ + i, count);
      if (col + count < cols_) return;
      sums_[row] = sum_.total();
      sum_ = LaneSum();
    });
  }

 private:
  // Of a piece that is made of whole rows, the whole registers of them; how many.
  Index add_rows(const double* x, Piece piece) {
    const Index rows = piece.n / cols_;
    Index row = 0;
    for (; row + Vec<double>::width <= rows; row += Vec<double>::width) {
      store(sums_ + piece.row + row, row_sums(x + row * cols_, cols_));
    }
    return row;
  }

  Index cols_;
  double* sums_;
  LaneSum sum_;
};

}  // namespace mlpkern::MLPKERN_ISA
