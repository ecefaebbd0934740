// SPDX-License-Identifier: BSD-3-Clause
// Gradients made smaller before a step: each element into [-value, value], then all of them by one factor,
// such that their Euclidean norm is at most `norm`. A norm that is NaN or infinite changes nothing: the
// gradients go into the step as they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "dispatch/registry.hpp"
#include "network/objective.hpp"
#include "network/pool.hpp"

namespace mlpkern {

// The norm of (n,), in double, the same for any number of threads: blocks of a fixed size are added in order
// of a fixed tree. Where squares overflow or underflow, which only doubles' can, elements are scaled by a
// power of two first.
template <class T>
class Norm {
 public:
  // Throws std::bad_alloc; later calls on as many elements allocate nothing.
  double operator()(const T* x, Index n) {
    const double norm = std::sqrt(sum(x, 1, n));
    if (norm > 1e-145 && norm < 1e150) return norm;
    const T largest =
        std::abs(*std::max_element(x, x + n, [](T a, T b) { return std::abs(a) < std::abs(b); }));
    if (std::isnan(norm) || largest == 0 || !std::isfinite(largest)) return norm;
    const int exponent = std::clamp(std::ilogb(static_cast<double>(largest)), -1000, 1000);
    return std::ldexp(std::sqrt(sum(x, std::ldexp(1.0, -exponent), n)), exponent);
  }

 private:
  static constexpr Index kBlock = 1 << 14;

  double sum(const T* x, double factor, Index n) {
    const auto& kernel = active_kernels<T>().sum_of_squares;
    blocks_.resize(at(ceil_div(n, kBlock)));
    const Index count = static_cast<Index>(blocks_.size());
    parallel_for(count, workers_for(static_cast<double>(n)), [&](Index i, int) {
      blocks_[at(i)] = kernel(x + i * kBlock, factor, std::min(kBlock, n - i * kBlock));
    });
    return sum_in_lanes(count, [&](Index i) { return blocks_[at(i)]; });
  }
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  std::vector<double> blocks_;
};

struct Clipping {
  static constexpr double kNone = std::numeric_limits<double>::infinity();
  double norm = kNone, value = kNone;
  double found = std::numeric_limits<double>::quiet_NaN();  // the norm before the last step, where asked for

  double multiply_adds(Index n) const {
    return (norm < kNone ? 2.0 : 0.0) * static_cast<double>(n) + (value < kNone ? static_cast<double>(n) : 0);
  }

  template <class T>
  void clip(T* g, Index n, Norm<T>& norm_of) {
    const Kernels<T>& kernels = active_kernels<T>();
    const auto by_blocks = [&](auto kernel, auto number) {
      constexpr Index kBlock = 1 << 15;
      parallel_for(ceil_div(n, kBlock), workers_for(static_cast<double>(n)),
                   [&](Index i, int) { kernel(g + i * kBlock, number, std::min(kBlock, n - i * kBlock)); });
    };
    if (value < kNone) by_blocks(kernels.clamp, static_cast<T>(value));
    found = norm == kNone ? std::numeric_limits<double>::quiet_NaN() : norm_of(g, n);
    if (found > norm && std::isfinite(found)) by_blocks(kernels.scale, norm / found);
  }
};

}  // namespace mlpkern
