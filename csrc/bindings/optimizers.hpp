// SPDX-License-Identifier: BSD-3-Clause
// An optimizer of one dtype, and the arrays that it works on.
#pragma once

#include <optional>
#include <tuple>

#include "bindings/specs.hpp"
#include "bindings/usage.hpp"
#include "network/optimizer.hpp"

namespace mlpkern::bindings {

class OptimizerObject {
  template <class F>
  auto for_either(const F& f) {
    return w_.itemsize() == 4 ? f(*float_) : f(*double_);
  }
  template <class F>
  auto for_either(const F& f) const {
    return w_.itemsize() == 4 ? f(*float_) : f(*double_);
  }

 public:
  // (the first of them, how many, their hyperparameters)
  using GroupTuple = std::tuple<Index, Index, std::vector<double>>;

  OptimizerObject(const std::string& name, const std::vector<GroupTuple>& groups, py::array w, py::array g,
                  const std::vector<py::object>& states, Usages usages)
      : w_(std::move(w)), g_(std::move(g)), usages_(std::move(usages)) {
    const Index index = find_row(metadata().optimizers, metadata().optimizer_count, name, "optimizer");
    for (const py::object& state : states) {
      states_.push_back(state.is_none() ? py::array() : state.cast<py::array>());
    }
    if (w_.itemsize() == 4) {
      float_ = make<float>(index);
    } else {
      double_ = make<double>(index);
    }
    set_groups(groups);
  }

  template <class T>
  void update(double factor = 1) {
    get<T>().update(static_cast<T*>(w_.mutable_data()), static_cast<T*>(g_.mutable_data()), w_.size(),
                    factor);
  }
  double multiply_adds() const {  // of an update, about
    return for_either([&](const auto& optimizer) { return optimizer.multiply_adds(w_.size()); });
  }

  // What a step reads is not changed while another thread's call takes one.
  void set_groups(const std::vector<GroupTuple>& groups) {
    const Use use(usages_, false, "optimizer");
    for_either([&](auto& optimizer) {
      optimizer.groups.clear();
      for (const auto& [first, count, parameters] : groups) {
        optimizer.groups.push_back({first, count, fixed(parameters)});
      }
    });
  }
  void set_clipping(double norm, double value) {
    const Use use(usages_, false, "optimizer");
    for_either([&](auto& optimizer) {
      optimizer.clipping.norm = norm;
      optimizer.clipping.value = value;
    });
  }
  double gradient_norm() const {
    return for_either([](const auto& optimizer) { return optimizer.clipping.found; });
  }
  std::int64_t steps() const {
    return for_either([](const auto& optimizer) { return optimizer.step; });
  }
  void set_steps(std::int64_t steps) {
    const Use use(usages_, false, "optimizer");
    for_either([=](auto& optimizer) { optimizer.step = steps; });
  }

 private:
  template <class T>
  Optimizer<T> make(Index index) {
    Optimizer<T> optimizer{index, {}, {}};
    for (std::size_t i = 0; i < states_.size(); ++i) {
      optimizer.states[i] = states_[i].size() == 0 ? nullptr : static_cast<T*>(states_[i].mutable_data());
    }
    return optimizer;
  }
  template <class T>
  Optimizer<T>& get() {
    if constexpr (sizeof(T) == 4) {
      return *float_;
    } else {
      return *double_;
    }
  }
  py::array w_, g_;
  std::vector<py::array> states_;
  Usages usages_;
  std::optional<Optimizer<float>> float_;
  std::optional<Optimizer<double>> double_;
};

}  // namespace mlpkern::bindings
