// SPDX-License-Identifier: BSD-3-Clause
// Who may use a network when: any number of predictions at once, or one call that changes it.
#pragma once

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "network/pool.hpp"

namespace mlpkern::bindings {

// Who uses a map's parameters: any number of readers, or one call that changes them.
class Usage {
 public:
  bool try_share() {
    forget_other_processes();
    int users = users_.load();
    do {
      if (users < 0) return false;
    } while (!users_.compare_exchange_weak(users, users + 1));
    return true;
  }
  void unshare() { --users_; }
  bool try_own() {
    forget_other_processes();
    int none = 0;
    return users_.compare_exchange_strong(none, -1);
  }
  void disown() { users_ = 0; }

 private:
  // Users that were threads of the process before a fork do not exist here.
  void forget_other_processes() {
    const unsigned now = fork_generation();
    if (generation_.exchange(now) != now) users_ = 0;
  }

  std::atomic<int> users_{0};
  std::atomic<unsigned> generation_{fork_generation()};
};

using Usages = std::vector<std::shared_ptr<Usage>>;

// All usages, or none and a RuntimeError.
class Use {
 public:
  Use(const Usages& usages, bool alone, const std::string& who) : usages_(usages), alone_(alone) {
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
