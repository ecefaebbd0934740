// SPDX-License-Identifier: BSD-3-Clause
#include "network/tiling.hpp"

#include <algorithm>

namespace mlpkern {

namespace {

// Rows through layers up to this wide are turned: row after row they would leave lanes empty, and their
// products are too short to pay for the loops around them. A few rows do not fill the lanes either.
constexpr Index kNarrow = 56, kFewestTurned = 128;

bool turns(const Program& program, Index n) { return n >= kFewestTurned && program.widest() <= kNarrow; }

// Rows whose values take so many bytes each, in half of L2 (1 MB): a multiple of `step` from `fewest` to
// `most`.
Index fitting(Index bytes_a_row, Index step, Index fewest, Index most) {
  const Index rows = (512 << 10) / std::max<Index>(bytes_a_row, 1);
  return std::clamp(rows / step * step, fewest, most);
}

}  // namespace

template <class T>
Tiling tiling_of_forward(const Program& program, Index n) {
  const Index both = 2 * program.widest() * static_cast<Index>(sizeof(T));  // one is read, one is written
  if (turns(program, n)) {
    return {n, std::min(rounded_up(n, kLanes<T>), fitting(both, 64, 64, 256)), n, kLanes<T>};
  }
  // 96 rows keep products bound by arithmetic, though weights are read again for each tile.
  return {n, std::min(std::max<Index>(n, 1), fitting(both, 96, 96, 384)), n, 0};
}

template <class T>
Tiling tiling_of_training(const Program& program, Index n) {
  constexpr Index kMostChunks = 16, kFewestRows = 64, kMostBytes = 512 << 10;
  const auto size = static_cast<Index>(sizeof(T));
  const Index all = 2 * program.sum_of_widths() * size;  // values and their gradients
  // Chunks cost a copy of the gradients each, to be written and folded: at most 16, of 64 rows or more, and
  // only where the parameters take up to 512 kB. Without chunks, threads share out layers, row after row.
  const bool chunked = program.parameters() * size <= kMostBytes;
  const bool turned = chunked && turns(program, n);
  Tiling t{n, 0, n, turned ? kLanes<T> : 0};
  if (turned) {  // at least two tiles, for two threads
    t.tile = std::min(rounded_up(ceil_div(n, 2), 32), fitting(all, 64, 64, 256));
  } else {
    t.tile = std::min(std::max<Index>(n, 1), fitting(all, 48, 96, 384));
  }
  if (chunked) {
    const Index rows = std::max(kFewestRows, ceil_div(n, kMostChunks));
    t.chunk = std::min(n, turned ? rounded_up(rows, t.tile) : rounded_up(rows, 8));
    if (!turned) t.tile = std::min(t.tile, std::max<Index>(t.chunk, 1));
  }
  return t;
}

template Tiling tiling_of_forward<float>(const Program&, Index);
template Tiling tiling_of_forward<double>(const Program&, Index);
template Tiling tiling_of_training<float>(const Program&, Index);
template Tiling tiling_of_training<double>(const Program&, Index);

}  // namespace mlpkern
