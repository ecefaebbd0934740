// SPDX-License-Identifier: BSD-3-Clause
// The backward half of a network: gradients, by chunks of rows or layer by layer, and the cost before them.
#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/network.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
void Network<T>::clear(const Arrays<T>& gradients) const {
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Layer& layer = program_.layers[i];
    std::fill_n(gradients[i].w, layer.inputs * layer.outputs, T(0));
    if (layer.bias) std::fill_n(gradients[i].b, layer.outputs, T(0));
  }
}

// gradients = (0 or what they held) + chunk 0 + chunk 1 + …, block by block, each of which stays in L1 or L2.
template <class T>
void Network<T>::fold_chunks(Index chunks, const T* memory, const Arrays<T>& gradients, bool fresh,
                             int crew) const {
  constexpr Index kBlock = 4096;
  const Kernels<T>& kernels = active_kernels<T>();
  const auto fold = [&](T* gradient, Index offset, Index size) {
    parallel_for(ceil_div(size, kBlock), crew, [&](Index block, int) {
      const Index first = block * kBlock, count = std::min(kBlock, size - first);
      if (fresh) std::fill_n(gradient + first, count, T(0));
      for (Index chunk = 0; chunk < chunks; ++chunk) {
        kernels.add(memory + chunk * chunk_size() + offset + first, gradient + first, count);
      }
    });
  };
  Index offset = 0;
  for (std::size_t i = 0; i < program_.layers.size(); ++i) {
    const Layer& layer = program_.layers[i];
    const Index weights = layer.inputs * layer.outputs;
    fold(gradients[i].w, offset, weights);
    if (layer.bias) fold(gradients[i].b, offset + weights, layer.outputs);
    offset += layer.parameters();
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend(const Descent& descent, const Prepare& prepare) {
  const Tiling& tiling = descent.tiling;
  if (tiling.n == 0) {
    if (descent.fresh) clear(descent.gradients);
    return;
  }
  // Tried for few rows through many weights: dx, dw and the optimizer's step block by block of w, each while
  // it is in L2. Per step of 1024x5: SGD 6 to 10 % less, Adam 5 to 8 % more at one row and nothing at 32.
  // Layer by layer the rows of one use of a layer come before those of another; tile by tile they take turns.
  // The chains are the same where each layer is used once.
  if (tiling.chunks() == 1 && tiling.lanes == 0 && workers(3 * tiling.n) > 1 && !program_.shares_layers()) {
    descend_in_layers(descent, prepare);
  } else {
    descend_in_chunks(descent, prepare);
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend_in_chunks(const Descent& descent, const Prepare& prepare) {
  const Tiling& tiling = descent.tiling;
  const Index D = program_.input_width();
  const int crew = crew_for(tiling.chunks(), 3 * tiling.n);
  Lease workspace(idle_, crew, tiling.tile, program_, {descent.kept == nullptr, true});
  const auto tile = [&](Worker<T>& worker, const Arrays<T>& gradients, Rows rows) {
    const Passes<T> pass = passes();
    const Values<T> d = {worker.gradients.starts().data(), rows.first};
    const T* const x = descent.x == nullptr ? nullptr : descent.x + rows.first * D;
    const Values<T> v = descent.kept != nullptr ? Values<T>{descent.kept->starts().data(), 0}
                                                : worker.values_with(x, 0, nullptr, rows.first);
    prepare(pass, v, d, rows);
    pass.backward({parameters_, gradients, worker.begun.data(), v, d, descent.dx != nullptr}, rows,
                  descent.operations);
    if (descent.dx != nullptr) pass.unturn(d.data[0], D, rows, descent.dx + rows.first * D);
  };
  sum_over_tiles(tiling, descent.gradients, descent.fresh, workspace, crew, tile);
}

template <class T>
template <class Prepare>
void Network<T>::descend_in_layers(const Descent& descent, const Prepare& prepare) {
  constexpr Index kRowsAtOnce = 1024, kMostInputs = 510;
  const Index n = descent.tiling.n, D = program_.input_width();
  const int crew = workers(3 * n);
  const Tiling tiling = descent.tiling.shared_by(crew);
  const Lease workspace(idle_, 1, n, program_, {descent.kept == nullptr, true});
  Worker<T>& whole = workspace[0];
  const Values<T> d = {whole.gradients.starts().data(), 0};
  const Values<T> v = descent.kept != nullptr ? Values<T>{descent.kept->starts().data(), 0}
                                              : whole.values_with(descent.x, 0, nullptr, 0);
  const Backward<T> pass = {parameters_, descent.gradients, nullptr, v, d, descent.dx != nullptr};
  parallel_for(tiling.tiles(), crew, [&](Index i, int) { prepare(passes(), v, d, tiling.rows_of_tile(i)); });
  for (std::size_t k = descent.operations; k-- > 0;) {
    const Operation& op = program_.operations[k];
    if (op.kind == Operation::Kind::linear) {
      const Index inputs = program_.widths[at(op.inputs.front())];
      const Index block = std::clamp<Index>(rounded_up(ceil_div(inputs, 2 * crew), 6), 6, kMostInputs);
      const Index blocks = std::max<Index>(ceil_div(inputs, block), 1);  // without inputs, one for db
      parallel_for(blocks, crew, [&](Index i, int) {
        for (Index first = 0; first < n; first += kRowsAtOnce) {  // one chain, in pieces
          poll();
          passes().backward_parameters(op, pass, {first, std::min(kRowsAtOnce, n - first)}, i * block,
                                       std::min(block, inputs - i * block),
                                       first == 0 && descent.fresh ? Start::zero : Start::accumulate);
        }
      });
    }
    parallel_for(tiling.tiles(), crew,
                 [&](Index i, int) { passes().backward_inputs(op, pass, tiling.rows_of_tile(i)); });
  }
  if (descent.dx != nullptr) std::copy_n(d.data[0], n * D, descent.dx);
}

template <class T>
void Network<T>::backward(const T* dy, std::size_t operations, T* dx, const Arrays<T>& gradients) {
  const Index last = output_of(operations), width = program_.widths[at(last)];
  descend({kept_tiling_, operations, nullptr, &kept_, dx, gradients, false},
          [&](const Passes<T>& pass, const Values<T>&, const Values<T>& d, Rows rows) {
            pass.turn(dy + rows.first * width, width, rows,
                      d.data[at(last)] + (rows.first - d.origin) * width);
          });
}

// The rows of a batch that come in an order of their own: x row after row, and their targets.
template <class T>
Targets<T> Network<T>::gather(const Batch<T>& batch, Rows rows, Index K, T* x) {
  const Index D = program_.input_width();
  Targets<T> t = targets_from(batch.targets, rows.first, K);
  if (batch.order == nullptr) return t;
  for (Index i = 0; i < rows.count; ++i) {
    const Index row = batch.order[rows.first + i];
    std::copy_n(batch.x + row * D, D, x + i * D);
    if (t.y != nullptr) std::copy_n(batch.targets.y + row * K, K, targets_.data() + (rows.first + i) * K);
    if (t.labels != nullptr) labels_.data()[rows.first + i] = batch.targets.labels[row];
  }
  if (t.y != nullptr) t.y = targets_.data() + rows.first * K;
  if (t.labels != nullptr) t.labels = labels_.data() + rows.first;
  return t;
}

template <class T>
double Network<T>::value_and_gradient(const Batch<T>& batch, const Loss& asked, const Arrays<T>& gradients) {
  Loss loss = asked;
  const std::size_t operations = pair_with_loss(loss);
  const Index last = output_of(operations);
  const Index D = program_.input_width(), K = program_.widths[at(last)], n = batch.n;
  const std::int64_t* order = batch.order;
  kept_tiling_.n = 0;  // a step leaves nothing for a later backward
  draw_masks();
  cost_.reserve(n);
  factor_.reserve(n);
  if (order != nullptr) {
    if (batch.targets.y != nullptr) targets_.reserve(n * K);
    if (batch.targets.labels != nullptr) labels_.reserve(n);
    if (batch.targets.weight != nullptr) weights_.reserve(n);
  }
  const double* weight = batch.targets.weight;
  if (order != nullptr && weight != nullptr) {
    for (Index i = 0; i < n; ++i) weights_.data()[i] = weight[order[i]];
    weight = weights_.data();
  }
  sample_factors(loss.reduction, weight, n, factor_.data());

  const Tiling tiling = tiling_of_training<T>(program_, n);
  const bool in_place = order == nullptr && tiling.lanes == 0;
  descend({tiling, operations, in_place ? batch.x : nullptr, nullptr, nullptr, gradients, true},
          [&](const Passes<T>& pass, const Values<T>& v, const Values<T>& d, Rows rows) {
            T* const x = v.data[0] + (rows.first - v.origin) * D;
            T* const by_row = tiling.lanes == 0 ? x : pass.scratch();
            const Targets<T> t = gather(batch, rows, K, by_row);
            if (tiling.lanes != 0)
              pass.turn(order == nullptr ? batch.x + rows.first * D : by_row, D, rows, x);
            pass.forward(parameters_, v, rows, operations);
            pass.evaluate(loss, t, last, v, rows, factor_.data() + rows.first, cost_.data() + rows.first,
                          d.data[at(last)] + (rows.first - d.origin) * K);
          });
  count_pass(1);
  return reduced_cost(cost_.data(), factor_.data(), n);
}

template class Network<float>;
template class Network<double>;

}  // namespace mlpkern
