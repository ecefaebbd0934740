// SPDX-License-Identifier: BSD-3-Clause
#include "isa/parts.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
const Kernels<T>& kernels() {
  static const Kernels<T> table = [] {
    Kernels<T> t{};
    const auto activations = activation_kernels<T>();
    t.activations = activations.first;
    t.activation_count = activations.count;
    const auto losses = loss_kernels<T>();
    t.losses = losses.first;
    t.loss_count = losses.count;
    const auto optimizers = optimizer_kernels<T>();
    t.optimizers = optimizers.first;
    t.optimizer_count = optimizers.count;
    fill_linear(t);
    fill_rows(t);
    fill_training(t);
    fill_probes(t);
    return t;
  }();
  return table;
}

template const Kernels<float>& kernels();
template const Kernels<double>& kernels();

}  // namespace mlpkern::MLPKERN_ISA
