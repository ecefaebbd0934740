// SPDX-License-Identifier: BSD-3-Clause
#include "network/pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/float_environment.hpp"

namespace mlpkern {

void (*poll_interrupt)() = nullptr;

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPollEvery = std::chrono::milliseconds(50);
constexpr auto kSpinFor = std::chrono::microseconds(30);  // then a worker sleeps

thread_local int uninterrupted = 0;

struct Job {
  Job(const std::function<void(Index, int)>& what, Index how_many, int most_workers)
      : item(what), count(how_many), workers(most_workers) {}

  const std::function<void(Index, int)>& item;
  const Index count;
  const int workers;
  std::atomic<Index> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  std::mutex error_mutex;

  void fail(std::exception_ptr what) {
    const std::lock_guard<std::mutex> lock(error_mutex);
    if (!error) error = std::move(what);
    failed = true;
  }

  void work(int worker, bool caller);
};

// What the running thread is at, while it runs items.
struct Running {
  Job* job = nullptr;
  int worker = 0;
  bool polls = false;  // the thread that started the job does, the workers do not
  Clock::time_point polled;
};
thread_local Running running;

struct JobFailed {};  // thrown by poll in the other workers, where one has failed

// Runs items until none is left.
void Job::work(int worker, bool caller) {
  if (worker >= workers) return;
  running = {this, worker, caller, Clock::now()};
  try {
    for (Index i = next++; i < count && !failed; i = next++) {
      item(i, worker);
      poll();
    }
  } catch (...) {
    fail(std::current_exception());
  }
  running = {};
}

class Pool {
 public:
  // As many of the threads as the system lets start.
  explicit Pool(int threads) {
    workers_.reserve(static_cast<std::size_t>(threads));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
    } catch (const std::system_error&) {
    }
  }

  ~Pool() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
      ++generation_;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void run(Job& job) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      busy_ = static_cast<int>(workers_.size());
      ++generation_;
    }
    wake_.notify_all();
    job.work(0, true);
    const auto spin_until = Clock::now() + kSpinFor;
    while (busy_ != 0 && Clock::now() < spin_until) {
    }
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
    job_ = nullptr;
  }

 private:
  void serve(int worker) {
    const DefaultFloatEnvironment environment;
    unsigned seen = 0;
    while (true) {
      const auto spin_until = Clock::now() + kSpinFor;
      while (generation_ == seen && Clock::now() < spin_until) {
      }
      Job* job;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (stopping_) return;
        job = job_;
      }
      job->work(worker, false);
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        --busy_;
      }
      done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> busy_{0};
  Job* job_ = nullptr;
  bool stopping_ = false;
};

int processors_by_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    return std::max(1, static_cast<int>(std::atof(quota.c_str()) / period + 0.5));
  }
  return 1 << 20;
}

int first_thread_count() {
  const char* wanted = std::getenv("MLPKERN_NUM_THREADS");
  if (wanted == nullptr || *wanted == '\0') return available_processors();
  char* end = nullptr;
  const long count = std::strtol(wanted, &end, 10);
  if (*end != '\0' || count < 1 || count > kMostThreads) {
    throw std::invalid_argument("MLPKERN_NUM_THREADS must be a whole number from 1 to " +
                                std::to_string(kMostThreads) + "; got '" + wanted + "'");
  }
  return static_cast<int>(count);
}

// The one pool of the process. `use` is held by the thread whose job runs. After fork the child has none of
// the workers, so it forgets the pool and starts afresh; what it forgets is lost, once a fork.
struct State {
  std::mutex use;
  int threads = first_thread_count();
  std::unique_ptr<Pool> pool;
};

State*& state_of_process() {
  static State* state = [] {
    pthread_atfork(nullptr, nullptr, [] {
      State*& current = state_of_process();
      const int threads = current->threads;
      current = new State;
      current->threads = threads;
      running = {};
    });
    return new State;
  }();
  return state;
}

}  // namespace

unsigned fork_generation() {
  static std::atomic<unsigned> generation{0};
  static const int registered = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1); });
  return generation + static_cast<unsigned>(registered);  // which is 0
}

Uninterrupted::Uninterrupted() { ++uninterrupted; }
Uninterrupted::~Uninterrupted() { --uninterrupted; }

int available_processors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  return std::max(1, std::min(count, processors_by_quota()));
}

int num_threads() { return state_of_process()->threads; }

void set_num_threads(int count) {
  State* state = state_of_process();
  const std::lock_guard<std::mutex> lock(state->use);
  if (count == state->threads) return;
  state->pool.reset();
  state->threads = count;
}

void poll() {
  if (running.job == nullptr || uninterrupted > 0) return;
  if (running.job->failed) throw JobFailed();
  if (!running.polls || poll_interrupt == nullptr || Clock::now() - running.polled < kPollEvery) return;
  poll_interrupt();
  running.polled = Clock::now();
}

void parallel_for(Index count, int workers, const std::function<void(Index, int)>& item) {
  if (count <= 0) return;
  if (running.job != nullptr) {  // inside an item: go on in the same thread, with its own scratch
    for (Index i = 0; i < count; ++i) item(i, running.worker);
    return;
  }
  Job job(item, count, workers);
  if (count > 1 && workers > 1) {
    State* state = state_of_process();
    const std::unique_lock<std::mutex> use(state->use, std::try_to_lock);
    if (use.owns_lock() && state->threads > 1) {
      if (!state->pool) state->pool = std::make_unique<Pool>(state->threads);
      state->pool->run(job);
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  job.work(0, true);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace mlpkern
