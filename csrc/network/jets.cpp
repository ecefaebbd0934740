// SPDX-License-Identifier: BSD-3-Clause
// A pass of values, tangents and second derivatives together, forward and back.
#include "network/jets.hpp"

#include <algorithm>

#include "network/derivatives.hpp"

namespace mlpkern {

template <class T>
void sheets_to_columns(const T* from, Index m, Index count, Index K, T* to, Index stride) {
  for (Index r = 0; r < count; ++r) {
    active_kernels<T>().transpose({from + r * K, m, K, count * K, 1}, to + r * K * stride, stride);
  }
}
template <class T>
void sheets_to_squares(const T* from, const std::vector<Pair>& pairs, Index count, Index K, Index D, T* to) {
  for (Index element = 0; element < count * K; ++element, to += D * D) {
    for (const Pair& p : pairs) to[p.i * D + p.j] = to[p.j * D + p.i] = from[p.q * count * K + element];
  }
}

namespace {

// The ways back: a cotangent of both triangles goes to the one that there is. null: zeros.
template <class T>
void columns_to_sheets(const T* from, Index m, Index count, Index K, T* to) {
  if (from == nullptr) return std::fill_n(to, m * count * K, T(0)), void();
  for (Index r = 0; r < count; ++r) {
    active_kernels<T>().transpose({from + r * K * m, K, m, m, 1}, to + r * K, count * K);
  }
}
template <class T>
void squares_to_sheets(const T* from, const std::vector<Pair>& pairs, Index count, Index K, Index D, T* to) {
  for (Index element = 0; element < count * K; ++element, from += D * D) {
    for (const Pair& p : pairs) {
      to[p.q * count * K + element] =
          p.i == p.j ? from[p.i * D + p.i] : from[p.i * D + p.j] + from[p.j * D + p.i];
    }
  }
}

template <class T>
Tiling tiling_of_jets(const Program& program, Index n, const JetsRequest<T>& request) {
  const Index sheets = 1 + request.tangents + request.seconds;
  return tiling_in_rows<T>(program, n, 3 + 2 * sheets, sheets);  // and three slopes
}

}  // namespace

// The sheets of some rows, in the worker's buffers.
template <class T>
typename Network<T>::JetsOfTile Network<T>::jets_of_tile(const T* x, const JetsRequest<T>& request, Rows rows,
                                                         Index most, Worker<T>& worker) const {
  for (ValueBuffers<T>& slopes : worker.slopes) slopes.reserve(most, program_.widths);
  worker.tangents.reserve(request.tangents * most, program_.widths);
  worker.seconds.reserve(request.seconds * most, program_.widths);
  const Index D = program_.input_width();
  const Values<T> v = worker.values_with(x + rows.first * D, 0, nullptr, rows.first);
  const Slopes<T> f = {worker.slopes[0].starts().data(), worker.slopes[1].starts().data(),
                       worker.slopes[2].starts().data()};
  const Jets<T> jets = {v.data, worker.tangents.starts().data(), worker.seconds.starts().data()};
  passes().forward(parameters_, v, rows, program_.operations.size());
  const Tangents<T> pass = tangents(worker, rows.count);
  pass.slopes(1, v.data, f.f1, program_.operations.size());
  pass.push_seed(request.directions().seed, 0, v.data, f.f1, jets.t, request.tangents);
  if (request.seconds != 0) {
    pass.slopes(2, v.data, f.f2, program_.operations.size());
    pass.push_second(jets, f, request.directions());
  }
  return {pass, jets, f};
}

// u (n, K), u_x (n, K, tangents), and u_xx (n, K, seconds) or, squares, (n, K, tangents, tangents).
template <class T>
void Network<T>::jets(const T* x, Index n, const JetsRequest<T>& request, T* u, T* u_x, T* u_xx) const {
  const Index m = request.tangents, seconds = request.seconds, K = program_.output_width();
  const std::size_t last = at(program_.output());
  const Index most = tiling_of_jets(program_, n, request).tile;
  const Tiling tiling = {n, most, std::max<Index>(n, 1), 0};
  const int crew = crew_for(tiling.tiles(), (1 + m + seconds) * n);
  const Lease workspace(idle_, crew, most, program_, {true, false});
  parallel_for(tiling.tiles(), crew, [&](Index i, int number) {
    const Rows rows = tiling.rows_of_tile(i);
    const Index first = rows.first, count = rows.count;
    const JetsOfTile tile = jets_of_tile(x, request, rows, most, workspace[number]);
    std::copy_n(tile.jets.v[last], count * K, u + first * K);
    sheets_to_columns(tile.jets.t[last], m, count, K, u_x + first * K * m, m);
    if (seconds == 0) return;
    const Index size = request.square ? m * m : seconds;
    T* const to = u_xx + first * K * size;
    if (request.flat[last]) {
      std::fill_n(to, count * K * size, T(0));
    } else if (request.square) {
      sheets_to_squares(tile.jets.dd[last], request.pairs, count, K, m, to);
    } else {
      sheets_to_columns(tile.jets.dd[last], seconds, count, K, to, seconds);
    }
  });
}

// Adds to `gradients` those of sum(du u) + sum(du_x u_x) + sum(du_xx u_xx), each of which may be null. The
// sheets are made again, tile by tile: kept from the pass forward they went to memory and came back, which
// took 1.6 times as long (2-20x8-1, 1024 rows).
template <class T>
void Network<T>::pull_jets(const T* x, Index n, const JetsRequest<T>& request, const T* du, const T* du_x,
                           const T* du_xx, const Arrays<T>& gradients) const {
  if (n == 0) return;
  const Index m = request.tangents, seconds = request.seconds, K = program_.output_width();
  const std::size_t last = at(program_.output());
  const Tiling tiling = tiling_of_jets(program_, n, request);
  const int crew = crew_for(tiling.chunks(), 3 * (1 + m + seconds) * n);
  Lease workspace(idle_, crew, tiling.tile, program_, {true, true});
  const auto tile = [&](Worker<T>& worker, const Arrays<T>& target, Rows rows) {
    const JetsOfTile forward = jets_of_tile(x, request, rows, tiling.tile, worker);
    worker.cotangents[0].reserve(m * tiling.tile, program_.widths);
    worker.cotangents[1].reserve(seconds * tiling.tile, program_.widths);
    const Jets<T> g = {worker.gradients.starts().data(), worker.cotangents[0].starts().data(),
                       worker.cotangents[1].starts().data()};
    forward.pass.slopes(seconds == 0 ? 2 : 3, forward.jets.v, seconds == 0 ? forward.f.f2 : forward.f.f3,
                        program_.operations.size());
    const Index first = rows.first, count = rows.count;
    const auto from = [&](const T* d, Index size) { return d == nullptr ? d : d + first * K * size; };
    columns_to_sheets(from(du, 1), 1, count, K, g.v[last]);
    columns_to_sheets(from(du_x, m), m, count, K, g.t[last]);
    if (request.square && du_xx != nullptr) {
      squares_to_sheets(from(du_xx, m * m), request.pairs, count, K, m, g.dd[last]);
    } else {
      columns_to_sheets(from(du_xx, seconds), seconds, count, K, g.dd[last]);
    }
    forward.pass.pull_jets(forward.jets, forward.f, request.directions(), g, target, worker.begun.data());
  };
  sum_over_tiles(tiling, gradients, false, workspace, crew, tile);
}

#define MLPKERN_JETS(T)                                                                                     \
  template void sheets_to_columns(const T*, Index, Index, Index, T*, Index);                                \
  template void sheets_to_squares(const T*, const std::vector<Pair>&, Index, Index, Index, T*);             \
  template void Network<T>::jets(const T*, Index, const JetsRequest<T>&, T*, T*, T*) const;                 \
  template void Network<T>::pull_jets(const T*, Index, const JetsRequest<T>&, const T*, const T*, const T*, \
                                      const Arrays<T>&) const;
MLPKERN_JETS(float)
MLPKERN_JETS(double)

}  // namespace mlpkern
