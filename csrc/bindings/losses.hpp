// SPDX-License-Identifier: BSD-3-Clause
// A loss with its parameters, and the arguments that every use of a loss checks.
#pragma once

#include "bindings/specs.hpp"
#include "network/objective.hpp"

namespace mlpkern::bindings {

// Predictions (n, K) or (K,), with targets and weights, checked and contiguous.
template <class T>
struct LossArguments {
  Numbers<T> y_pred;  // empty where only the targets were asked for
  Numbers<T> y;       // or
  Numbers<std::int64_t> labels;
  Numbers<double> weight;  // empty without weights
  Index n = 0, K = 0;

  Targets<T> targets() const { return {y.data, labels.data, weight.data}; }
};

class LossObject {
 public:
  LossObject(const std::string& shown_name, const std::string& name, const std::vector<double>& parameters,
             const std::string& reduction);

  double value(const py::object& y_pred, const py::object& y, const py::object& weight) const;
  py::array gradient(const py::object& y_pred, const py::object& y, const py::object& weight) const;
  py::tuple value_and_gradient(const py::object& y_pred, const py::object& y, const py::object& weight) const;
  py::array per_sample(const py::object& y_pred, const py::object& y) const;
  py::array hvp(const py::object& y_pred, const py::object& y, const py::object& v,
                const py::object& weight) const;

  const Loss& loss() const { return loss_; }

  // Targets for predictions of shape `leading` + (K,), in messages after `who`.
  template <class T>
  void read_targets(Who who, const Shape& predictions, const py::object& y, const py::object& weight,
                    LossArguments<T>& into) const;

  // Raises where the mean over these samples does not exist.
  template <class T>
  void check_mean(Who who, const LossArguments<T>& arguments) const;

 private:
  template <class T>
  LossArguments<T> read(const Argument& y_pred, const py::object& y, const py::object& weight) const;
  template <class F>
  auto with_arguments(const py::object& y_pred, const py::object& y, const py::object& weight,
                      const F& f) const;
  // kernel(first, count, targets): rows [first, first + count), in blocks, to the threads.
  template <class T, class Kernel>
  void by_blocks(const LossArguments<T>& arguments, const Kernel& kernel) const;
  template <class T>
  void evaluate(const LossArguments<T>& arguments, const double* factor, double* cost, T* gradient) const;
  // The cost, unless it is not asked for, and into `gradient`, unless it is null, its gradient.
  template <class T>
  double reduce(const LossArguments<T>& arguments, bool with_cost, T* gradient) const;

  std::string shown_name_;
  Loss loss_;
};

}  // namespace mlpkern::bindings
