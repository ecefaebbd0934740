// SPDX-License-Identifier: BSD-3-Clause
#include "network/objective.hpp"

namespace mlpkern {

namespace {

constexpr Index kLanes = 8;

template <class Term>
double sum_in_lanes(Index n, Term term) {
  double lane[kLanes] = {};
  for (Index i = 0; i < n; ++i) lane[i % kLanes] += term(i);
  for (Index width = kLanes / 2; width > 0; width /= 2) {
    for (Index j = 0; j < width; ++j) lane[j] += lane[j + width];
  }
  return lane[0];
}

}  // namespace

void sample_factors(Reduction reduction, const double* weight, Index n, double* factor) {
  double whole = 1;
  if (reduction == Reduction::mean) {
    whole = weight == nullptr ? static_cast<double>(n) : sum_in_lanes(n, [&](Index i) { return weight[i]; });
  }
  for (Index i = 0; i < n; ++i) factor[i] = (weight == nullptr ? 1.0 : weight[i]) / whole;
}

double reduced_cost(const double* cost, const double* factor, Index n) {
  return sum_in_lanes(n, [&](Index i) { return factor[i] == 0 ? 0.0 : factor[i] * cost[i]; });
}

}  // namespace mlpkern
