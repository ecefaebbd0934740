// SPDX-License-Identifier: BSD-3-Clause
// A network: a program, where its parameters lie, and the buffers that its passes need.
//
// Order of work, chosen by shapes alone. Rows go through all layers tile by tile, so that a tile's values
// stay in cache. The gradients of parameters are sums over rows: the rows are cut into chunks (a function
// of the number of rows and parameters), each chunk adds up row after row from zero, and the chunks are
// added in order to what the gradients held; a single chunk goes on from what they held. Threads share out
// chunks, or, where there is one, tiles and blocks of dw, whose chains over the rows are the same.
#pragma once

#include <vector>

#include "base/aligned.hpp"
#include "network/objective.hpp"
#include "network/passes.hpp"
#include "network/program.hpp"
#include "network/workspace.hpp"

namespace mlpkern {

// n samples: rows 0 … n - 1 of x and the targets, or the rows order[0] … order[n - 1].
template <class T>
struct Batch {
  const T* x;
  Targets<T> targets;
  Index n;
  const std::int64_t* order;  // null: as they come
};

template <class T>
class Network {
 public:
  using Arrays = std::vector<LayerArrays<T>>;

  Network(Program program, Arrays parameters);

  const Program& program() const { return program_; }
  Index kept_rows() const { return kept_rows_; }
  const T* kept(Index value) const { return values_[static_cast<std::size_t>(value)].data(); }

  // y (n, K) from x (n, D). Keeps nothing; any number of threads at once.
  void predict(const T* x, Index n, T* y) const;

  // The same, and keeps every value for backward.
  void forward(const T* x, Index n, T* y);

  // From dy (kept_rows, the width of the value that operation `operations` - 1 makes) into the gradients,
  // which add up, and into dx (kept_rows, D) where it is not null.
  void backward(const T* dy, std::size_t operations, T* dx, const Arrays& gradients);
  void backward(const T* dy, T* dx, const Arrays& gradients) {
    backward(dy, program_.operations.size(), dx, gradients);
  }

  // The cost of a batch, nothing else. Any number of threads at once.
  double value(const T* x, const Targets<T>& targets, Index n, const Loss& loss) const;

  // The cost of a batch; its gradient is added to `gradients`.
  double value_and_gradient(const Batch<T>& batch, const Loss& loss, const Arrays& gradients);

  // How many operations stand before the cost: all, or all but the last where the loss has a form made for
  // the pair (then `loss` becomes that form, of the last operation's input).
  std::size_t pair_with_loss(Loss& loss) const;

 private:
  using Lease = typename IdleWorkspaces<T>::Lease;

  Index tile_rows() const;
  Index chunk_rows(Index n) const;
  int workers(Index n) const;
  void keep_rows(Index n);
  Values<T> kept_values();

  // Runs `prepare`, which makes d of value `last` for a tile of rows, and the backward pass from there.
  template <class Prepare>
  void descend(Index n, std::size_t operations, T* dx, const Arrays& gradients, const Prepare& prepare);
  template <class Prepare>
  void descend_in_chunks(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                         const Prepare& prepare);
  template <class Prepare>
  void descend_in_layers(Index n, std::size_t operations, T* dx, const Arrays& gradients,
                         const Prepare& prepare);
  void fold_chunks(Index chunks, const Arrays& gradients);
  Arrays chunk_gradients(Index chunk) const;

  Program program_;
  Arrays parameters_;

  std::vector<AlignedBuffer<T>> values_;  // what forward keeps
  Index kept_rows_ = 0;
  AlignedBuffer<T> chunk_memory_;  // gradients of each chunk
  AlignedBuffer<double> cost_, factor_;
  AlignedBuffer<T> targets_;
  AlignedBuffer<std::int64_t> labels_;
  AlignedBuffer<double> weights_;

  mutable IdleWorkspaces<T> idle_;
};

}  // namespace mlpkern
