// SPDX-License-Identifier: BSD-3-Clause
// Which rows of a batch go through the layers together, and how their values lie. A function of shapes
// alone: threads share out what stands here. Where nothing is added up over the rows, they may make tiles
// smaller (shared_by), which changes no bit.
#pragma once

#include <algorithm>

#include "network/program.hpp"

namespace mlpkern {

// Some rows of a batch. Their values lie row after row (stride 0) or turned: column after column, each
// `stride` long, a sample in each lane and in the last lanes none.
struct Rows {
  Index first, count;
  Index stride = 0;
  bool turned() const { return stride != 0; }
  Index elements(Index width) const { return width * (turned() ? stride : count); }
};

// A batch of n rows: chunks, each of which adds up its own gradients, of tiles, which go through all
// layers together: while they stay in cache or, where the weights do not, so many that reading these takes
// little.
struct Tiling {
  Index n;
  Index tile, chunk;  // rows; where rows are turned, both are multiples of lanes, and chunk one of tile
  Index lanes;        // what a turned column's length is a multiple of; 0 where rows are not turned

  Index chunks() const { return n == 0 ? 0 : ceil_div(n, chunk); }
  Index tiles() const { return n == 0 ? 0 : ceil_div(n, tile); }
  Rows rows(Index first, Index end) const {
    const Index count = end - first < tile ? end - first : tile;
    return {first, count, lanes == 0 ? 0 : rounded_up(count, lanes)};
  }
  Rows rows_of_tile(Index i) const { return rows(i * tile, n); }

  // For a pass that adds up nothing over the rows: a tile for each of the crew, at least.
  Tiling shared_by(int crew) const {
    constexpr Index kFewest = 6;  // rows: each tile reads all weights
    const Index share = std::max(kFewest, rounded_up(ceil_div(n, crew), lanes == 0 ? 1 : lanes));
    return {n, std::min(tile, share), chunk, lanes};
  }
};

// For a forward pass alone.
template <class T>
Tiling tiling_of_forward(const Program& program, Index n);

// For a pass forward and back.
template <class T>
Tiling tiling_of_training(const Program& program, Index n);

// The same without turning rows. Each row has `sets` rows of each value's width, and `sheets` of them go
// through a product together.
template <class T>
Tiling tiling_in_rows(const Program& program, Index n, Index sets, Index sheets);

// How many rows go together where each has so many sheets of tangents (tangents.hpp) beside its values.
template <class T>
Index rows_with_sheets(const Program& program, Index n, Index sheets);

}  // namespace mlpkern
