// SPDX-License-Identifier: BSD-3-Clause
// Names and parameters of the table's rows, which are the same for every ISA and dtype.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arrays.hpp"
#include "dispatch/registry.hpp"

namespace mlpkern::bindings {

using Parameters = std::array<double, kMaxParameters>;

inline const Kernels<float>& metadata() { return active_kernels<float>(); }

template <class Row>
Index find_row(const Row* rows, Index count, const std::string& name, const char* kind) {
  for (Index i = 0; i < count; ++i) {
    if (rows[i].name == name) return i;
  }
  fail_value(std::string("there is no ") + kind + " named '" + name + "'");
}

inline Parameters fixed(const std::vector<double>& values) {
  Parameters parameters{};
  for (std::size_t i = 0; i < values.size() && i < parameters.size(); ++i) parameters[i] = values[i];
  return parameters;
}

// [(name, [(parameter, default), …]), …]
using Spec = std::pair<std::string, std::vector<std::pair<std::string, double>>>;

template <class Row>
std::vector<Spec> specs(const Row* rows, Index count) {
  std::vector<Spec> all;
  for (Index i = 0; i < count; ++i) {
    Spec spec{rows[i].name, {}};
    for (const ParameterSpec& p : rows[i].parameters) {
      if (p.name == nullptr) break;
      spec.second.emplace_back(p.name, p.default_value);
    }
    all.push_back(std::move(spec));
  }
  return all;
}

}  // namespace mlpkern::bindings
