// SPDX-License-Identifier: BSD-3-Clause
// The threads of the pool, and the job that they share. For pool.cpp alone.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "network/pool.hpp"
#include "network/processors.hpp"

namespace mlpkern {

struct Job {
  const ItemRef item;
  const Index count;
  const int workers;
  std::atomic<Index> next{0};
  std::atomic<bool> failed{false};
  std::mutex error_mutex{};
  std::exception_ptr error{};

  // Runs items until none is left. The caller's thread has a timer, the workers have none.
  void work(int worker, InterruptTimer* timer);
  void fail(std::exception_ptr what);
};

// What a thread is at, while it runs items.
struct Running {
  bool inside = false;
  int worker = 0;
  Job* job = nullptr;  // none in a serial job
  InterruptTimer* timer = nullptr;
};
extern constinit thread_local Running running;

struct Inside {
  explicit Inside(const Running& what) { running = what; }
  ~Inside() { running = {}; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// The workers, who serve one job at a time. A worker joins a job while it is open, and counts itself among
// those who have left afterwards. The caller opens a job, works at it, closes it when no item is left, and
// waits for those who have joined: one who sleeps too long is not waited for. Nobody takes the mutex but to
// sleep, and to wake a sleeper.
//
// A worker sleeps where it cannot wake up on the caller's processor. In a virtual machine Linux takes a
// processor that has halted for one that is not there, and put the worker in line behind the caller: a
// product that two threads compute in 10 ms took 17 after a pause of 0.1 s, and takes 11.
//
// state_ is the number of the job, whether it is closed, and how many have joined, in one word, so that
// joining what has been closed is impossible. Who goes to sleep says so before looking a last time, who has
// news tells them before looking for sleepers (all in one order, seq_cst): one of the two sees the other.
class Crew {
 public:
  explicit Crew(int threads);  // the caller's included; as many as the system lets start
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void run(Job& job);

 private:
  using State = std::uint64_t;
  static constexpr State kJoined = 0xffff, kClosed = 1 << 16, kStopping = 1 << 17;
  static constexpr int kNumberBits = 32;  // above them stands the number of the job
  static State number(State state) { return state >> kNumberBits; }
  static State next_number(State state) { return (number(state) + 1) << kNumberBits; }

  void serve(int worker);
  State wait_for_news(State seen, AwayFrom& away);
  void wake(int wanted);

  std::atomic<State> state_{kClosed}, left_{0};
  std::atomic<int> asleep_{0}, caller_at_{-1};  // the processor
  std::atomic<bool> waits_{false};              // the caller sleeps
  Job* job_ = nullptr;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::vector<AwayFrom> away_;  // of each worker, from the caller's processor; the mutex guards them
  std::vector<std::thread> workers_;
};

}  // namespace mlpkern
