// SPDX-License-Identifier: BSD-3-Clause
// Threads. A job is a number of items, each run once, by the caller and by workers that take the next
// item as they become free. What an item computes never depends on who runs it or when, so the number of
// threads changes no bit.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>

#include "base/view.hpp"

namespace mlpkern {

// Threads in use, the caller included: at first MLPKERN_NUM_THREADS, or else the processors that the
// process may use (affinity, and the container's quota).
constexpr int kMostThreads = 1024;
int num_threads();                // throws std::invalid_argument where MLPKERN_NUM_THREADS is no number
void set_num_threads(int count);  // 1 … kMostThreads; throws std::runtime_error inside a job

// How many forks lie between this process and the one that loaded the module: what other threads held when
// the process forked is held by nobody in the child.
extern std::atomic<unsigned> forks;
inline unsigned fork_generation() { return forks.load(std::memory_order_relaxed); }

// Called by the thread that started a job, between two of its items and at most every 50 ms. It may throw:
// the items not yet begun are then left out, and what it threw comes out of parallel_for. The bindings set
// it to look for Ctrl-C.
extern void (*poll_interrupt)();

// Calls poll_interrupt where 50 ms have passed since it was made or called it last.
class InterruptTimer {
 public:
  InterruptTimer();
  void check();

 private:
  std::int64_t last_;  // in ms
};

// While one lives, jobs of its thread are not polled: what they write must be written whole.
class Uninterrupted {
 public:
  Uninterrupted();
  ~Uninterrupted();
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
};

// A callable (item, worker) that lives elsewhere. std::function would copy it to the heap.
class ItemRef {
 public:
  template <class F>
  requires(!std::same_as<F, ItemRef>) ItemRef(const F& f)
      : object_(&f),
        call_([](const void* object, Index i, int worker) { (*static_cast<const F*>(object))(i, worker); }) {}
  void operator()(Index i, int worker) const { call_(object_, i, worker); }

 private:
  const void* object_;
  void (*call_)(const void* object, Index i, int worker);
};

// item(i, worker) for i = 0 … count - 1, where 0 <= worker < workers numbers the thread that runs it: the
// key to scratch of its own. Serial where workers or count is 1, while another thread's job runs, and
// inside an item (then with that item's worker). An exception in an item ends the job and comes out here.
void parallel_for(Index count, int workers, ItemRef item);

// For long items: goes on where all is well, polls where it is due, and throws where the job has failed
// meanwhile. Call it where the item may be left.
void poll();

// How many workers a job of so many multiply-adds deserves: one below about 20 µs of work.
inline int workers_for(double multiply_adds) {
  constexpr double kWorthwhile = 5e5;
  return multiply_adds < 2 * kWorthwhile ? 1 : num_threads();
}

}  // namespace mlpkern
