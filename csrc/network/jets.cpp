// SPDX-License-Identifier: BSD-3-Clause
// A pass of values, tangents and second derivatives together, forward and back.
#include "network/jets.hpp"

#include <algorithm>

#include "network/derivatives.hpp"

namespace mlpkern {

template <class T>
void sheets_to_columns(const T* from, Index m, Index count, Index K, T* to) {
  for (Index r = 0; r < count; ++r) {
    active_kernels<T>().transpose({from + r * K, m, K, count * K, 1}, to + r * K * m, m);
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
Tiling tiling_of_jets(const Program& program, const KeptJets<T>& kept) {
  return tiling_in_rows<T>(program, kept.n, 4 + 2 * (1 + kept.tangents + kept.seconds),
                           1 + kept.tangents + kept.seconds);
}

}  // namespace

// u (n, K), u_x (n, K, tangents), u_xx (n, K, seconds)
template <class T>
void Network<T>::keep_jets(const T* x, Index n, KeptJets<T>& kept, T* u, T* u_x, T* u_xx) const {
  kept.n = n;
  kept.flat = program_.flat_values();
  const Index m = kept.tangents, seconds = kept.seconds, rows = std::max<Index>(n, 1);
  for (ValueBuffers<T>* buffers : {&kept.v, &kept.f1, &kept.f2}) buffers->reserve(rows, program_.widths);
  kept.t.reserve(rows * m, program_.widths);
  kept.dd.reserve(rows * seconds, program_.widths);
  const Index D = program_.input_width(), K = program_.output_width();
  const std::size_t last = at(program_.output());
  std::copy_n(x, n * D, kept.v[0]);
  const Tiling tiling = tiling_of_jets(program_, kept);
  const Index per_chunk = ceil_div(tiling.chunk, tiling.tile);  // tiles end where chunks do
  const int crew = crew_for(tiling.chunks() * per_chunk, (1 + m + seconds) * n);
  Lease workspace(idle_, crew, 0, program_, {false, false});
  parallel_for(tiling.chunks() * per_chunk, crew, [&](Index i, int number) {
    const Index begin = i / per_chunk * tiling.chunk, first = begin + i % per_chunk * tiling.tile;
    const Index end = std::min(n, begin + tiling.chunk);
    if (first >= end) return;
    const Rows part = tiling.rows(first, end);
    const auto v = sheets_of_rows(kept.v, program_, first, 1),
               f1 = sheets_of_rows(kept.f1, program_, first, 1);
    const auto f2 = sheets_of_rows(kept.f2, program_, first, 1),
               t = sheets_of_rows(kept.t, program_, first, m);
    const auto dd = sheets_of_rows(kept.dd, program_, first, seconds);
    passes().forward(parameters_, {v.data(), first}, part, program_.operations.size());
    const Tangents<T> pass = tangents(workspace[number], part.count);
    pass.slopes(1, v.data(), f1.data(), program_.operations.size());
    pass.push_seed(kept.directions().seed, 0, v.data(), f1.data(), t.data(), m);
    std::copy_n(v[last], part.count * K, u + first * K);
    sheets_to_columns(t[last], m, part.count, K, u_x + first * K * m);
    if (seconds == 0) return;
    const Index size = kept.square ? m * m : seconds;
    T* const to = u_xx + first * K * size;
    if (kept.flat[last]) return std::fill_n(to, part.count * K * size, T(0)), void();
    pass.slopes(2, v.data(), f2.data(), program_.operations.size());
    pass.push_second({v.data(), t.data(), dd.data()}, {f1.data(), f2.data(), nullptr}, kept.directions());
    if (kept.square) {
      sheets_to_squares(dd[last], kept.pairs, part.count, K, m, to);
    } else {
      sheets_to_columns(dd[last], seconds, part.count, K, to);
    }
  });
}

// Adds to `gradients` those of sum(du u) + sum(du_x u_x) + sum(du_xx u_xx), each of which may be null.
template <class T>
void Network<T>::pull_jets(const KeptJets<T>& kept, const T* du, const T* du_x, const T* du_xx,
                           const Arrays<T>& gradients) const {
  if (kept.n == 0) return;
  const Index m = kept.tangents, seconds = kept.seconds, K = program_.output_width();
  const std::size_t last = at(program_.output());
  const Tiling tiling = tiling_of_jets(program_, kept);
  const int crew = crew_for(tiling.chunks(), 2 * (1 + m + seconds) * kept.n);
  Lease workspace(idle_, crew, tiling.tile, program_, {false, true});
  const auto tile = [&](Worker<T>& worker, const Arrays<T>& target, Rows rows) {
    const Index first = rows.first, count = rows.count;
    worker.tangents.reserve(m * tiling.tile, program_.widths);
    worker.seconds.reserve(seconds * tiling.tile, program_.widths);
    for (int i = 1; i < 3; ++i) worker.slopes[at(i)].reserve(tiling.tile, program_.widths);
    const auto v = sheets_of_rows(kept.v, program_, first, 1),
               f1 = sheets_of_rows(kept.f1, program_, first, 1);
    const auto kept_f2 = sheets_of_rows(kept.f2, program_, first, 1);
    const auto t = sheets_of_rows(kept.t, program_, first, m);
    const auto dd = sheets_of_rows(kept.dd, program_, first, seconds);
    const Jets<T> g = {worker.gradients.starts().data(), worker.tangents.starts().data(),
                       worker.seconds.starts().data()};
    T* const* const f2 = seconds == 0 ? worker.slopes[1].starts().data() : kept_f2.data();
    const Slopes<T> f = {f1.data(), f2, worker.slopes[2].starts().data()};
    const Tangents<T> pass = tangents(worker, count);
    if (seconds == 0) pass.slopes(2, v.data(), f2, program_.operations.size());
    if (seconds != 0) pass.slopes(3, v.data(), f.f3, program_.operations.size());
    const auto from = [&](const T* d, Index size) { return d == nullptr ? d : d + first * K * size; };
    columns_to_sheets(from(du, 1), 1, count, K, g.v[last]);
    columns_to_sheets(from(du_x, m), m, count, K, g.t[last]);
    if (kept.square && du_xx != nullptr) {
      squares_to_sheets(from(du_xx, m * m), kept.pairs, count, K, m, g.dd[last]);
    } else {
      columns_to_sheets(from(du_xx, seconds), seconds, count, K, g.dd[last]);
    }
    pass.pull_jets({v.data(), t.data(), dd.data()}, f, kept.directions(), g, target, worker.begun.data());
  };
  sum_over_tiles(tiling, gradients, false, workspace, crew, tile);
}

template void sheets_to_columns(const float*, Index, Index, Index, float*);
template void sheets_to_columns(const double*, Index, Index, Index, double*);
template void sheets_to_squares(const float*, const std::vector<Pair>&, Index, Index, Index, float*);
template void sheets_to_squares(const double*, const std::vector<Pair>&, Index, Index, Index, double*);
template void Network<float>::keep_jets(const float*, Index, KeptJets<float>&, float*, float*, float*) const;
template void Network<double>::keep_jets(const double*, Index, KeptJets<double>&, double*, double*,
                                         double*) const;
template void Network<float>::pull_jets(const KeptJets<float>&, const float*, const float*, const float*,
                                        const Arrays<float>&) const;
template void Network<double>::pull_jets(const KeptJets<double>&, const double*, const double*, const double*,
                                         const Arrays<double>&) const;

}  // namespace mlpkern
