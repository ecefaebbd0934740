// SPDX-License-Identifier: BSD-3-Clause
#include "network/processors.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "network/pool.hpp"

namespace mlpkern {

namespace {

int processors_by_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    return std::max(1, static_cast<int>(std::atof(quota.c_str()) / period + 0.5));
  }
  return 1 << 20;
}

}  // namespace

int available_processors() {
  int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
  return std::max(1, std::min(count, processors_by_quota()));
}

#if defined(__linux__)

int current_processor() { return sched_getcpu(); }

void AwayFrom::keep_off(int processor) {
  if (processor < 0 || processor >= CPU_SETSIZE || processor == processor_) return;
  if (keeps() && !is_ours()) return forget();
  if (!keeps()) {
    thread_ = pthread_self();
    if (pthread_getaffinity_np(thread_, sizeof before_, &before_) != 0) return;
  }
  cpu_set_t others = before_;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0 || pthread_setaffinity_np(thread_, sizeof others, &others) != 0) return;
  others_ = others;
  processor_ = processor;
}

void AwayFrom::let_go() {
  if (keeps() && is_ours()) pthread_setaffinity_np(thread_, sizeof before_, &before_);
  forget();
}

bool AwayFrom::is_ours() const {
  cpu_set_t now;
  return pthread_getaffinity_np(thread_, sizeof now, &now) == 0 && CPU_EQUAL(&now, &others_);
}

#else

int current_processor() { return -1; }
void AwayFrom::keep_off(int) {}
void AwayFrom::let_go() {}

#endif

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

}  // namespace mlpkern
