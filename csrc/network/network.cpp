// SPDX-License-Identifier: BSD-3-Clause
// The forward half of a network.
#include "network/network.hpp"

#include <algorithm>
#include <string>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
Network<T>::Network(Program program, Arrays<T> parameters)
    : program_(std::move(program)), parameters_(std::move(parameters)) {
  program_.mark_beginnings();
}

template <class T>
Passes<T> Network<T>::passes() const {
  return {program_, active_kernels<T>(), thread_scratch<T>()};
}

template <class T>
int Network<T>::workers(Index rows) const {
  return workers_for(program_.work_a_row() * static_cast<double>(rows));
}

template <class T>
int Network<T>::crew_for(Index items, Index rows) const {
  return static_cast<int>(std::clamp<Index>(items, 1, workers(rows)));
}

template <class T>
void Network<T>::pack_weights() {
  const Kernels<T>& kernels = active_kernels<T>();
  PackedWeights<T> packed = {&kernels, {}};
  for (std::size_t i = 0; i < program_.layers.size(); ++i) {
    const Layer& layer = program_.layers[i];
    const Index size = kernels.packed_size(layer.inputs, layer.outputs);
    AlignedBuffer<T>& weights = packed.layers.emplace_back(size);
    if (size > 0) kernels.pack(dense<const T>(parameters_[i].w, layer.inputs, layer.outputs), weights.data());
  }
  packed_ = std::move(packed);
}

template <class T>
void Network<T>::predict(const T* x, Index n, T* y) const {
  const Tiling tiling = tiling_of_forward<T>(program_, n).shared_by(workers(n));
  const Index D = program_.input_width(), K = program_.output_width(), last = program_.output();
  const int crew = crew_for(tiling.tiles(), n);
  const Lease workspace(idle_, crew, tiling.tile, program_, {true, false});
  parallel_for(tiling.tiles(), crew, [&](Index i, int worker) {
    const Rows rows = tiling.rows_of_tile(i);
    const T* const x_rows = x + rows.first * D;
    T* const y_rows = y + rows.first * K;
    const Passes<T> pass = passes().with_packed(packed_);
    const bool turned = rows.turned();
    const Values<T> v =
        workspace[worker].values_with(turned ? nullptr : x_rows, last, turned ? nullptr : y_rows, rows.first);
    if (turned) pass.turn(x_rows, D, rows, v.data[0]);
    pass.forward(parameters_, v, rows, program_.operations.size());
    if (turned) pass.unturn(v.data[last], K, rows, y_rows);
  });
}

template <class T>
double Network<T>::value(const T* x, const Targets<T>& targets, Index n, const Loss& asked) const {
  Loss loss = asked;
  const std::size_t operations = pair_with_loss(loss);
  const Index D = program_.input_width(), last = output_of(operations), K = program_.widths[at(last)];
  const Tiling tiling = tiling_of_forward<T>(program_, n).shared_by(workers(n));
  const int crew = crew_for(tiling.tiles(), n);
  std::vector<double> cost(at(n)), factor(at(n));
  const Lease workspace(idle_, crew, tiling.tile, program_, {true, false});
  parallel_for(tiling.tiles(), crew, [&](Index i, int worker) {
    const Rows rows = tiling.rows_of_tile(i);
    const T* const x_rows = x + rows.first * D;
    const Passes<T> pass = passes();
    const Values<T> v =
        workspace[worker].values_with(rows.turned() ? nullptr : x_rows, last, nullptr, rows.first);
    if (rows.turned()) pass.turn(x_rows, D, rows, v.data[0]);
    pass.forward(parameters_, v, rows, operations);
    pass.evaluate(loss, targets_from(targets, rows.first, K), last, v, rows, nullptr,
                  cost.data() + rows.first, nullptr);
  });
  sample_factors(loss.reduction, targets.weight, n, factor.data());
  return reduced_cost(cost.data(), factor.data(), n);
}

template <class T>
void Network<T>::count_pass(int by) {
  const auto& operations = program_.operations;
  for (auto op = operations.begin(); op != operations.end(); ++op) {
    const auto same = [&](const Operation& other) { return other.dropout == op->dropout; };
    if (op->dropout != nullptr && std::find_if(operations.begin(), op, same) == op) op->dropout->passes += by;
  }
}

template <class T>
void Network<T>::draw_masks() {
  for (Operation& op : program_.operations) {
    if (op.dropout != nullptr) op.mask = next_mask(*op.dropout, op.output);
  }
}

template <class T>
void Network<T>::forward(const T* x, Index n, T* y) {
  kept_tiling_.n = 0;  // until every value is there
  draw_masks();
  // Row after row the values lie the same whatever the tile: backward makes its own.
  const Tiling kept = tiling_of_training<T>(program_, n);
  const Tiling tiling = kept.lanes == 0 ? kept.shared_by(workers(n)) : kept;
  const Index D = program_.input_width(), K = program_.output_width(), last = program_.output();
  kept_.reserve(tiling.tiles() * tiling.tile, program_.widths);
  const Values<T> v = {kept_.starts().data(), 0};
  parallel_for(tiling.tiles(), workers(n), [&](Index i, int) {
    const Rows rows = tiling.rows_of_tile(i);
    const Passes<T> pass = passes();
    pass.turn(x + rows.first * D, D, rows, v.data[0] + rows.first * D);
    pass.forward(parameters_, v, rows, program_.operations.size());
    pass.unturn(v.data[last] + rows.first * K, K, rows, y + rows.first * K);
  });
  kept_tiling_ = kept;
  count_pass(1);
}

template <class T>
void Network<T>::copy_kept(Index value, T* to) const {
  const Index width = program_.widths[at(value)];
  const Passes<T> pass = passes();
  for (Index i = 0; i < kept_tiling_.tiles(); ++i) {
    const Rows rows = kept_tiling_.rows_of_tile(i);
    pass.unturn(kept_[value] + rows.first * width, width, rows, to + rows.first * width);
  }
}

template <class T>
std::size_t Network<T>::pair_with_loss(Loss& loss) const {
  const std::size_t all = program_.operations.size();
  if (all == 0 || program_.operations.back().kind != Operation::Kind::activation) return all;
  const Operation& last = program_.operations.back();
  const std::string activation = active_kernels<T>().activations[last.activation].name;
  const std::string name = active_kernels<T>().losses[loss.index].name;
  const bool sigmoid = activation == "Sigmoid" && name == "BinaryCrossEntropy";
  const bool softargmax = activation == "Softargmax" && name == "CrossEntropy";
  if (!sigmoid && !softargmax) return all;
  for (Index i = 0; i < active_kernels<T>().loss_count; ++i) {
    if (name + "WithLogits" == active_kernels<T>().losses[i].name) loss.index = i;
  }
  if (softargmax) loss.parameters[1] = last.parameters[0];  // beta, behind label_smoothing
  return all - 1;
}

template class Network<float>;
template class Network<double>;

}  // namespace mlpkern
