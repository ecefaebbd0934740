// SPDX-License-Identifier: BSD-3-Clause
// An optimizer of one dtype, and the arrays that it works on.
#pragma once

#include <optional>

#include "bindings/specs.hpp"
#include "network/optimizer.hpp"

namespace mlpkern::bindings {

class OptimizerObject {
 public:
  OptimizerObject(const std::string& name, std::vector<double> parameters, py::array w, py::array g,
                  const std::vector<py::object>& states)
      : w_(std::move(w)), g_(std::move(g)) {
    const Index index = find_row(metadata().optimizers, metadata().optimizer_count, name, "optimizer");
    for (const py::object& state : states) {
      states_.push_back(state.is_none() ? py::array() : state.cast<py::array>());
    }
    if (w_.itemsize() == 4) {
      float_ = make<float>(index, parameters);
    } else {
      double_ = make<double>(index, parameters);
    }
  }

  template <class T>
  void update(double factor = 1) {
    get<T>().update(static_cast<T*>(w_.mutable_data()), static_cast<const T*>(g_.data()), w_.size(), factor);
  }
  double multiply_adds() const {  // of an update, about
    return w_.itemsize() == 4 ? float_->multiply_adds(w_.size()) : double_->multiply_adds(w_.size());
  }

  void set_parameters(const std::vector<double>& parameters) {
    (w_.itemsize() == 4 ? float_->parameters : double_->parameters) = fixed(parameters);
  }
  std::int64_t steps() const { return w_.itemsize() == 4 ? float_->step : double_->step; }
  void set_steps(std::int64_t steps) { (w_.itemsize() == 4 ? float_->step : double_->step) = steps; }

 private:
  template <class T>
  Optimizer<T> make(Index index, const std::vector<double>& parameters) {
    Optimizer<T> optimizer{index, fixed(parameters), {}};
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
  std::optional<Optimizer<float>> float_;
  std::optional<Optimizer<double>> double_;
};

}  // namespace mlpkern::bindings
