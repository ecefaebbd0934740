// SPDX-License-Identifier: BSD-3-Clause
// What one call needs besides the network: for each worker a matrix for each value. Kept from call to
// call, and handed to one call at a time, so that any number of threads may predict.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/aligned.hpp"
#include "network/passes.hpp"

namespace mlpkern {

template <class T>
class Workspace {
 public:
  // Room for `rows` rows of values of these widths, for so many workers. Throws std::bad_alloc.
  void reserve(int workers, Index rows, const std::vector<Index>& widths) {
    if (workers_.size() < static_cast<std::size_t>(workers)) {
      workers_.resize(static_cast<std::size_t>(workers));
    }
    for (int i = 0; i < workers; ++i) {
      auto& values = workers_[static_cast<std::size_t>(i)];
      values.resize(widths.size());
      for (std::size_t v = 0; v < values.size(); ++v) values[v].reserve(rows * widths[v]);
    }
  }

  // A worker's matrices, as the values from row `origin` on.
  Values<T> values(int worker, Index origin) const {
    Values<T> v;
    v.origin = origin;
    for (const AlignedBuffer<T>& buffer : workers_[static_cast<std::size_t>(worker)]) {
      v.data.push_back(buffer.data());
    }
    return v;
  }

 private:
  std::vector<std::vector<AlignedBuffer<T>>> workers_;
};

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

  // A workspace for the time of a call.
  class Lease {
   public:
    Lease(IdleWorkspaces& idle, int workers, Index rows, const std::vector<Index>& widths)
        : idle_(idle), workspace_(idle.take()) {
      workspace_->reserve(workers, rows, widths);
    }
    ~Lease() { idle_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    const Workspace<T>* operator->() const { return workspace_.get(); }

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
