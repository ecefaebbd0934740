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

// Chunks cost a copy of the gradients each, to be written and folded: at most 16, of 64 rows or more, and
// only where the parameters take up to 512 kB. Without chunks, threads share out layers, row after row.
template <class T>
bool in_chunks(const Program& program) {
  constexpr Index kMostBytes = 512 << 10;
  return program.parameters() * static_cast<Index>(sizeof(T)) <= kMostBytes;
}
Index rows_of_chunk(Index n) {
  constexpr Index kMostChunks = 16, kFewestRows = 64;
  return std::max(kFewestRows, ceil_div(n, kMostChunks));
}

// A tile of rows through weights that do not stay in L2: so many that reading and packing the weights, once
// for each tile, takes little beside their product. With 192 rows, 4096 through 1024x5 took 5 % more. Wide
// values count: some 32 MB of them.
Index rows_of_large(Index n, Index bytes_a_row) {
  const Index most = std::clamp<Index>((32 << 20) / std::max<Index>(bytes_a_row, 1) / 96 * 96, 96, 512);
  return std::clamp<Index>(n, 1, most);
}

}  // namespace

template <class T>
Tiling tiling_of_forward(const Program& program, Index n) {
  const Index both = 2 * program.widest() * static_cast<Index>(sizeof(T));  // one is read, one is written
  if (turns(program, n)) {
    return {n, std::min(rounded_up(n, kLanes<T>), fitting(both, 64, 64, 256)), n, kLanes<T>};
  }
  if (!in_chunks<T>(program)) return {n, rows_of_large(n, both), n, 0};
  // 96 rows keep products bound by arithmetic, though weights are read again for each tile.
  return {n, std::min(std::max<Index>(n, 1), fitting(both, 96, 96, 384)), n, 0};
}

template <class T>
Tiling tiling_in_rows(const Program& program, Index n, Index sets, Index sheets) {
  const Index all = sets * program.sum_of_widths() * static_cast<Index>(sizeof(T));
  const Index fewest = rounded_up(ceil_div(96, sheets), 8);  // a product's rows are `sheets` times as many
  Tiling t{n, std::min(std::max<Index>(n, 1), fitting(all, sheets == 1 ? 48 : 8, fewest, 384)), n, 0};
  if (in_chunks<T>(program)) {
    t.chunk = std::min(n, rounded_up(rows_of_chunk(n), 8));
    t.tile = std::min(t.tile, std::max<Index>(t.chunk, 1));
  }
  return t;
}

template <class T>
Tiling tiling_of_training(const Program& program, Index n) {
  constexpr Index kSets = 2;  // values and their gradients
  const Index all = kSets * program.sum_of_widths() * static_cast<Index>(sizeof(T));
  if (!in_chunks<T>(program)) return {n, rows_of_large(n, all), n, 0};
  if (!turns(program, n)) return tiling_in_rows<T>(program, n, kSets, 1);
  // at least two tiles, for two threads
  const Index tile = std::min(rounded_up(ceil_div(n, 2), 32), fitting(all, 64, 64, 256));
  return {n, tile, std::min(n, rounded_up(rows_of_chunk(n), tile)), kLanes<T>};
}

template <class T>
Index rows_with_sheets(const Program& program, Index n, Index sheets) {
  const Index bytes = (2 + sheets) * program.sum_of_widths() * static_cast<Index>(sizeof(T));
  const Index fewest = ceil_div(96, std::max<Index>(sheets, 1));  // of a product's rows
  return std::min(std::max<Index>(n, 1), fitting(bytes, 1, fewest, 384));
}

template Tiling tiling_of_forward<float>(const Program&, Index);
template Tiling tiling_of_forward<double>(const Program&, Index);
template Tiling tiling_of_training<float>(const Program&, Index);
template Tiling tiling_of_training<double>(const Program&, Index);
template Tiling tiling_in_rows<float>(const Program&, Index, Index, Index);
template Tiling tiling_in_rows<double>(const Program&, Index, Index, Index);
template Index rows_with_sheets<float>(const Program&, Index, Index);
template Index rows_with_sheets<double>(const Program&, Index, Index);

}  // namespace mlpkern
