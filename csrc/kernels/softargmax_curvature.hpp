// SPDX-License-Identifier: BSD-3-Clause
// The second derivatives of softargmax and its logarithm, row by row, between two vectors. With weights
// a = softargmax_beta(s), <v> = sum a v and cov(v, w) = sum a (v - <v>)(w - <w>):
//   softargmax:      sum_ij d2a_k/ds_i ds_j v_i w_j = beta^2 a_k [(v_k - <v>)(w_k - <w>) - cov(v, w)]
//                    which is symmetric in all three indices: both products are this one
//   its logarithm:   sum_ij d2_k v_i w_j = -cov(v, w) for every k
//                    sum_ki v_k d2_k w_i = -(sum v) a_j (w_j - <w>) for every j
// v and w are first moved by their value at the largest entry, which changes nothing but spares them the
// cancellation where that entry's weight is next to 1. Specials as in softargmax.hpp; in place is allowed.
#pragma once

#include "kernels/softargmax.hpp"

namespace mlpkern::MLPKERN_ISA {

// v - <v> of a row: v less its value at the top, less the mean of that.
template <class T>
struct Centred {
  using W = Work<T>;
  const T* v;
  double top;
  W mean;
  template <class Y>
  MLPKERN_INLINE Centred(const T* row, Index first_top, Index cols, Y y)
      : v(row), top(double{row[first_top]}), mean(centred_mean<W>(row, row[first_top], cols, y)) {}
  MLPKERN_INLINE W operator()(Index i, Index left) const { return load_or(v + i, left, top) - top - mean; }
};

template <class T, class Y>
MLPKERN_INLINE Work<T> covariance(const Centred<T>& v, const Centred<T>& w, Index cols, Y y) {
  return row_sum<Work<T>>(cols, [&](Index i, Index left) { return y(i, left) * (v(i, left) * w(i, left)); });
}

struct SoftargmaxCurvature {
  template <class T>
  static void second_jvp(const T* s, const T* v, const T* w, T* out, Index rows, Index cols,
                         const double* p) {
    for (Index row = 0; row < rows && cols > 0; ++row, s += cols, v += cols, w += cols, out += cols) {
      const Weights<T> weights(s, cols, p[0]);
      const Work<T> inverse = weights.inverse_sum();
      const auto y = [&](Index i, Index left) { return weights(i, left) * inverse; };
      const Index top = weights.first_top();
      const Centred<T> dv(v, top, cols, y), dw(w, top, cols, y);
      const Work<T> cov = covariance(dv, dw, cols, y);
      for_each_register<T>(cols, [&](Index i, Index left) {
        const Work<T> difference = dv(i, left) * dw(i, left) - cov;
        store_up_to(out + i, y(i, left) * p[0] * p[0] * difference, left);
      });
    }
  }
  template <class T>
  static constexpr auto second_vjp = second_jvp<T>;
};

struct LogSoftargmaxCurvature {
  template <class T>
  static void second_jvp(const T* s, const T* v, const T* w, T* out, Index rows, Index cols, const double*) {
    for (Index row = 0; row < rows && cols > 0; ++row, s += cols, v += cols, w += cols, out += cols) {
      const Weights<T> weights(s, cols, 1.0);
      const Work<T> inverse = weights.inverse_sum();
      const auto y = [&](Index i, Index left) { return weights(i, left) * inverse; };
      const Index top = weights.first_top();
      const Work<T> cov = covariance(Centred<T>(v, top, cols, y), Centred<T>(w, top, cols, y), cols, y);
      for_each_register<T>(cols, [&](Index i, Index left) { store_up_to(out + i, -cov, left); });
    }
  }
  template <class T>
  static void second_vjp(const T* s, const T* v, const T* w, T* out, Index rows, Index cols, const double*) {
    using W = Work<T>;
    for (Index row = 0; row < rows && cols > 0; ++row, s += cols, v += cols, w += cols, out += cols) {
      const Weights<T> weights(s, cols, 1.0);
      const W inverse = weights.inverse_sum();
      const auto y = [&](Index i, Index left) { return weights(i, left) * inverse; };
      const Centred<T> dw(w, weights.first_top(), cols, y);
      const W sum = row_sum<W>(cols, [&](Index i, Index left) { return load_or(v + i, left, 0.0); });
      for_each_register<T>(
          cols, [&](Index i, Index left) { store_up_to(out + i, -(sum * y(i, left) * dw(i, left)), left); });
    }
  }
};

}  // namespace mlpkern::MLPKERN_ISA
