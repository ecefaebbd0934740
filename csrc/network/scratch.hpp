// SPDX-License-Identifier: BSD-3-Clause
// Scratch of the running thread for products: kept from call to call, since an allocation of its size
// (5 MB, of which a small product touches little) costs more than a small product.
#pragma once

#include "base/aligned.hpp"
#include "dispatch/registry.hpp"

namespace mlpkern {

// gemm_scratch elements. Throws std::bad_alloc.
template <class T>
T* thread_scratch() {
  thread_local AlignedBuffer<T> buffer;
  buffer.reserve(active_kernels<T>().gemm_scratch);
  return buffer.data();
}

}  // namespace mlpkern
