// SPDX-License-Identifier: BSD-3-Clause
// The cost of a batch and the gradient that belongs to it. A cost is the mean or the sum over the samples;
// sample weights count a sample so many times, and the mean divides by their sum.
#pragma once

#include <array>
#include <cstdint>

#include "dispatch/table.hpp"

namespace mlpkern {

enum class Reduction { mean, sum };

struct Loss {
  Index index;  // into the table's losses
  std::array<double, kMaxParameters> parameters;
  Reduction reduction;
};

// y (n, K), or labels (n,) where y is null; weight (n,) or null.
template <class T>
struct Targets {
  const T* y;
  const std::int64_t* labels;
  const double* weight;
};

template <class T>
constexpr Targets<T> targets_from(Targets<T> t, Index row, Index cols) {
  return {t.y == nullptr ? nullptr : t.y + row * cols, t.labels == nullptr ? nullptr : t.labels + row,
          t.weight == nullptr ? nullptr : t.weight + row};
}

// factor[i] = dC/dC_i: 1/n or 1, times the weight over the weights' sum.
void sample_factors(Reduction reduction, const double* weight, Index n, double* factor);

// term(0) + term(1) + … in 8 virtual lanes and a fixed tree.
template <class Term>
double sum_in_lanes(Index n, Term term) {
  constexpr Index lanes = 8;
  double lane[lanes] = {};
  Index i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (Index j = 0; j < lanes; ++j) lane[j] += term(i + j);
  }
  for (Index j = 0; i + j < n; ++j) lane[j] += term(i + j);
  for (Index width = lanes / 2; width > 0; width /= 2) {
    for (Index j = 0; j < width; ++j) lane[j] += lane[j + width];
  }
  return lane[0];
}

// C = sum_i factor[i] cost[i], a sample of factor 0 left out whatever its cost. Added up in 8 virtual lanes
// and a fixed tree.
double reduced_cost(const double* cost, const double* factor, Index n);

}  // namespace mlpkern
