// SPDX-License-Identifier: BSD-3-Clause
// Values of a network with their first and second derivatives by the input, kept for the way back from a
// cost made of all three to the gradients of the parameters.
#pragma once

#include <vector>

#include "network/tangents.hpp"
#include "network/tiling.hpp"
#include "network/workspace.hpp"

namespace mlpkern {

template <class T>
struct KeptJets {
  // What is asked for: tangents along unit vectors, or along `seed` (tangents, D).
  // square: second derivatives of all pairs, which come as symmetric (tangents, tangents) matrices.
  bool units = true;
  std::vector<T> seed;
  Index tangents = 0, seconds = 0;
  bool square = false;
  std::vector<Pair> pairs;

  // What is kept: of value j the rows from r on at r width(j), its tangents' sheets at r tangents width(j).
  Index n = 0;
  std::vector<char> flat;
  ValueBuffers<T> v, f1, f2, t, dd;

  Directions<T> directions() const { return {units ? nullptr : seed.data(), tangents, seconds, pairs, flat}; }
};

// Of `count` rows, the sheets (m, count, K) as columns (count, K, m); and the sheets of upper_pairs(D) as
// symmetric matrices (count, K, D, D).
template <class T>
void sheets_to_columns(const T* from, Index m, Index count, Index K, T* to);
template <class T>
void sheets_to_squares(const T* from, const std::vector<Pair>& pairs, Index count, Index K, Index D, T* to);

// The sheets of rows from `first` on, `m` of them to a value.
template <class T>
std::vector<T*> sheets_of_rows(const ValueBuffers<T>& buffers, const Program& program, Index first, Index m) {
  std::vector<T*> places = buffers.starts();
  for (std::size_t value = 0; value < places.size(); ++value) {
    places[value] += first * m * program.widths[value];
  }
  return places;
}

}  // namespace mlpkern
