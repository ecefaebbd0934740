// SPDX-License-Identifier: BSD-3-Clause
// What one call needs besides the network: for each worker room for the values of a tile of rows, and for
// their gradients. Kept from call to call, and handed to one call at a time, so that any number of threads
// may predict.
#pragma once

#include <array>
#include <atomic>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "base/aligned.hpp"
#include "network/passes.hpp"

namespace mlpkern {

// A matrix for each value of a program, in one block of memory.
template <class T>
class ValueBuffers {
 public:
  // Room for `rows` rows of values of these widths. Throws std::bad_alloc.
  void reserve(Index rows, const std::vector<Index>& widths) {
    if (rows <= rows_ && starts_.size() == widths.size()) return;
    const Index most = std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(T)) / 2;
    for (const Index width : widths) {
      if (width > 0 && rows > most / width / static_cast<Index>(widths.size())) throw std::bad_alloc();
    }
    // Past each value three lines: no two lie a multiple of 4 kB apart, where a load would seem to depend on
    // a store to the other.
    constexpr Index kLine = 64 / static_cast<Index>(sizeof(T));
    Index size = 0;
    for (const Index width : widths) size += rounded_up(rows * width, kLine) + 3 * kLine;
    memory_.reserve(size);
    starts_.clear();
    T* next = memory_.data();
    for (const Index width : widths) {
      starts_.push_back(next);
      next += rounded_up(rows * width, kLine) + 3 * kLine;
    }
    rows_ = rows;
  }
  const std::vector<T*>& starts() const { return starts_; }
  T* operator[](Index value) const { return starts_[at(value)]; }

 private:
  AlignedBuffer<T> memory_;
  std::vector<T*> starts_;
  Index rows_ = 0;
};

template <class T>
struct Worker {
  ValueBuffers<T> values, gradients;
  std::vector<char> begun;  // by layer: whether its gradients hold something to add to
  Arrays<T> gradients_of_chunk;
  AlignedBuffer<T> chunks;  // of worker 0: the gradients of each chunk

  // For derivatives (tangents.hpp): the activations' slopes, sheets of tangents or cotangents, and room for
  // a row's widest value.
  std::array<ValueBuffers<T>, 3> slopes;
  ValueBuffers<T> tangents, seconds;
  std::array<ValueBuffers<T>, 2> cotangents;
  AlignedBuffer<T> temp;
  std::vector<T*> pointers;  // the values' places, where some are the caller's arrays

  // The values from row `origin` on; the input and value `last` lie at the caller's, where these are not
  // null.
  Values<T> values_with(const T* x, Index last, T* y, Index origin) {
    pointers = values.starts();
    if (x != nullptr) pointers.front() = const_cast<T*>(x);  // value 0 is only read
    if (y != nullptr) pointers[at(last)] = y;
    return {pointers.data(), origin};
  }
};

template <class T>
using Workspace = std::vector<Worker<T>>;

// The workspaces that no call uses now. Without a lock: a fork would leave it locked in the child where
// another thread held it.
template <class T>
class IdleWorkspaces {
 public:
  IdleWorkspaces() = default;
  ~IdleWorkspaces() {
    for (auto& slot : idle_) delete slot.load();
  }
  IdleWorkspaces(const IdleWorkspaces&) = delete;
  IdleWorkspaces& operator=(const IdleWorkspaces&) = delete;

  struct Needs {
    bool values, gradients;
  };

  // A workspace for the time of a call.
  class Lease {
   public:
    // Room for so many workers, each for the values of `rows` rows, for their gradients, or both.
    // Throws std::bad_alloc.
    Lease(IdleWorkspaces& idle, int workers, Index rows, const Program& program, Needs needs)
        : idle_(idle), workspace_(idle.take()) {
      if (workspace_->size() < at(workers)) workspace_->resize(at(workers));
      for (int i = 0; i < workers; ++i) {
        Worker<T>& worker = (*workspace_)[at(i)];
        if (needs.values) worker.values.reserve(rows, program.widths);
        worker.pointers.reserve(program.widths.size());
        worker.begun.resize(program.layers.size());
        worker.gradients_of_chunk.reserve(program.layers.size());
        if (needs.gradients) worker.gradients.reserve(rows, program.widths);
      }
    }
    ~Lease() { idle_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Worker<T>& operator[](int worker) const { return (*workspace_)[at(worker)]; }

   private:
    IdleWorkspaces& idle_;
    std::unique_ptr<Workspace<T>> workspace_;
  };

 private:
  using Slot = std::atomic<Workspace<T>*>;

  std::unique_ptr<Workspace<T>> take() {
    for (Slot& slot : idle_) {
      if (slot.load(std::memory_order_relaxed) == nullptr) continue;
      if (Workspace<T>* workspace = slot.exchange(nullptr)) return std::unique_ptr<Workspace<T>>(workspace);
    }
    return std::make_unique<Workspace<T>>();
  }

  void give_back(std::unique_ptr<Workspace<T>> workspace) {
    for (Slot& slot : idle_) {
      Workspace<T>* none = nullptr;
      if (!slot.compare_exchange_strong(none, workspace.get())) continue;
      workspace.release();
      return;
    }
  }

  static constexpr std::size_t kMostIdle = 8;
  std::array<Slot, kMostIdle> idle_{};
};

}  // namespace mlpkern
