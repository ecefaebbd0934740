// SPDX-License-Identifier: BSD-3-Clause
// The backward half of a network: gradients, by chunks of rows or layer by layer, and the cost before them.
#include <algorithm>
#include <string>

#include "dispatch/registry.hpp"
#include "network/network.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
typename Network<T>::Arrays Network<T>::chunk_gradients(Index chunk) const {
  Arrays arrays;
  T* next = chunk_memory_.data() + chunk * program_.parameters();
  for (const Layer& layer : program_.layers) {
    arrays.push_back({next, layer.bias ? next + layer.inputs * layer.outputs : nullptr});
    next += layer.parameters();
  }
  return arrays;
}

template <class T>
void Network<T>::fold_chunks(Index chunks, const Arrays& gradients) {
  for (Index chunk = 0; chunk < chunks; ++chunk) {
    const Arrays part = chunk_gradients(chunk);
    for (std::size_t i = 0; i < part.size(); ++i) {
      const Layer& layer = program_.layers[i];
      active_kernels<T>().add(part[i].w, gradients[i].w, layer.inputs * layer.outputs);
      if (layer.bias) active_kernels<T>().add(part[i].b, gradients[i].b, layer.outputs);
    }
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                         const Prepare& prepare) {
  if (n == 0) return;
  // Layer by layer the rows of one use of a layer come before those of another; tile by tile they take turns.
  // The chains are the same where each layer is used once.
  if (chunk_rows(n) == n && workers(n) > 1 && !program_.shares_layers()) {
    descend_in_layers(n, operations, dx, gradients, prepare);
  } else {
    descend_in_chunks(n, operations, dx, gradients, prepare);
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend_in_chunks(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                                   const Prepare& prepare) {
  const Passes<T> passes(program_, active_kernels<T>());
  const Index rows = chunk_rows(n), chunks = ceil_div(n, rows), tile = tile_rows();
  const int crew = chunks == 1 ? 1 : workers(n);
  const Index size = program_.parameters();
  if (chunks > 1) chunk_memory_.reserve(chunks * size);
  const Lease workspace(idle_, crew, std::min(tile, rows), program_.widths);
  const Values<T> v = kept_values();
  parallel_for(chunks, crew, [&](Index chunk, int worker) {
    const Index chunk_end = std::min(n, (chunk + 1) * rows);
    if (chunks > 1) std::fill_n(chunk_memory_.data() + chunk * size, size, T(0));
    const Arrays target = chunks > 1 ? chunk_gradients(chunk) : gradients;
    T* scratch = thread_scratch<T>();
    for (Index first = chunk * rows; first < chunk_end; first += tile) {
      poll();
      const Index count = std::min(tile, chunk_end - first);
      Values<T> d = workspace->values(worker, first);
      prepare(d, first, count, scratch);
      passes.backward({parameters_, target, v, d, dx != nullptr}, first, count, scratch, operations);
      if (dx != nullptr) {
        std::copy_n(d.data.front(), count * program_.input_width(), dx + first * program_.input_width());
      }
    }
  });
  if (chunks > 1) fold_chunks(chunks, gradients);
}

template <class T>
template <class Prepare>
void Network<T>::descend_in_layers(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                                   const Prepare& prepare) {
  constexpr Index kRowsAtOnce = 4096;
  const Passes<T> passes(program_, active_kernels<T>());
  const int crew = workers(n);
  const Index tile = std::min(tile_rows(), rounded_up(ceil_div(n, crew), 6));
  const Index tiles = ceil_div(n, tile);
  const Lease workspace(idle_, 1, n, program_.widths);
  Values<T> d = workspace->values(0, 0);
  const Values<T> v = kept_values();
  const typename Passes<T>::Backward pass = {parameters_, gradients, v, d, dx != nullptr};
  parallel_for(tiles, crew, [&](Index i, int) {
    prepare(d, i * tile, std::min(tile, n - i * tile), thread_scratch<T>());
  });
  for (std::size_t k = operations; k-- > 0;) {
    const Operation& op = program_.operations[k];
    if (op.kind == Operation::Kind::linear) {
      const Index inputs = program_.widths[at(op.inputs.front())];
      const Index block = std::min<Index>(96, rounded_up(ceil_div(inputs, crew), 6));
      parallel_for(ceil_div(inputs, block), crew, [&](Index i, int) {
        for (Index first = 0; first < n; first += kRowsAtOnce) {  // one chain, in pieces
          poll();
          passes.backward_parameters(op, pass, first, std::min(kRowsAtOnce, n - first), i * block,
                                     std::min(block, inputs - i * block), thread_scratch<T>());
        }
      });
    }
    parallel_for(tiles, crew, [&](Index i, int) {
      passes.backward_inputs(op, pass, i * tile, std::min(tile, n - i * tile), thread_scratch<T>());
    });
  }
  if (dx != nullptr) std::copy_n(d.data.front(), n * program_.input_width(), dx);
}

template <class T>
void Network<T>::backward(const T* dy, std::size_t operations, T* dx, const Arrays& gradients) {
  const Index last = operations == 0 ? 0 : program_.operations[operations - 1].output;
  const Index width = program_.widths[at(last)];
  descend(kept_rows_, operations, dx, gradients, [&](Values<T>& d, Index first, Index count, T*) {
    std::copy_n(dy + first * width, count * width, d.data[at(last)] + (first - d.origin) * width);
  });
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

template <class T>
double Network<T>::value_and_gradient(const Batch<T>& batch, const Loss& asked, const Arrays& gradients) {
  const Passes<T> passes(program_, active_kernels<T>());
  Loss loss = asked;
  const std::size_t operations = pair_with_loss(loss);
  const Index last = operations == 0 ? 0 : program_.operations[operations - 1].output;
  const Index D = program_.input_width(), K = program_.widths[at(last)], n = batch.n;
  const std::int64_t* order = batch.order;
  keep_rows(n);
  kept_rows_ = 0;  // a step leaves nothing for a later backward
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

  Values<T> v = kept_values();
  const LossKernels<T>& loss_kernels = active_kernels<T>().losses[loss.index];
  descend(n, operations, nullptr, gradients, [&](Values<T>& d, Index first, Index count, T* scratch) {
    T* x = v.data.front() + first * D;
    Targets<T> t = targets_from(batch.targets, first, K);
    if (order == nullptr) {
      std::copy_n(batch.x + first * D, count * D, x);
    } else {
      for (Index i = 0; i < count; ++i) {
        const Index row = order[first + i];
        std::copy_n(batch.x + row * D, D, x + i * D);
        if (t.y != nullptr) std::copy_n(batch.targets.y + row * K, K, targets_.data() + (first + i) * K);
        if (t.labels != nullptr) labels_.data()[first + i] = batch.targets.labels[row];
      }
      if (t.y != nullptr) t.y = targets_.data() + first * K;
      if (t.labels != nullptr) t.labels = labels_.data() + first;
    }
    passes.forward(parameters_, v, first, count, scratch, operations);
    loss_kernels.evaluate(v.data[at(last)] + first * K, t.y, t.labels, count, K, loss.parameters.data(),
                          factor_.data() + first, cost_.data() + first,
                          d.data[at(last)] + (first - d.origin) * K);
  });
  return reduced_cost(cost_.data(), factor_.data(), n);
}

template class Network<float>;
template class Network<double>;

}  // namespace mlpkern
