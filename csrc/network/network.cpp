// SPDX-License-Identifier: BSD-3-Clause
#include "network/network.hpp"

#include <algorithm>
#include <cstring>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

namespace {

Index rounded_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }
Index ceil_div(Index n, Index d) { return (n + d - 1) / d; }
std::size_t at(Index i) { return static_cast<std::size_t>(i); }

template <class T>
const Kernels<T>& kernels() {
  return active_isa().kernels<T>();
}

}  // namespace

// What one call needs besides the network: for each worker a matrix for each value.
template <class T>
struct Network<T>::Workspace {
  std::vector<std::vector<AlignedBuffer<T>>> workers;

  Values<T> values(int worker, Index origin) {
    Values<T> v;
    v.origin = origin;
    for (AlignedBuffer<T>& buffer : workers[static_cast<std::size_t>(worker)]) {
      v.data.push_back(buffer.data());
    }
    return v;
  }
};

// A workspace for the time of a call.
template <class T>
class Network<T>::Lease {
 public:
  Lease(const Network& network, int workers, Index rows)
      : network_(network), workspace_(network.take_workspace(workers, rows)) {}
  ~Lease() { network_.give_back(std::move(workspace_)); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Workspace* operator->() const { return workspace_.get(); }

 private:
  const Network& network_;
  std::unique_ptr<Workspace> workspace_;
};

template <class T>
Network<T>::Network(Program program, Arrays parameters)
    : program_(std::move(program)), parameters_(std::move(parameters)), values_(program_.widths.size()) {
  program_.mark_beginnings();
}

template <class T>
Network<T>::~Network() = default;

template <class T>
std::unique_ptr<typename Network<T>::Workspace> Network<T>::take_workspace(int workers,
                                                                          Index rows) const {
  std::unique_ptr<Workspace> workspace;
  {
    const std::lock_guard<std::mutex> lock(idle_mutex_);
    if (!idle_.empty()) {
      workspace = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!workspace) workspace = std::make_unique<Workspace>();
  if (workspace->workers.size() < static_cast<std::size_t>(workers)) {
    workspace->workers.resize(static_cast<std::size_t>(workers));
  }
  for (int i = 0; i < workers; ++i) {
    auto& values = workspace->workers[static_cast<std::size_t>(i)];
    values.resize(program_.widths.size());
    for (std::size_t v = 0; v < values.size(); ++v) values[v].reserve(rows * program_.widths[v]);
  }
  return workspace;
}

template <class T>
void Network<T>::give_back(std::unique_ptr<Workspace> workspace) const {
  constexpr std::size_t kMostIdle = 8;
  const std::lock_guard<std::mutex> lock(idle_mutex_);
  if (workspace && idle_.size() < kMostIdle) idle_.push_back(std::move(workspace));
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
  const Passes<T> passes(program_, kernels<T>());
  const Index rows = std::min(n, tile_rows());
  const Index last = program_.output();
  const int crew = workers(n);
  Lease workspace(*this, crew, rows);
  parallel_for(n == 0 ? 0 : ceil_div(n, rows), crew, [&](Index tile, int worker) {
    const Index first = tile * rows, count = std::min(rows, n - first);
    Values<T> v = workspace->values(worker, first);
    v.data.front() = const_cast<T*>(x) + first * program_.input_width();  // value 0 is only read
    v.data[at(last)] = y + first * program_.output_width();
    passes.forward(parameters_, v, first, count, thread_scratch<T>());
  });
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
  const Passes<T> passes(program_, kernels<T>());
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
      kernels<T>().add(part[i].w, gradients[i].w, layer.inputs * layer.outputs);
      if (layer.bias) kernels<T>().add(part[i].b, gradients[i].b, layer.outputs);
    }
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                         const Prepare& prepare) {
  if (n == 0) return;
  if (chunk_rows(n) == n && workers(n) > 1) {
    descend_in_layers(n, operations, dx, gradients, prepare);
  } else {
    descend_in_chunks(n, operations, dx, gradients, prepare);
  }
}

template <class T>
template <class Prepare>
void Network<T>::descend_in_chunks(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                                   const Prepare& prepare) {
  const Passes<T> passes(program_, kernels<T>());
  const Index rows = chunk_rows(n), chunks = ceil_div(n, rows), tile = tile_rows();
  const int crew = chunks == 1 ? 1 : workers(n);
  const Index size = program_.parameters();
  if (chunks > 1) chunk_memory_.reserve(chunks * size);
  Lease workspace(*this, crew, std::min(tile, rows));
  const Values<T> v = kept_values();
  parallel_for(chunks, crew, [&](Index chunk, int worker) {
    const Index chunk_end = std::min(n, (chunk + 1) * rows);
    if (chunks > 1) std::fill_n(chunk_memory_.data() + chunk * size, size, T(0));
    const Arrays target = chunks > 1 ? chunk_gradients(chunk) : gradients;
    T* scratch = thread_scratch<T>();
    for (Index first = chunk * rows; first < chunk_end; first += tile) {
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
  const Passes<T> passes(program_, kernels<T>());
  const int crew = workers(n);
  const Index tile = std::min(tile_rows(), rounded_up(ceil_div(n, crew), 6));
  const Index tiles = ceil_div(n, tile);
  Lease workspace(*this, 1, n);
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
        passes.backward_parameters(op, pass, 0, n, i * block, std::min(block, inputs - i * block),
                                   thread_scratch<T>());
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
  const std::string activation = kernels<T>().activations[last.activation].name;
  const std::string name = kernels<T>().losses[loss.index].name;
  const bool sigmoid = activation == "Sigmoid" && name == "BinaryCrossEntropy";
  const bool softargmax = activation == "Softargmax" && name == "CrossEntropy";
  if (!sigmoid && !softargmax) return all;
  for (Index i = 0; i < kernels<T>().loss_count; ++i) {
    if (name + "WithLogits" == kernels<T>().losses[i].name) loss.index = i;
  }
  if (softargmax) loss.parameters[1] = last.parameters[0];  // beta, behind label_smoothing
  return all - 1;
}

template <class T>
double Network<T>::value_and_gradient(const Batch<T>& batch, const Loss& asked, const Arrays& gradients) {
  const Passes<T> passes(program_, kernels<T>());
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
  const LossKernels<T>& loss_kernels = kernels<T>().losses[loss.index];
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
