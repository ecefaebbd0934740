// SPDX-License-Identifier: BSD-3-Clause
// A network: a program, where its parameters lie, and the buffers that its passes need.
//
// Order of work, chosen by shapes alone (tiling.hpp). Rows go through all layers tile by tile, so that a
// tile's values stay in cache. The gradients of parameters are sums over rows: the rows are cut into chunks,
// each chunk adds up tile after tile from zero, and the chunks are added in order to what the gradients held;
// a single chunk goes on from what they held. Threads share out chunks, or, where there is one, tiles and
// blocks of dw, whose chains over the rows are the same.
#pragma once

#include <vector>

#include "base/aligned.hpp"
#include "network/objective.hpp"
#include "network/passes.hpp"
#include "network/program.hpp"
#include "network/tiling.hpp"
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
  Network(Program program, Arrays<T> parameters);

  const Program& program() const { return program_; }
  Index kept_rows() const { return kept_tiling_.n; }
  // Writes value `value` of all kept rows, row after row.
  void copy_kept(Index value, T* to) const;

  // y (n, K) from x (n, D). Keeps nothing; any number of threads at once.
  void predict(const T* x, Index n, T* y) const;

  // The same, and keeps every value for backward.
  void forward(const T* x, Index n, T* y);

  void clear(const Arrays<T>& gradients) const;

  // From dy (kept_rows, the width of the value that operation `operations` - 1 makes) into the gradients,
  // which add up, and into dx (kept_rows, D) where it is not null.
  void backward(const T* dy, std::size_t operations, T* dx, const Arrays<T>& gradients);

  // The cost of a batch, nothing else. Any number of threads at once.
  double value(const T* x, const Targets<T>& targets, Index n, const Loss& loss) const;

  // The cost of a batch; `gradients` become its gradient.
  double value_and_gradient(const Batch<T>& batch, const Loss& loss, const Arrays<T>& gradients);

 private:
  using Lease = typename IdleWorkspaces<T>::Lease;

  // A backward pass, and what it starts from. x: the input where it lies in the caller's array, row after row
  // and in the batch's order, else null. kept: all rows' values where there are, else they are made here.
  // fresh: whether the gradients start from zero.
  struct Descent {
    const Tiling& tiling;
    std::size_t operations;
    const T* x;
    const ValueBuffers<T>* kept;
    T* dx;
    const Arrays<T>& gradients;
    bool fresh;
  };

  Passes<T> passes() const;
  // The threads for a forward pass over so many rows; backward takes twice as long.
  int workers(Index rows) const;
  int crew_for(Index items, Index rows) const;  // the same, as many as there are items

  // `prepare(passes, v, d, rows)` makes what is not kept of v, and d of the value from which to descend.
  template <class Prepare>
  void descend(const Descent& descent, const Prepare& prepare);
  template <class Prepare>
  void descend_in_chunks(const Descent& descent, const Prepare& prepare);
  template <class Prepare>
  void descend_in_layers(const Descent& descent, const Prepare& prepare);
  void fold_chunks(Index chunks, const Descent& descent, int crew);
  Index chunk_size() const { return rounded_up(program_.parameters(), kLanes<T>); }
  void chunk_gradients(Index chunk, Arrays<T>& arrays) const;

  // How many operations stand before the cost: all, or all but the last where the loss has a form made for
  // the pair (then `loss` becomes that form, of the last operation's input).
  std::size_t pair_with_loss(Loss& loss) const;
  Index output_of(std::size_t operations) const {
    return operations == 0 ? 0 : program_.operations[operations - 1].output;
  }
  Targets<T> gather(const Batch<T>& batch, Rows rows, Index K, T* x);

  Program program_;
  Arrays<T> parameters_;

  ValueBuffers<T> kept_;  // what forward keeps
  Tiling kept_tiling_{0, 1, 1, 0};
  AlignedBuffer<T> chunk_memory_;  // gradients of each chunk
  AlignedBuffer<double> cost_, factor_;
  AlignedBuffer<T> targets_;
  AlignedBuffer<std::int64_t> labels_;
  AlignedBuffer<double> weights_;

  mutable IdleWorkspaces<T> idle_;
};

}  // namespace mlpkern
