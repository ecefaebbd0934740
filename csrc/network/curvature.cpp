// SPDX-License-Identifier: BSD-3-Clause
// Second derivatives of a network: by the input, sample by sample, and of a batch's cost by the parameters.
#include <algorithm>

#include "network/derivatives.hpp"

namespace mlpkern {

namespace {

// Second derivatives that are computed together, from sheet `first` on.
struct Group {
  Index first, sheets;
  std::vector<Pair> pairs;
};
std::vector<Group> groups_of(const std::vector<Pair>& pairs, Index sheets, Index together) {
  std::vector<Group> groups;
  for (Index first = 0; first < sheets; first += together) {
    groups.push_back({first, std::min(together, sheets - first), {}});
  }
  for (const Pair& p : pairs) groups[at(p.q / together)].pairs.push_back({p.i, p.j, p.q % together});
  return groups;
}

}  // namespace

template <class T>
void Network<T>::second_derivatives(const T* x, Index n, Second what, T* second) const {
  constexpr Index kTogether = 64;
  const Index m = program_.input_width(), K = program_.output_width(), last = program_.output();
  const bool square = what == Second::square;
  const std::vector<Pair> pairs =
      square ? upper_pairs(m) : (what == Second::diagonal ? diagonal_pairs(m) : trace_pairs(m));
  const Index sheets = what == Second::trace ? 1 : static_cast<Index>(pairs.size());
  const Index size = square ? m * m : sheets, together = std::min(std::max<Index>(sheets, 1), kTogether);
  const std::vector<char> flat = program_.flat_values();
  if (flat[at(last)] || m == 0) return std::fill_n(second, n * K * size, T(0)), void();
  const std::vector<Group> groups = groups_of(pairs, sheets, together);
  at_tiles(x, n, m + together, m + sheets, [&](const AtTile& tile) {
    Worker<T>& worker = tile.worker;
    worker.slopes[1].reserve(tile.count, program_.widths);
    worker.seconds.reserve(together * tile.count, program_.widths);
    const Jets<T> jets = {tile.v, worker.tangents.starts().data(), worker.seconds.starts().data()};
    const Slopes<T> f = {tile.f1, worker.slopes[1].starts().data(), nullptr};
    tile.tangents.slopes(2, tile.v, f.f2, program_.operations.size());
    tile.tangents.push_seed(nullptr, 0, tile.v, tile.f1, jets.t, m);
    T* const to = second + tile.first * K * size;
    for (const Group& group : groups) {
      poll();
      tile.tangents.push_second(jets, f, {nullptr, m, group.sheets, group.pairs, flat});
      if (square) {
        sheets_to_squares(jets.dd[at(last)], group.pairs, tile.count, K, m, to);
      } else {
        sheets_to_columns(jets.dd[at(last)], group.sheets, tile.count, K, to + group.first, size);
      }
    }
  });
}

// rC/rp = (d2C/dp2) rp of the output p, or of what stands before it where the loss has a form for the pair.
template <class T>
void Network<T>::hessian_product(const T* x, const Targets<T>& targets, Index n, const Loss& asked,
                                 const Arrays<const T>& direction, bool gauss_newton,
                                 const Arrays<T>& product) const {
  if (n == 0) return clear(product);
  Loss loss = asked;
  const std::size_t operations = gauss_newton ? program_.operations.size() : pair_with_loss(loss);
  const Index last = output_of(operations), K = program_.widths[at(last)], D = program_.input_width();
  std::vector<double> factor(at(n));
  sample_factors(loss.reduction, targets.weight, n, factor.data());
  constexpr Index kSets = 6;  // v, f', f'', r, d and rd
  const Tiling tiling = tiling_in_rows<T>(program_, n, kSets, 1);
  const int crew = crew_for(tiling.chunks(), 8 * n);
  Lease workspace(idle_, crew, tiling.tile, program_, {true, true});
  const auto tile = [&](Worker<T>& worker, const Arrays<T>& gradients, Rows rows) {
    for (int i = 0; i < 2; ++i) worker.slopes[at(i)].reserve(tiling.tile, program_.widths);
    worker.tangents.reserve(tiling.tile, program_.widths);
    worker.seconds.reserve(tiling.tile, program_.widths);
    T* const* f1 = worker.slopes[0].starts().data();
    T* const* f2 = worker.slopes[1].starts().data();
    T* const* r = worker.tangents.starts().data();
    T* const* d = worker.gradients.starts().data();
    T* const* rd = worker.seconds.starts().data();
    const Values<T> v = worker.values_with(x + rows.first * D, 0, nullptr, rows.first);
    const Passes<T> pass = passes();
    pass.forward(parameters_, v, rows, operations);
    const Tangents<T> tangents_here = tangents(worker, rows.count);
    tangents_here.slopes(1, v.data, f1, operations);
    tangents_here.push_parameters(direction, v.data, f1, r, operations);
    const Targets<T> t = targets_from(targets, rows.first, K);
    T* const to = gauss_newton ? d[at(last)] : rd[at(last)];
    active_kernels<T>().losses[loss.index].curvature(v.data[at(last)], t.y, t.labels, rows.count, K,
                                                     loss.parameters.data(), factor.data() + rows.first,
                                                     r[at(last)], to);
    if (gauss_newton) {
      const Values<T> gradient = {d, rows.first};
      return pass.backward({parameters_, gradients, worker.begun.data(), v, gradient, false}, rows,
                           operations);
    }
    pass.evaluate(loss, t, last, v, rows, factor.data() + rows.first, nullptr, d[at(last)]);
    tangents_here.slopes(2, v.data, f2, operations);
    tangents_here.pull_parameters({direction, gradients, worker.begun.data(), v.data, f1, f2, r, d, rd},
                                  operations);
  };
  sum_over_tiles(tiling, product, true, workspace, crew, tile);
}

template void Network<float>::second_derivatives(const float*, Index, Second, float*) const;
template void Network<double>::second_derivatives(const double*, Index, Second, double*) const;
template void Network<float>::hessian_product(const float*, const Targets<float>&, Index, const Loss&,
                                              const Arrays<const float>&, bool, const Arrays<float>&) const;
template void Network<double>::hessian_product(const double*, const Targets<double>&, Index, const Loss&,
                                               const Arrays<const double>&, bool,
                                               const Arrays<double>&) const;

}  // namespace mlpkern
