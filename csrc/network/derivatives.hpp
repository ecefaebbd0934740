// SPDX-License-Identifier: BSD-3-Clause
// How derivatives go through a batch: tile by tile. For jacobians.cpp, curvature.cpp and jets.cpp.
#pragma once

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/network.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
Tangents<T> Network<T>::tangents(Worker<T>& worker, Index count) const {
  worker.temp.reserve(count * program_.widest());
  return {program_, parameters_, active_kernels<T>(), thread_scratch<T>(), worker.temp.data(), count};
}

template <class T>
template <class Use>
void Network<T>::at_tiles(const T* x, Index n, Index together, Index sheets, const Use& use) const {
  const Index D = program_.input_width(), rows = rows_with_sheets<T>(program_, n, together);
  const Index tiles = n == 0 ? 0 : ceil_div(n, rows);
  const int crew = crew_for(tiles, (1 + sheets) * n);
  const Lease workspace(idle_, crew, rows, program_, {true, false});
  parallel_for(tiles, crew, [&](Index i, int number) {
    Worker<T>& worker = workspace[number];
    const Index first = i * rows, count = std::min(rows, n - first);
    worker.slopes[0].reserve(rows, program_.widths);
    worker.tangents.reserve(together * rows, program_.widths);
    const Values<T> v = worker.values_with(x + first * D, 0, nullptr, first);
    const std::vector<T*> places = worker.pointers;  // which `use` may need
    passes().forward(parameters_, v, {first, count}, program_.operations.size());
    const Tangents<T> pass = tangents(worker, count);
    T* const* f1 = worker.slopes[0].starts().data();
    pass.slopes(1, places.data(), f1, program_.operations.size());
    use({worker, pass, first, count, places.data(), f1});
  });
}

}  // namespace mlpkern
