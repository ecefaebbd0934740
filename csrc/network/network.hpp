// SPDX-License-Identifier: BSD-3-Clause
// A network: a program, where its parameters lie, and the buffers that its passes need.
//
// Order of work, chosen by shapes alone (tiling.hpp). Rows go through all layers tile by tile, so that a
// tile's values stay in cache. The gradients of parameters are sums over rows: the rows are cut into chunks,
// each chunk adds up tile after tile from zero, and the chunks are added in order to what the gradients held;
// a single chunk goes on from what they held. Threads share out chunks, or, where there is one, tiles and
// blocks of dw, whose chains over the rows are the same.
#pragma once

#include <algorithm>
#include <vector>

#include "base/aligned.hpp"
#include "network/jets.hpp"
#include "network/objective.hpp"
#include "network/passes.hpp"
#include "network/pool.hpp"
#include "network/program.hpp"
#include "network/tangents.hpp"
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
  const Arrays<T>& parameters() const { return parameters_; }
  Index kept_rows() const { return kept_tiling_.n; }
  // Writes value `value` of all kept rows, row after row.
  void copy_kept(Index value, T* to) const;

  // For a network whose parameters change no more: packs the weights for `predict`. Throws std::bad_alloc and
  // then is as it was.
  void pack_weights();

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

  // Derivatives by the input, of any number of threads at once. x (n, D), y (n, K); jacobians.cpp says more.
  void jacobian(const T* x, Index n, T* J) const;
  void jvp(const T* x, const T* v, Index n, T* y, T* jv) const;
  void vjp(const T* x, const T* g, Index n, T* y, T* gj) const;
  void parameter_jacobian(const T* x, Index n, T* J) const;
  void sample_gradients(const T* x, const Targets<T>& targets, Index n, const Loss& loss, bool norms,
                        T* out) const;

  // Second derivatives by the input: (n, K, D, D), their diagonal (n, K, D), or their trace (n, K).
  enum class Second { square, diagonal, trace };
  void second_derivatives(const T* x, Index n, Second what, T* second) const;

  // u (n, K) with its derivatives u_x and u_xx by the input, and from a cost's gradients by them to those by
  // the parameters, which are added up; jets.cpp.
  void jets(const T* x, Index n, const JetsRequest<T>& request, T* u, T* u_x, T* u_xx) const;
  void pull_jets(const T* x, Index n, const JetsRequest<T>& request, const T* du, const T* du_x,
                 const T* du_xx, const Arrays<T>& gradients) const;

  // The Hessian of the cost by the parameters times `direction`, into `product`; gauss_newton: of its part
  // J' H J, J the Jacobian of the output, H the Hessian of the cost by the output.
  void hessian_product(const T* x, const Targets<T>& targets, Index n, const Loss& loss,
                       const Arrays<const T>& direction, bool gauss_newton, const Arrays<T>& product) const;

  // Counts a pass back whose step is not taken: the next one draws its masks again.
  void withdraw_pass() { count_pass(-1); }

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

  // The masks of the next pass that trains, which is counted once it is whole.
  void draw_masks();
  void count_pass(int by);

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
  // The sum over tiles of what `tile(worker, gradients, rows)` adds to gradients, which begin from zero where
  // worker.begun says so.
  template <class Tile>
  void sum_over_tiles(const Tiling& tiling, const Arrays<T>& gradients, bool fresh, Lease& workspace,
                      int crew, const Tile& tile) const;
  void fold_chunks(Index chunks, const T* memory, const Arrays<T>& gradients, bool fresh, int crew) const;
  Index chunk_size() const { return rounded_up(program_.parameters(), kLanes<T>); }

  // A tile of rows with their values, the slopes f1 of its activations, and room for sheets of tangents.
  struct AtTile {
    Worker<T>& worker;
    const Tangents<T>& tangents;
    Index first, count;
    T* const* v;
    T* const* f1;
  };
  // use(AtTile) for each tile, with room for `together` sheets, of `sheets` that are worked on.
  template <class Use>
  void at_tiles(const T* x, Index n, Index together, Index sheets, const Use& use) const;
  Tangents<T> tangents(Worker<T>& worker, Index count) const;
  struct JetsOfTile {
    Tangents<T> pass;
    Jets<T> jets;
    Slopes<T> f;
  };
  JetsOfTile jets_of_tile(const T* x, const JetsRequest<T>& request, Rows rows, Index most,
                          Worker<T>& worker) const;
  double squared_norm(T* const* v, T* const* g, Index row, std::size_t operations) const;

  // How many operations stand before the cost: all, or all but the last where the loss has a form made for
  // the pair (then `loss` becomes that form, of the last operation's input).
  std::size_t pair_with_loss(Loss& loss) const;
  Index output_of(std::size_t operations) const {
    return operations == 0 ? 0 : program_.operations[operations - 1].output;
  }
  Targets<T> gather(const Batch<T>& batch, Rows rows, Index K, T* x);

  Program program_;
  Arrays<T> parameters_;
  PackedWeights<T> packed_;

  ValueBuffers<T> kept_;  // what forward keeps
  Tiling kept_tiling_{0, 1, 1, 0};
  AlignedBuffer<double> cost_, factor_;
  AlignedBuffer<T> targets_;
  AlignedBuffer<std::int64_t> labels_;
  AlignedBuffer<double> weights_;

  mutable IdleWorkspaces<T> idle_;
};

template <class T>
template <class Tile>
void Network<T>::sum_over_tiles(const Tiling& tiling, const Arrays<T>& gradients, bool fresh,
                                Lease& workspace, int crew, const Tile& tile) const {
  const Index chunks = tiling.chunks();
  AlignedBuffer<T>& memory = workspace[0].chunks;
  if (chunks > 1) memory.reserve(chunks * chunk_size());
  parallel_for(chunks, crew, [&](Index chunk, int number) {
    Worker<T>& worker = workspace[number];
    const Index end = std::min(tiling.n, (chunk + 1) * tiling.chunk);
    std::fill(worker.begun.begin(), worker.begun.end(), chunks == 1 && !fresh);
    if (chunks > 1) program_.arrays_in(memory.data() + chunk * chunk_size(), worker.gradients_of_chunk);
    const Arrays<T>& target = chunks > 1 ? worker.gradients_of_chunk : gradients;
    for (Index first = chunk * tiling.chunk; first < end; first += tiling.tile) {
      poll();
      tile(worker, target, tiling.rows(first, end));
    }
  });
  if (chunks > 1) fold_chunks(chunks, memory.data(), gradients, fresh, crew);
}

}  // namespace mlpkern
