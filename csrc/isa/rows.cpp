// SPDX-License-Identifier: BSD-3-Clause
#include "isa/parts.hpp"
#include "kernels/softargmax.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class T>
void fill_rows(Kernels<T>& table) {
  table.logsumexp = logsumexp<T>;
}

template void fill_rows(Kernels<float>&);
template void fill_rows(Kernels<double>&);

}  // namespace mlpkern::MLPKERN_ISA
