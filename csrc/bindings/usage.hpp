// SPDX-License-Identifier: BSD-3-Clause
// Who may use a network when: any number of predictions at once, or one call that changes it.
#pragma once

#include <Python.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

#include "bindings/arrays.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

// Who uses a map's parameters: any number of readers, or one call that changes them. Calls begin and end
// with the GIL held, though they may run without it: where there is a GIL, no other thread comes between
// reading the count and writing it, and no locked instruction is needed (a network has a count for each
// layer, and 20 cycles each would show in a prediction of one sample).
class Usage {
 public:
  bool try_share() {
    forget_other_processes();
    int users = users_.load(std::memory_order_relaxed);
    do {
      if (users < 0) return false;
    } while (!change(users, users + 1));
    return true;
  }
  void unshare() {
    int users = users_.load(std::memory_order_relaxed);
    while (!change(users, users - 1)) {
    }
  }
  bool try_own() {
    forget_other_processes();
    int users = users_.load(std::memory_order_relaxed);
    do {
      if (users != 0) return false;
    } while (!change(users, -1));
    return true;
  }
  void disown() { users_.store(0, std::memory_order_release); }

 private:
  // As compare_exchange_weak does.
  bool change(int& seen, int next) {
#if defined(Py_GIL_DISABLED)
    return users_.compare_exchange_weak(seen, next, std::memory_order_acq_rel, std::memory_order_relaxed);
#else
    static_cast<void>(seen);
    users_.store(next, std::memory_order_relaxed);
    return true;
#endif
  }

  // Users that were threads of the process before a fork do not exist here.
  void forget_other_processes() {
    const unsigned now = fork_generation();
    if (generation_.load(std::memory_order_relaxed) == now) return;
    if (generation_.exchange(now) != now) users_ = 0;
  }

  std::atomic<int> users_{0};
  std::atomic<unsigned> generation_{fork_generation()};
};

using Usages = std::vector<std::shared_ptr<Usage>>;

// All usages, or none and a RuntimeError.
class Use {
 public:
  Use(const Usages& usages, bool alone, Who who) : usages_(usages), alone_(alone) {
    for (; held_ < usages.size(); ++held_) {
      Usage& usage = *usages[held_];
      if (alone ? usage.try_own() : usage.try_share()) continue;
      release();
      throw std::runtime_error(who +
                               (alone ? ": the network must not be in use; another thread's call runs"
                                      : ": the network must not be in training; another thread trains it"));
    }
  }
  ~Use() { release(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  void release() {
    while (held_ > 0) alone_ ? usages_[--held_]->disown() : usages_[--held_]->unshare();
  }
  const Usages& usages_;
  bool alone_;
  std::size_t held_ = 0;
};

}  // namespace mlpkern::bindings
