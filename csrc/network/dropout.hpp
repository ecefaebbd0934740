// SPDX-License-Identifier: BSD-3-Clause
// The state of a dropout: its seed, and how many whole passes have drawn from it. Whoever uses it, in one
// network or in several, counts on.
#pragma once

#include <cmath>
#include <cstdint>

#include "dispatch/table.hpp"

namespace mlpkern {

struct Dropout {
  double p;
  std::uint64_t seed;
  std::int64_t passes = 0;
};

// Steele, Lea and Flood's SplitMix64 (OOPSLA 2014), one step of it.
constexpr std::uint64_t mixed(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// The mask of the next pass at one place of a program: the value that the dropout makes there.
inline DropoutMask next_mask(const Dropout& dropout, Index place) {
  const std::uint64_t at_place = mixed(dropout.seed) + static_cast<std::uint64_t>(place);
  const std::uint64_t key = mixed(mixed(at_place) + static_cast<std::uint64_t>(dropout.passes + 1));
  const double keep = 1 - dropout.p;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::floor(keep * 0x1p32)),  // p >= 2^-33, so less than 2^32
          keep == 0 ? 0 : 1 / keep};
}

}  // namespace mlpkern
