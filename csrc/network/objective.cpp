// SPDX-License-Identifier: BSD-3-Clause
#include "network/objective.hpp"

#include <algorithm>

namespace mlpkern {

void sample_factors(Reduction reduction, const double* weight, Index n, double* factor) {
  const bool mean = reduction == Reduction::mean;
  if (weight == nullptr) {
    std::fill_n(factor, n, mean ? 1.0 / static_cast<double>(n) : 1.0);
    return;
  }
  const double whole = mean ? sum_in_lanes(n, [=](Index i) { return weight[i]; }) : 1.0;
  for (Index i = 0; i < n; ++i) factor[i] = weight[i] / whole;
}

double reduced_cost(const double* cost, const double* factor, Index n) {
  return sum_in_lanes(n, [=](Index i) { return factor[i] == 0 ? 0.0 : factor[i] * cost[i]; });
}

}  // namespace mlpkern
