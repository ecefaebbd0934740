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

  // What an update costs, in multiply-adds: a root and a division are as long as ten.
  double multiply_adds(Index n) const {
    const bool has_state = std::any_of(states.begin(), states.end(), [](const T* s) { return s != nullptr; });
    return (has_state ? 14.0 : 4.0) * static_cast<double>(n);
  }

  // One step, with `factor` times the learning rate. Elementwise, so blocks may run anywhere: four a thread,
  // to be shared out evenly, but neither so small that setting up Adam's bias corrections (0.1 µs) counts nor
  // so large that the last one does.
  void update(T* w, const T* g, Index n, double factor) {
    constexpr Index kLeast = 1 << 13, kMost = 1 << 15;
    const int workers = workers_for(multiply_adds(n));
    const Index block = workers == 1 ? std::max<Index>(n, 1) : std::clamp(n / (4 * workers), kLeast, kMost);
    const Uninterrupted whole_step;
    const auto& kernel = active_kernels<T>().optimizers[index];
    const std::int64_t next = step + 1;
    std::array<double, kMaxParameters> now = parameters;
    now[0] *= factor;  // lr stands first in every optimizer
    parallel_for(ceil_div(n, block), workers, [&](Index i, int) {
      const Index first = i * block;
      std::array<T*, kMaxStates> here = states;
      for (T*& state : here) {
        if (state != nullptr) state += first;
      }
      kernel.update(w + first, g + first, here.data(), std::min(block, n - first), now.data(), next);
    });
    step = next;
  }
};

}  // namespace mlpkern
