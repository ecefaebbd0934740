// SPDX-License-Identifier: BSD-3-Clause
// An optimizer at work on n parameters: its kernel, hyperparameters, states and the count of its steps.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"

namespace mlpkern {

template <class T>
struct Optimizer {
  Index index;  // into the table's optimizers
  std::array<double, kMaxParameters> parameters;
  std::array<T*, kMaxStates> states;
  std::int64_t step = 0;

  // One step. Elementwise, so blocks may run anywhere.
  void update(T* w, const T* g, Index n) {
    constexpr Index kBlock = 1 << 15;
    const Uninterrupted whole_step;
    const auto& kernel = active_kernels<T>().optimizers[index];
    const std::int64_t next = step + 1;
    parallel_for((n + kBlock - 1) / kBlock, workers_for(4.0 * static_cast<double>(n)), [&](Index block, int) {
      const Index first = block * kBlock;
      std::array<T*, kMaxStates> here = states;
      for (T*& state : here) {
        if (state != nullptr) state += first;
      }
      kernel.update(w + first, g + first, here.data(), std::min(kBlock, n - first), parameters.data(), next);
    });
    step = next;
  }
};

}  // namespace mlpkern
