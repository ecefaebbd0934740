// SPDX-License-Identifier: BSD-3-Clause
// The machine: instruction sets, threads, Ctrl-C, and its limits.
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>

#include "base/aligned.hpp"
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

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best flops a second of all threads together, within `seconds`.
template <class T>
double probe_fma(double seconds) {
  const py::gil_scoped_release release;
  const auto& kernels = active_kernels<T>();
  constexpr Index kCount = 500000;  // some 2 ms
  const int workers = num_threads();
  const auto begin = std::chrono::steady_clock::now();
  double best = 0;
  do {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(4 * workers, workers, [&](Index, int) {
      volatile T sum = kernels.fma_probe(kCount, T(0.5), T(1));
      static_cast<void>(sum);
    });
    const double flops = 4.0 * workers * kCount * static_cast<double>(kernels.fma_probe_flops);
    best = std::max(best, flops / seconds_since(start));
  } while (seconds_since(begin) < seconds);
  return best;
}

// The best bytes a second, read and written, of y += factor x on arrays of so many bytes.
double probe_bandwidth(Index bytes, double seconds) {
  const py::gil_scoped_release release;
  const auto& kernels = active_kernels<float>();
  constexpr Index kBlock = 1 << 18;  // floats
  const Index blocks = std::max<Index>(bytes / 4 / kBlock, 1);
  AlignedBuffer<float> x(blocks * kBlock), y(blocks * kBlock);
  std::fill_n(x.data(), blocks * kBlock, 1.0F);
  std::fill_n(y.data(), blocks * kBlock, 1.0F);
  const auto begin = std::chrono::steady_clock::now();
  double best = 0;
  do {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(blocks, num_threads(), [&](Index block, int) {
      kernels.bandwidth_probe(y.data() + block * kBlock, x.data() + block * kBlock, 1e-9F, kBlock);
    });
    best = std::max(best, 3.0 * sizeof(float) * static_cast<double>(blocks * kBlock) / seconds_since(start));
  } while (seconds_since(begin) < seconds);
  return best;
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
  m.def(
      "probe_fma",
      [](bool single, double seconds) {
        return single ? probe_fma<float>(seconds) : probe_fma<double>(seconds);
      },
      py::arg("single"), py::arg("seconds"));
  m.def("probe_bandwidth", &probe_bandwidth, py::arg("bytes"), py::arg("seconds"));
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
