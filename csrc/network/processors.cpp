// SPDX-License-Identifier: BSD-3-Clause
#include "network/processors.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

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
