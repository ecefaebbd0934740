// SPDX-License-Identifier: BSD-3-Clause
// Which ISAs this build carries, which of them this machine has, and the table of kernels of each.
#pragma once

#include <string>
#include <vector>

#include "dispatch/table.hpp"

namespace mlpkern {

struct Isa {
  const char* name;  // "avx2", as MLPKERN_ISA spells it
  bool supported;    // by this machine, operating system included
  const Kernels<float>& (*float_kernels)();
  const Kernels<double>& (*double_kernels)();

  template <class T>
  const Kernels<T>& kernels() const {
    if constexpr (sizeof(T) == sizeof(float)) {
      return float_kernels();
    } else {
      return double_kernels();
    }
  }
};

// Every ISA of this build, best first.
const std::vector<Isa>& isas();

// The ISA in use: the best supported one, or the one that the environment variable MLPKERN_ISA names.
// Throws std::invalid_argument, which lists the choices, where it names another.
const Isa& active_isa();

template <class T>
const Kernels<T>& active_kernels() {
  return active_isa().kernels<T>();
}

// Chooses by name; throws like active_isa. Not while other threads compute.
void set_active_isa(const std::string& name);

}  // namespace mlpkern
