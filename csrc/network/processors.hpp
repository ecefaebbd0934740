// SPDX-License-Identifier: BSD-3-Clause
// How many processors there are to use.
#pragma once

namespace mlpkern {

// The number of processors that this process may use: its affinity, and the container's quota.
int available_processors();

// MLPKERN_NUM_THREADS, or else available_processors. Throws std::invalid_argument where the variable is no
// number from 1 to kMostThreads.
int first_thread_count();

}  // namespace mlpkern
