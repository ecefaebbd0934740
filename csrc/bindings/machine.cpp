// SPDX-License-Identifier: BSD-3-Clause
// The machine: instruction sets, threads, Ctrl-C.
#include <pybind11/stl.h>

#include "bindings/arrays.hpp"
#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/processors.hpp"

namespace mlpkern::bindings {

namespace {

void look_for_signals() {
  const py::gil_scoped_acquire acquire;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void set_threads(std::int64_t count) {
  if (count < 1 || count > kMostThreads) {
    fail_value("set_num_threads: n must be from 1 to " + std::to_string(kMostThreads) + "; got " +
               std::to_string(count));
  }
  const py::gil_scoped_release release;
  set_num_threads(static_cast<int>(count));
}

}  // namespace

void bind_machine(py::module_& m) {
  poll_interrupt = look_for_signals;
  m.def("isas", [] {
    std::vector<std::string> names;
    for (const Isa& isa : isas()) {
      if (isa.supported) names.emplace_back(isa.name);
    }
    return names;
  });
  m.def("all_isas", [] {
    std::vector<std::string> names;
    for (const Isa& isa : isas()) names.emplace_back(isa.name);
    return names;
  });
  m.def("isa", [] { return std::string(active_isa().name); });
  m.def("set_isa", &set_active_isa, py::arg("name"));
  m.def("get_num_threads", &num_threads);
  m.def("set_num_threads", &set_threads, py::arg("n"));
  m.def("available_processors", &available_processors);
  m.def("compiler", [] {
    return std::string(
#if defined(__clang__)
        "Clang " __clang_version__
#else
      "GCC " __VERSION__
#endif
    );
  });
}

}  // namespace mlpkern::bindings
