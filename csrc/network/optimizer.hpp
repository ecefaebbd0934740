// SPDX-License-Identifier: BSD-3-Clause
// An optimizer at work on n parameters: its kernel, hyperparameters, states and the count of its steps.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "dispatch/registry.hpp"
#include "network/clipping.hpp"
#include "network/pool.hpp"

namespace mlpkern {

// Neighbouring parameters with the same hyperparameters.
struct ParameterGroup {
  Index first, count;
  std::array<double, kMaxParameters> parameters;  // the learning rate stands first
};

template <class T>
struct Optimizer {
  Index index;  // into the table's optimizers
  std::array<T*, kMaxStates> states;
  std::vector<ParameterGroup> groups;  // in order; together all n
  Clipping clipping = {};
  std::int64_t step = 0;
  Norm<T> norm = {};

  // What an update costs, in multiply-adds: a root and a division are as long as ten.
  double multiply_adds(Index n) const {
    const bool has_state = std::any_of(states.begin(), states.end(), [](const T* s) { return s != nullptr; });
    return (has_state ? 14.0 : 4.0) * static_cast<double>(n) + clipping.multiply_adds(n);
  }

  // One step, with `factor` times the learning rates; the gradients g are clipped in place.
  void update(T* w, T* g, Index n, double factor) {
    const Uninterrupted whole_step;
    clipping.clip(g, n, norm);
    for (const ParameterGroup& group : groups) update_group(group, w, g, factor);
    ++step;
  }

 private:
  // Elementwise, so blocks may run anywhere: four a thread, to be shared out evenly, but neither so small
  // that setting up Adam's bias corrections (0.1 µs) counts nor so large that the last one does.
  void update_group(const ParameterGroup& group, T* w, const T* g, double factor) const {
    constexpr Index kLeast = 1 << 13, kMost = 1 << 15;
    const Index n = group.count;
    const int workers = workers_for(multiply_adds(n));
    const Index block = workers == 1 ? std::max<Index>(n, 1) : std::clamp(n / (4 * workers), kLeast, kMost);
    const auto& kernel = active_kernels<T>().optimizers[index];
    std::array<double, kMaxParameters> parameters = group.parameters;
    parameters[0] *= factor;
    parallel_for(ceil_div(n, block), workers, [&](Index i, int) {
      const Index first = group.first + i * block;
      std::array<T*, kMaxStates> here = states;
      for (T*& state : here) {
        if (state != nullptr) state += first;
      }
      kernel.update(w + first, g + first, here.data(), std::min(block, n - i * block), parameters.data(),
                    step + 1);
    });
  }
};

}  // namespace mlpkern
