// SPDX-License-Identifier: BSD-3-Clause
#include "network/crew.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "base/float_environment.hpp"

namespace mlpkern {

constinit thread_local Running running;

void Job::fail(std::exception_ptr what) {
  const std::lock_guard<std::mutex> lock(error_mutex);
  if (!error) error = std::move(what);
  failed = true;
}

void Job::work(int worker, InterruptTimer* timer) {
  const Inside inside({true, worker, this, timer});
  try {
    for (Index i = next++; i < count && !failed; i = next++) {
      item(i, worker);
      poll();
    }
  } catch (...) {
    fail(std::current_exception());
  }
}

namespace {

constexpr auto kSpinFor = std::chrono::microseconds(30);  // then a thread sleeps

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits for a short time; whether the condition came true.
template <class Condition>
bool spin_until(const Condition& condition) {
  constexpr int kLooksPerClock = 16;
  const auto end = std::chrono::steady_clock::now() + kSpinFor;
  do {
    for (int i = 0; i < kLooksPerClock; ++i) {
      if (condition()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return condition();
}

}  // namespace

Crew::Crew(int threads) {
  workers_.reserve(static_cast<std::size_t>(threads));
  away_.resize(static_cast<std::size_t>(threads));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  } catch (const std::system_error&) {
  }
}

Crew::~Crew() {
  state_ = next_number(state_) | kClosed | kStopping;
  wake(static_cast<int>(workers_.size()));
  for (std::thread& worker : workers_) worker.join();
}

void Crew::run(Job& job) {
  job_ = &job;
  left_ = 0;
  caller_at_ = current_processor();
  state_ = next_number(state_);
  const Index helpers = std::min<Index>(job.count, job.workers) - 1;
  wake(static_cast<int>(std::min<Index>(helpers, static_cast<Index>(workers_.size()))));
  InterruptTimer timer;
  job.work(0, &timer);
  const State joined = state_.fetch_or(kClosed) & kJoined;
  const auto all_left = [&] { return left_ == joined; };
  if (spin_until(all_left)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  waits_ = true;
  done_.wait(lock, all_left);
  waits_ = false;
}

void Crew::serve(int worker) {
  const DefaultFloatEnvironment environment;
  State seen = 0;
  while (true) {
    State state = wait_for_news(seen, away_[static_cast<std::size_t>(worker)]);
    seen = number(state);
    if (state & kStopping) return;
    bool joined = false;
    while (!joined && number(state) == seen && !(state & kClosed)) {
      joined = state_.compare_exchange_weak(state, state + 1);
    }
    if (!joined) continue;
    if (worker < job_->workers) job_->work(worker, nullptr);
    ++left_;
    if (!waits_) continue;
    const std::lock_guard<std::mutex> lock(mutex_);
    done_.notify_one();
  }
}

Crew::State Crew::wait_for_news(State seen, AwayFrom& away) {
  const auto news = [&] { return number(state_) != seen; };
  if (spin_until(news)) return state_;
  std::unique_lock<std::mutex> lock(mutex_);
  away.keep_off(caller_at_);
  ++asleep_;
  wake_.wait(lock, news);
  --asleep_;
  if (current_processor() == caller_at_) away.keep_off(caller_at_);
  away.let_go();
  return state_;
}

// Wakes sleepers until so many are awake.
void Crew::wake(int wanted) {
  const int awake = static_cast<int>(workers_.size()) - asleep_;
  if (awake >= wanted) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (AwayFrom& away : away_) {
    if (away.keeps()) away.keep_off(caller_at_);  // it may have moved
  }
  for (int i = awake; i < wanted; ++i) wake_.notify_one();
}

}  // namespace mlpkern
