// SPDX-License-Identifier: BSD-3-Clause
#include "network/network.hpp"

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
Network<T>::Network(Program program, Arrays parameters)
    : program_(std::move(program)), parameters_(std::move(parameters)), values_(program_.widths.size()) {
  program_.mark_beginnings();
}

// Rows that go through all layers together: a tile of the widest value and its gradient in half of L2
// (1 MB), between 96 rows (the weights are read again once a tile: 96 keeps products bound by arithmetic)
// and 384 (nothing is gained above).
template <class T>
Index Network<T>::tile_rows() const {
  const Index widest = *std::max_element(program_.widths.begin(), program_.widths.end());
  const Index fitting = (512 << 10) / (2 * static_cast<Index>(sizeof(T)) * std::max<Index>(widest, 1));
  return std::clamp<Index>(fitting / 96 * 96, 96, 384);
}

// Chunks cost a copy of the gradients each, to be cleared and folded: at most 16, of 64 rows or more, and
// only where the parameters take up to 512 kB.
template <class T>
Index Network<T>::chunk_rows(Index n) const {
  constexpr Index kMostChunks = 16, kFewestRows = 64, kMostBytes = 512 << 10;
  if (program_.parameters() * static_cast<Index>(sizeof(T)) > kMostBytes) return n;
  return std::min(n, std::max(kFewestRows, rounded_up(ceil_div(n, kMostChunks), 8)));
}

template <class T>
int Network<T>::workers(Index n) const {
  return workers_for(program_.multiply_adds() * static_cast<double>(n));
}

template <class T>
void Network<T>::predict(const T* x, Index n, T* y) const {
  const Passes<T> passes(program_, active_kernels<T>());
  const Index rows = std::min(n, tile_rows());
  const Index last = program_.output();
  const int crew = workers(n);
  const Lease workspace(idle_, crew, rows, program_.widths);
  parallel_for(n == 0 ? 0 : ceil_div(n, rows), crew, [&](Index tile, int worker) {
    const Index first = tile * rows, count = std::min(rows, n - first);
    Values<T> v = workspace->values(worker, first);
    v.data.front() = const_cast<T*>(x) + first * program_.input_width();  // value 0 is only read
    v.data[at(last)] = y + first * program_.output_width();
    passes.forward(parameters_, v, first, count, thread_scratch<T>());
  });
}

template <class T>
double Network<T>::value(const T* x, const Targets<T>& targets, Index n, const Loss& asked) const {
  const Passes<T> passes(program_, active_kernels<T>());
  Loss loss = asked;
  const std::size_t operations = pair_with_loss(loss);
  const Index last = operations == 0 ? 0 : program_.operations[operations - 1].output;
  const Index D = program_.input_width(), K = program_.widths[at(last)];
  const Index rows = std::min(n, tile_rows());
  const int crew = workers(n);
  std::vector<double> cost(at(n)), factor(at(n));
  const Lease workspace(idle_, crew, rows, program_.widths);
  parallel_for(n == 0 ? 0 : ceil_div(n, rows), crew, [&](Index tile, int worker) {
    const Index first = tile * rows, count = std::min(rows, n - first);
    Values<T> v = workspace->values(worker, first);
    v.data.front() = const_cast<T*>(x) + first * D;  // value 0 is only read
    passes.forward(parameters_, v, first, count, thread_scratch<T>(), operations);
    const Targets<T> t = targets_from(targets, first, K);
    active_kernels<T>().losses[loss.index].evaluate(v.data[at(last)], t.y, t.labels, count, K,
                                                    loss.parameters.data(), nullptr, cost.data() + first,
                                                    nullptr);
  });
  sample_factors(loss.reduction, targets.weight, n, factor.data());
  return reduced_cost(cost.data(), factor.data(), n);
}

template <class T>
void Network<T>::keep_rows(Index n) {
  kept_rows_ = 0;
  for (std::size_t v = 0; v < values_.size(); ++v) values_[v].reserve(n * program_.widths[v]);
  kept_rows_ = n;
}

template <class T>
Values<T> Network<T>::kept_values() {
  Values<T> v;
  for (const AlignedBuffer<T>& buffer : values_) v.data.push_back(buffer.data());
  return v;
}

template <class T>
void Network<T>::forward(const T* x, Index n, T* y) {
  keep_rows(n);
  kept_rows_ = 0;  // until every value is there
  const Passes<T> passes(program_, active_kernels<T>());
  const Index rows = tile_rows();
  const int crew = workers(n);
  Values<T> v = kept_values();
  parallel_for(ceil_div(n, rows), crew, [&](Index tile, int) {
    const Index first = tile * rows, count = std::min(rows, n - first);
    std::copy_n(x + first * program_.input_width(), count * program_.input_width(),
                v.data.front() + first * program_.input_width());
    passes.forward(parameters_, v, first, count, thread_scratch<T>());
    std::copy_n(v.data[at(program_.output())] + first * program_.output_width(),
                count * program_.output_width(), y + first * program_.output_width());
  });
  kept_rows_ = n;
}

template class Network<float>;
template class Network<double>;

}  // namespace mlpkern
