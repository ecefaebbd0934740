// SPDX-License-Identifier: BSD-3-Clause
// The microkernel: c (m, n) = start + a (m, k) b (k, n) for m <= MR and n <= NR, held in registers.
//
//        b: k rows of NR, one below the other, `b_stride` apart
//        +--------+
//   a    |        |      a(i, p) lies at a[i * a_row + p * a_col]
//   +--+ +--------+
//   |  | |   c    |      c(i, j) lies at c[i * c_stride + j]
//   +--+ +--------+
//
// Each element of c is one chain of fused multiply-adds over p = 0, 1, …, k - 1, whatever its place in the
// tile. Start::zero does not read c; a partial last vector of b and c is loaded and stored under a mask.
#pragma once

#include "dispatch/table.hpp"
#include "gemm/blocking.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
struct Tile {
  const T* a;
  Index a_row, a_col;
  const T* b;
  Index b_stride;
  T* c;
  T* next;  // the tile that comes next, asked for meanwhile
  Index c_stride;
  Index n, k;
};

// Columns j * width … of a row of n columns, masked where the row ends inside the vector. Whole says that
// it cannot.
template <bool Whole, class T>
MLPKERN_INLINE Vec<T> load_columns(const T* row, Index j, Index n) {
  if constexpr (Whole) return load(row + j * Vec<T>::width);
  return load(row + j * Vec<T>::width, n - j * Vec<T>::width);
}

template <Index Rows, Index Vectors, bool Whole, class T>
void microkernel(const Tile<T>& tile, Start start, const T* bias) {
  Vec<T> acc[Rows][Vectors];
  // The last vector may be partial; those before it never are.
  auto load_row = [&](const T* row, Index j) {
    return j + 1 < Vectors ? load(row + j * Vec<T>::width) : load_columns<Whole>(row, j, tile.n);
  };
  MLPKERN_UNROLL
  for (Index i = 0; i < Rows; ++i) {
    MLPKERN_UNROLL
    for (Index j = 0; j < Vectors; ++j) {
      acc[i][j] = start == Start::zero           ? Vec<T>(T(0))
                  : start == Start::bias         ? load_row(bias, j)
                  : start == Start::bias_of_rows ? Vec<T>(bias[i])
                                                 : load_row(tile.c + i * tile.c_stride, j);
    }
  }
  const T* a = tile.a;
  const T* b = tile.b;
  const auto step = [&]() __attribute__((always_inline)) {
    Vec<T> row[Vectors];
    MLPKERN_UNROLL
    for (Index j = 0; j < Vectors; ++j) {
      row[j] = load_row(b, j);
      if constexpr (Rows > 1) hold(row[j]);  // of 2 and 3 rows GCC 12 makes as many loads as multiplications
    }
    MLPKERN_UNROLL
    for (Index i = 0; i < Rows; ++i) {
      const Vec<T> factor(a[i * tile.a_row]);
      MLPKERN_UNROLL
      for (Index j = 0; j < Vectors; ++j) acc[i][j] = fma(factor, row[j], acc[i][j]);
    }
    a += tile.a_col;
    b += tile.b_stride;
  };
  // All lines at once would keep b's from coming.
  constexpr Index kLines = Rows * Vectors;
  const Index steps = tile.k >= 16 * kLines ? 16 : tile.k >= 4 * kLines ? 4 : 1;  // for each line
  Index p = 0;
  for (Index line = 0; line < kLines && p + steps <= tile.k; ++line) {
    __builtin_prefetch(tile.next + line / Vectors * tile.c_stride + line % Vectors * Vec<T>::width, 1);
    for (const Index end = p + steps; p < end; ++p) step();
  }
  for (; p < tile.k; ++p) step();
  MLPKERN_UNROLL
  for (Index i = 0; i < Rows; ++i) {
    T* c = tile.c + i * tile.c_stride;
    MLPKERN_UNROLL
    for (Index j = 0; j < Vectors; ++j) {
      if (Whole || j + 1 < Vectors) {
        store(c + j * Vec<T>::width, acc[i][j]);
      } else {
        store(c + j * Vec<T>::width, acc[i][j], tile.n - j * Vec<T>::width);
      }
    }
  }
}

template <class T>
using Microkernel = void (*)(const Tile<T>&, Start, const T*);

// The instance for m rows and n columns, 1 <= m <= MR, 1 <= n <= NR.
template <class T>
struct Microkernels {
  Microkernel<T> whole[Blocking<T>::MR][Blocking<T>::vectors];
  Microkernel<T> partial[Blocking<T>::MR][Blocking<T>::vectors];

  template <Index Rows, Index Vectors>
  constexpr void fill() {
    whole[Rows - 1][Vectors - 1] = microkernel<Rows, Vectors, true, T>;
    partial[Rows - 1][Vectors - 1] = microkernel<Rows, Vectors, false, T>;
    if constexpr (Vectors > 1) {
      fill<Rows, Vectors - 1>();
    } else if constexpr (Rows > 1) {
      fill<Rows - 1, Blocking<T>::vectors>();
    }
  }

  constexpr Microkernels() : whole(), partial() { fill<Blocking<T>::MR, Blocking<T>::vectors>(); }

  Microkernel<T> choose(Index m, Index n) const {
    const Index vectors = (n + Vec<T>::width - 1) / Vec<T>::width;
    return (n % Vec<T>::width == 0 ? whole : partial)[m - 1][vectors - 1];
  }
};

template <class T>
inline constexpr Microkernels<T> kMicrokernels;

}  // namespace mlpkern::MLPKERN_ISA
