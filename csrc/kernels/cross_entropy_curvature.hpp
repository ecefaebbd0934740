// SPDX-License-Identifier: BSD-3-Clause
// The Hessian of the cross-entropy of softargmax_beta(p) by the logits p, times v, row by row:
//   C = total logsumexp - sum_k t_k beta p_k, total = sum t;  H = beta^2 total (diag(q) - q'q),
//   H v = beta^2 total q (v - <q, v>), q = softargmax_beta(p)
// It depends on the targets through their sum alone, which is 1 for labels. A logit of -inf has no weight; a
// row with +inf or NaN, or of nothing but -inf, gives NaN.
#pragma once

#include "kernels/loss_terms.hpp"
#include "kernels/softargmax_curvature.hpp"

namespace mlpkern::MLPKERN_ISA {

// As LossKernels has it.
template <class T>
void cross_entropy_curvature(const T* p, const T* y, const std::int64_t*, Index rows, Index cols,
                             const double* h, const double* factor, const T* v, T* out) {
  using W = Work<T>;
  const SmoothedTarget<T> target(h[0], cols);
  for (Index row = 0; row < rows && cols > 0; ++row, p += cols, v += cols, out += cols) {
    const Weights<T> weights(p, cols, h[1]);
    const W inverse = weights.inverse_sum();
    const auto q = [&](Index i, Index left) { return weights(i, left) * inverse; };
    const Centred<T> centred(v, weights.first_top(), cols, q);
    W sum_of_y(1.0);
    if (y != nullptr) {
      const T* targets = y + row * cols;
      sum_of_y = row_sum<W>(cols, [targets](Index i, Index left) { return load_or(targets + i, left, 0.0); });
    }
    const W total = target.sum(sum_of_y) * h[1] * h[1];
    for_each_register<T>(cols, [&](Index i, Index left) {
      store_up_to(out + i, weighted(W(factor[row]), q(i, left) * total * centred(i, left)), left);
    });
  }
}

}  // namespace mlpkern::MLPKERN_ISA
