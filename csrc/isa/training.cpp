// SPDX-License-Identifier: BSD-3-Clause
// The rows of losses and optimizers.
#include "isa/parts.hpp"
#include "kernels/losses.hpp"
#include "kernels/optimizers.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
Rows<LossKernels<T>> loss_kernels() {
  const auto& rows = Losses::rows<T>;
  return {rows, static_cast<Index>(sizeof rows / sizeof rows[0])};
}

template <class T>
Rows<OptimizerKernels<T>> optimizer_kernels() {
  const auto& rows = Optimizers::rows<T>;
  return {rows, static_cast<Index>(sizeof rows / sizeof rows[0])};
}

template Rows<LossKernels<float>> loss_kernels();
template Rows<LossKernels<double>> loss_kernels();
template Rows<OptimizerKernels<float>> optimizer_kernels();
template Rows<OptimizerKernels<double>> optimizer_kernels();

}  // namespace mlpkern::MLPKERN_ISA
