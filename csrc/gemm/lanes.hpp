// SPDX-License-Identifier: BSD-3-Clause
// Products over turned values, whose samples lie in the lanes: dw = start + x ds', x (D, n) and ds (L, n), a
// sum over the columns of both.
//
// kLanes virtual lanes: lane j adds up columns j, j + kLanes, … in order;
// then the second half of the lanes is added to the first, until one is left. A last part of fewer columns
// goes on with zeros in the other lanes. The fold, some 80 operations for a block of dw, is done for as many
// elements together as a register has lanes, after a transposition in registers.
#pragma once

#include "dispatch/table.hpp"
#include "gemm/pack.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
struct LaneSums {
  static constexpr Index W = Vec<T>::width;
  static constexpr Index parts = kLanes<T> / W;  // registers for the virtual lanes
  // A block of dw, X of its rows by S of its columns: X * S * parts accumulators, X + S loads a part.
  //   32 registers, AVX-512: 4 * 4 * 1;  NEON and the 16 of AVX2: 2 * 2 * parts
  static constexpr Index side = parts == 1 ? 4 : 2;

  // dw (X, S) from X rows of x, or from ones, and S rows of ds.
  template <Index X, Index S, bool ones>
  static void block(const T* x, Index x_stride, const T* ds, Index ds_stride, Index n, Matrix<T> dw,
                    Start start) {
    Vec<T> acc[X * S][parts] = {};
    const auto add = [&](Index first, auto load_part) {
      MLPKERN_UNROLL
      for (Index part = 0; part < parts; ++part) {
        Vec<T> right[S];
        MLPKERN_UNROLL
        for (Index j = 0; j < S; ++j) right[j] = load_part(ds + j * ds_stride + first, part);
        MLPKERN_UNROLL
        for (Index i = 0; i < X; ++i) {
          const Vec<T> left = ones ? Vec<T>(T(1)) : load_part(x + i * x_stride + first, part);
          MLPKERN_UNROLL
          for (Index j = 0; j < S; ++j) acc[i * S + j][part] = fma(left, right[j], acc[i * S + j][part]);
        }
      }
    };
    Index first = 0;
    for (; first + kLanes<T> <= n; first += kLanes<T>) {
      add(first, [](const T* p, Index part) { return load(p + part * W); });
    }
    if (first < n) {
      add(first, [left = n - first](const T* p, Index part) {
        const Index lanes = left - part * W;
        return lanes >= W ? load(p + part * W) : load(p + part * W, lanes > 0 ? lanes : 0);
      });
    }
    T results[X * S];
    fold<X * S>(acc, results);
    MLPKERN_UNROLL
    for (Index i = 0; i < X; ++i) {
      MLPKERN_UNROLL
      for (Index j = 0; j < S; ++j) {
        T& element = dw.data[i * dw.row_stride + j * dw.col_stride];
        element = (start == Start::zero ? T(0) : element) + results[i * S + j];
      }
    }
  }

 private:
  // The sum of each element's lanes: first register onto register, then, transposed, for W elements at a
  // time.
  template <Index Elements>
  static MLPKERN_INLINE void fold(Vec<T> (&acc)[Elements][parts], T (&results)[Elements]) {
    MLPKERN_UNROLL
    for (Index group = 0; group < Elements; group += W) {
      const Index count = smaller(W, Elements - group);
      Vec<T> sums[W];
      MLPKERN_UNROLL
      for (Index e = 0; e < W; ++e) {
        sums[e] = Vec<T>(T(0));
        if (e >= count) continue;
        Vec<T>* part = acc[group + e];
        MLPKERN_UNROLL
        for (Index half = parts / 2; half > 0; half /= 2) {
          MLPKERN_UNROLL
          for (Index k = 0; k < half; ++k) part[k] = part[k] + part[k + half];
        }
        sums[e] = part[0];
      }
      transpose(sums);
      MLPKERN_UNROLL
      for (Index half = W / 2; half > 0; half /= 2) {
        MLPKERN_UNROLL
        for (Index lane = 0; lane < half; ++lane) sums[lane] = sums[lane] + sums[lane + half];
      }
      store(results + group, sums[0], count);
    }
  }
};

// Calls visit(first, size) for the parts of n, `side` long and at the end by halves, sizes as constants.
template <Index side, class Visit>
MLPKERN_INLINE void for_each_block(Index n, Visit visit) {
  Index first = 0;
  for (; first + side <= n; first += side) visit.template operator()<side>(first);
  if constexpr (side > 1) {
    if (first < n) {
      for_each_block<side / 2>(n - first,
                               [&]<Index size>(Index i) { visit.template operator()<size>(first + i); });
    }
  }
}

template <class T>
void sum_over_lanes(Matrix<const T> x, Matrix<const T> ds, Matrix<T> dw, T* db, Start start) {
  using Sums = LaneSums<T>;
  for_each_block<Sums::side>(dw.rows, [&]<Index X>(Index i) {
    for_each_block<Sums::side>(dw.cols, [&]<Index S>(Index j) {
      Sums::template block<X, S, false>(x.data + i * x.row_stride, x.row_stride, ds.data + j * ds.row_stride,
                                        ds.row_stride, ds.cols, cols_of(rows_of(dw, i, X), j, S), start);
    });
  });
  if (db == nullptr) return;
  for_each_block<Sums::side>(dw.cols, [&]<Index S>(Index j) {
    Sums::template block<1, S, true>(nullptr, 0, ds.data + j * ds.row_stride, ds.row_stride, ds.cols,
                                     dense(db + j, 1, S), start);
  });
}

}  // namespace mlpkern::MLPKERN_ISA
