// SPDX-License-Identifier: BSD-3-Clause
// The parts of one ISA's table. Each part is a source file of this folder, compiled once an ISA with
// that ISA's flags and -DMLPKERN_ISA=name; table.cpp puts them together.
#pragma once

#include "dispatch/table.hpp"

#ifndef MLPKERN_ISA
#define MLPKERN_ISA baseline
#endif

namespace mlpkern::MLPKERN_ISA {

template <class Row>
struct Rows {
  const Row* first;
  Index count;
};

// Called only once the machine is known to have the ISA: nothing here runs when the module loads.
template <class T>
Rows<ActivationKernels<T>> activation_kernels();
template <class T>
Rows<LossKernels<T>> loss_kernels();
template <class T>
Rows<OptimizerKernels<T>> optimizer_kernels();

// The fields of Kernels<T> that are single functions; each part fills its own.
template <class T>
void fill_linear(Kernels<T>& table);
template <class T>
void fill_rows(Kernels<T>& table);
template <class T>
void fill_training(Kernels<T>& table);
template <class T>
void fill_probes(Kernels<T>& table);

}  // namespace mlpkern::MLPKERN_ISA
