// SPDX-License-Identifier: BSD-3-Clause
#include "network/pool.hpp"

#include <pthread.h>
#include <time.h>

#include <chrono>
#include <memory>
#include <stdexcept>

#include "network/crew.hpp"
#include "network/processors.hpp"

namespace mlpkern {

void (*poll_interrupt)() = nullptr;
std::atomic<unsigned> forks{0};

namespace {

// Of a clock that is exact to some ms and takes 5 ns to read, where steady_clock takes 25.
std::int64_t milliseconds() {
#if defined(CLOCK_MONOTONIC_COARSE)
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
#else
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
#endif
}

thread_local int uninterrupted = 0;

// The one pool of the process. `use` is held by the thread whose job runs.
struct State {
  explicit State(int count) : threads(count) {}
  std::mutex use;
  std::atomic<int> threads;
  std::unique_ptr<Crew> crew;
};
std::atomic<State*> state_of_process{nullptr};

State& state() {
  State* known = state_of_process;
  if (known == nullptr) {
    auto fresh = std::make_unique<State>(first_thread_count());
    if (state_of_process.compare_exchange_strong(known, fresh.get())) known = fresh.release();
  }
  return *known;
}

// After fork the child has none of the workers, so it forgets the pool and starts afresh; what it forgets is
// lost, once a fork.
void forget_pool() {
  ++forks;
  running = {};
  const State* known = state_of_process;
  if (known != nullptr) state_of_process = new State(known->threads);
}
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, forget_pool);

void work_alone(Index count, ItemRef item) {
  InterruptTimer timer;
  const Inside inside({true, 0, nullptr, &timer});
  for (Index i = 0; i < count; ++i) {
    if (i > 0) poll();
    item(i, 0);
  }
}

struct JobFailed {};  // thrown by poll in the other threads, where one has failed

}  // namespace

InterruptTimer::InterruptTimer() : last_(milliseconds()) {}

void InterruptTimer::check() {
  constexpr std::int64_t kEvery = 50;
  if (poll_interrupt == nullptr || milliseconds() - last_ < kEvery) return;
  poll_interrupt();
  last_ = milliseconds();
}

Uninterrupted::Uninterrupted() { ++uninterrupted; }
Uninterrupted::~Uninterrupted() { --uninterrupted; }

int num_threads() { return state().threads.load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (running.inside) throw std::runtime_error("set_num_threads: must not be called inside a computation");
  State& here = state();
  const std::lock_guard<std::mutex> lock(here.use);
  if (count == here.threads) return;
  here.crew.reset();
  here.threads = count;
}

void poll() {
  if (!running.inside || uninterrupted > 0) return;
  if (running.job != nullptr && running.job->failed) throw JobFailed();
  if (running.timer != nullptr) running.timer->check();
}

void parallel_for(Index count, int workers, ItemRef item) {
  if (count <= 0) return;
  if (running.inside) {  // go on in the same thread, with its own scratch
    const int worker = running.worker;
    for (Index i = 0; i < count; ++i) item(i, worker);
    return;
  }
  if (count > 1 && workers > 1) {
    State& here = state();
    const std::unique_lock<std::mutex> use(here.use, std::try_to_lock);
    if (use.owns_lock() && here.threads > 1) {
      if (!here.crew) here.crew = std::make_unique<Crew>(here.threads);
      Job job{item, count, workers};
      here.crew->run(job);
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  work_alone(count, item);
}

}  // namespace mlpkern
