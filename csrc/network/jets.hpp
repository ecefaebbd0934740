// SPDX-License-Identifier: BSD-3-Clause
// Values of a network with their first and second derivatives by the input: what is asked for.
#pragma once

#include <vector>

#include "network/tangents.hpp"

namespace mlpkern {

template <class T>
struct JetsRequest {
  // Tangents along unit vectors, or along `seed` (tangents, D).
  bool units = true;
  std::vector<T> seed;
  Index tangents = 0, seconds = 0;
  // Second derivatives of all pairs, which come as symmetric (tangents, tangents) matrices.
  bool square = false;
  std::vector<Pair> pairs;
  std::vector<char> flat;  // Program::flat_values

  Directions<T> directions() const { return {units ? nullptr : seed.data(), tangents, seconds, pairs, flat}; }
};

// Of `count` rows, the sheets (m, count, K) as columns (count, K, m), m of each `stride`; and the sheets of
// pairs at their places in symmetric matrices (count, K, D, D).
template <class T>
void sheets_to_columns(const T* from, Index m, Index count, Index K, T* to, Index stride);
template <class T>
void sheets_to_squares(const T* from, const std::vector<Pair>& pairs, Index count, Index K, Index D, T* to);

}  // namespace mlpkern
