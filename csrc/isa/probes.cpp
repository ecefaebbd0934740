// SPDX-License-Identifier: BSD-3-Clause
#include "kernels/probes.hpp"

#include "isa/parts.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
void fill_probes(Kernels<T>& table) {
  table.fma_probe = fma_probe<T>;
  table.fma_probe_flops = fma_probe_flops<T>();
  table.bandwidth_probe = bandwidth_probe<T>;
}

template void fill_probes(Kernels<float>&);
template void fill_probes(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
