// SPDX-License-Identifier: BSD-3-Clause
// Threads. A job is a number of items, each run once, by the caller and by workers that take the next
// item as they become free. What an item computes never depends on who runs it or when, so the number of
// threads changes no bit.
#pragma once

#include <functional>

#include "base/view.hpp"

namespace mlpkern {

// Threads in use, the caller included: at first MLPKERN_NUM_THREADS, or else the processors that the
// process may use (affinity, and the container's quota).
constexpr int kMostThreads = 1024;
int num_threads();                // throws std::invalid_argument where MLPKERN_NUM_THREADS is no number
void set_num_threads(int count);  // 1 … kMostThreads

// The number of processors that this process may use.
int available_processors();

// How many forks lie between this process and the one that loaded the module: what other threads held when
// the process forked is held by nobody in the child.
unsigned fork_generation();

// Called by the thread that started a job, between two of its items and at most every 50 ms. It may throw:
// the items not yet begun are then left out, and what it threw comes out of parallel_for. The bindings set
// it to look for Ctrl-C.
extern void (*poll_interrupt)();

// While one lives, jobs of its thread are not polled: what they write must be written whole.
class Uninterrupted {
 public:
  Uninterrupted();
  ~Uninterrupted();
  Uninterrupted(const Uninterrupted&) = delete;
  Uninterrupted& operator=(const Uninterrupted&) = delete;
};

// item(i, worker) for i = 0 … count - 1, where 0 <= worker < workers numbers the thread that runs it: the
// key to scratch of its own. Serial where workers or count is 1, while another thread's job runs, and
// inside an item (then with that item's worker). An exception in an item ends the job and comes out here.
void parallel_for(Index count, int workers, const std::function<void(Index item, int worker)>& item);

// For long items: goes on where all is well, polls where it is due, and throws where the job has failed
// meanwhile. Call it where the item may be left.
void poll();

// How many workers a job of so many multiply-adds deserves: one below about 20 µs of work.
inline int workers_for(double multiply_adds) {
  constexpr double kWorthwhile = 5e5;
  return multiply_adds < 2 * kWorthwhile ? 1 : num_threads();
}

}  // namespace mlpkern
