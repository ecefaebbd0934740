// SPDX-License-Identifier: BSD-3-Clause
// The processors that there are to use.
#pragma once

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace mlpkern {

// The number of processors that this process may use: its affinity, and the container's quota.
int available_processors();

// MLPKERN_NUM_THREADS, or else available_processors. Throws std::invalid_argument where the variable is no
// number from 1 to kMostThreads.
int first_thread_count();

// The processor that the running thread is on; -1 where the system does not tell.
int current_processor();

// Keeps a thread off one processor, where it may run on others at all. An affinity that somebody else gives
// the thread meanwhile stays, unless it is the very one that the thread has for now. Calls must not overlap.
class AwayFrom {
 public:
  bool keeps() const { return processor_ >= 0; }
  // The first call is the thread's own; another thread may then choose another processor.
  void keep_off(int processor);
  void let_go();

 private:
  void forget() { processor_ = -1; }
  bool is_ours() const;

  int processor_ = -1;
#if defined(__linux__)
  pthread_t thread_;
  cpu_set_t before_, others_;
#endif
};

}  // namespace mlpkern
