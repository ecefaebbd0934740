// SPDX-License-Identifier: BSD-3-Clause
// The rows of losses and optimizers; clipping and dropout.
#include "isa/parts.hpp"
#include "kernels/clipping.hpp"
#include "kernels/dropout.hpp"
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

template <class T>
void fill_training(Kernels<T>& table) {
  table.sum_of_squares = sum_of_squares<T>;
  table.scale = scale<T>;
  table.clamp = clamp<T>;
  table.dropout = dropout<T>;
}

template Rows<LossKernels<float>> loss_kernels();
template Rows<LossKernels<double>> loss_kernels();
template Rows<OptimizerKernels<float>> optimizer_kernels();
template Rows<OptimizerKernels<double>> optimizer_kernels();
template void fill_training(Kernels<float>&);
template void fill_training(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
