// SPDX-License-Identifier: BSD-3-Clause
#include "dispatch/registry.hpp"

#include <cstdlib>
#include <stdexcept>

namespace mlpkern {

#define MLPKERN_DECLARE_ISA(isa)                    \
  namespace isa {                                   \
  template <class T>                                \
  const Kernels<T>& kernels();                      \
  extern template const Kernels<float>& kernels();  \
  extern template const Kernels<double>& kernels(); \
  }
MLPKERN_DECLARE_ISA(baseline)
#if defined(__x86_64__)
MLPKERN_DECLARE_ISA(avx2)
MLPKERN_DECLARE_ISA(avx512)
#endif

const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = {
#if defined(__x86_64__)
    {"avx512",
     __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"),
     avx512::kernels<float>, avx512::kernels<double>},
    {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx2::kernels<float>,
     avx2::kernels<double>},
#endif
#if defined(__aarch64__)
    {"neon", true, baseline::kernels<float>, baseline::kernels<double>},
#else
    {"baseline", true, baseline::kernels<float>, baseline::kernels<double>},
#endif
  };
  return all;
}

namespace {

const Isa& find(const std::string& name, const char* who) {
  std::string choices;
  for (const Isa& isa : isas()) {
    if (!isa.supported) continue;
    if (isa.name == name) return isa;
    choices += choices.empty() ? isa.name : std::string(", ") + isa.name;
  }
  throw std::invalid_argument(std::string(who) + " must name an instruction set that this machine has (" +
                              choices + "); got '" + name + "'");
}

const Isa& first_choice() {
  const char* wanted = std::getenv("MLPKERN_ISA");
  if (wanted != nullptr && *wanted != '\0') return find(wanted, "MLPKERN_ISA");
  for (const Isa& isa : isas()) {
    if (isa.supported) return isa;
  }
  throw std::logic_error("the baseline is always supported");
}

const Isa*& active() {
  static const Isa* isa = &first_choice();
  return isa;
}

}  // namespace

const Isa& active_isa() { return *active(); }

void set_active_isa(const std::string& name) { active() = &find(name, "set_isa: name"); }

}  // namespace mlpkern
