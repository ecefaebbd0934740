// SPDX-License-Identifier: BSD-3-Clause
// A network as Python holds it: its arguments are checked here, the work is Network<T>'s.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/losses.hpp"
#include "bindings/optimizers.hpp"
#include "bindings/usage.hpp"
#include "network/network.hpp"

namespace mlpkern::bindings {

// (w, b), b None without a bias.
using ArrayPair = std::pair<py::array, py::object>;
using ArrayPairs = std::vector<ArrayPair>;

// Within an epoch: the first row that is still to come, the costs so far, and the rows that they count.
using EpochPosition = std::tuple<Index, double, Index>;

// What a pass of derivatives keeps for the way back.
struct JetsObject {
  virtual ~JetsObject() = default;
};

// A network at given samples.
class LinearizedObject {
 public:
  virtual ~LinearizedObject() = default;
  virtual py::array product(const py::object& vector, bool forward) const = 0;
};

class NetworkObject {
 public:
  virtual ~NetworkObject() = default;
  // networks.cpp
  virtual py::array predict(const py::object& x, const py::object& out) const = 0;
  virtual void freeze() = 0;
  virtual py::array forward(const py::object& x) = 0;
  virtual py::object backward(const py::object& dy, bool need_dx, bool before_last,
                              const ArrayPairs& gradients) = 0;
  virtual void zero_grad() = 0;
  virtual bool keeps() const = 0;
  virtual py::array kept(Index value) const = 0;
  // training.cpp
  virtual double value(const LossObject& loss, const py::object& x, const py::object& y,
                       const py::object& weight) const = 0;
  virtual py::tuple value_and_gradient(const LossObject& loss, const py::object& x, const py::object& y,
                                       const py::object& weight) = 0;
  virtual void step(OptimizerObject& optimizer, double factor) = 0;
  virtual double train_step(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                            const py::object& y, const py::object& weight) = 0;
  virtual py::tuple train_epoch(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                                const py::object& y, const py::object& weight, const py::object& order,
                                Index batch_size, const py::object& factors, EpochPosition position,
                                Index steps, bool stop) = 0;
  EpochPosition epoch{0, 0.0, 0};  // where train_epoch stands: after its last whole step, also if it threw
  // derivatives.cpp
  virtual py::array jacobian(const py::object& x, const py::object& out) const = 0;
  virtual py::array parameter_jacobian(const py::object& x, const py::object& out) const = 0;
  virtual py::tuple jacobian_product(const py::object& x, const py::object& vector, bool forward) const = 0;
  virtual py::array sample_gradients(const LossObject& loss, const py::object& x, const py::object& y,
                                     bool norms, const py::object& out) const = 0;
  virtual py::array second_derivatives(const std::string& who, const py::object& x) const = 0;
  virtual py::array hessian_product(const std::string& who, const LossObject& loss, const py::object& x,
                                    const py::object& y, const py::object& v,
                                    const py::object& weight) const = 0;
  virtual py::array hessian(const LossObject& loss, const py::object& x, const py::object& y,
                            const py::object& weight) const = 0;
  virtual py::tuple linearize(const py::object& x) const = 0;
  virtual py::tuple jets(const py::object& x, Index order, const py::object& directions) const = 0;
  virtual void pull_jets(const JetsObject& jets, const py::object& du, const py::object& du_x,
                         const py::object& du_xx) = 0;
};

// Says that a vector for jvp (forward) must have the shape of x, one for vjp that of y.
[[noreturn]] void fail_shape(Who who, bool forward, const Shape& got, const Shape& asked);

// Raises unless the array is of T: the network is.
template <class T>
void check_network_dtype(Who who, const Argument& a);

template <class T>
class NetworkOf final : public NetworkObject {
 public:
  NetworkOf(Program program, const ArrayPairs& parameters, const ArrayPairs& gradients, Usages usages);

  py::array predict(const py::object& x, const py::object& out) const override;
  void freeze() override { network_.pack_weights(); }
  py::array forward(const py::object& x) override;
  py::object backward(const py::object& dy, bool need_dx, bool before_last,
                      const ArrayPairs& gradients) override;
  void zero_grad() override;
  bool keeps() const override { return !kept_shape_.empty(); }
  py::array kept(Index value) const override;
  double value(const LossObject& loss, const py::object& x, const py::object& y,
               const py::object& weight) const override;
  py::tuple value_and_gradient(const LossObject& loss, const py::object& x, const py::object& y,
                               const py::object& weight) override;
  void step(OptimizerObject& optimizer, double factor) override;
  double train_step(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                    const py::object& y, const py::object& weight) override;
  py::tuple train_epoch(const LossObject& loss, OptimizerObject& optimizer, const py::object& x,
                        const py::object& y, const py::object& weight, const py::object& order,
                        Index batch_size, const py::object& factors, EpochPosition position, Index steps,
                        bool stop) override;
  py::array jacobian(const py::object& x, const py::object& out) const override;
  py::array parameter_jacobian(const py::object& x, const py::object& out) const override;
  py::tuple jacobian_product(const py::object& x, const py::object& vector, bool forward) const override;
  py::array sample_gradients(const LossObject& loss, const py::object& x, const py::object& y, bool norms,
                             const py::object& out) const override;
  py::array second_derivatives(const std::string& who, const py::object& x) const override;
  py::array hessian_product(const std::string& who, const LossObject& loss, const py::object& x,
                            const py::object& y, const py::object& v,
                            const py::object& weight) const override;
  py::array hessian(const LossObject& loss, const py::object& x, const py::object& y,
                    const py::object& weight) const override;
  py::tuple linearize(const py::object& x) const override;
  py::tuple jets(const py::object& x, Index order, const py::object& directions) const override;
  void pull_jets(const JetsObject& jets, const py::object& du, const py::object& du_x,
                 const py::object& du_xx) override;

 private:
  struct Samples {
    Numbers<T> x;
    LossArguments<T> targets;
  };

  static Arrays<T> pointers(const ArrayPairs& arrays);

  const Program& program() const { return network_.program(); }
  // Of one forward pass; backward takes twice as long.
  double multiply_adds(Index n) const { return work_a_row_ * static_cast<double>(n); }

  // work(x, n, result) into a new array (…, rows, cols); of so many forward passes.
  template <class Work>
  py::array by_sample(Who who, const py::object& x, const py::object& out, Index rows, Index cols,
                      double passes, const Work& work) const;
  void check_apart_from_arrays(Who who, const py::object& out, const Shape& shape) const;
  Argument read_input(Who who, const py::object& value) const;
  // reduced: to a cost of the batch, which a mean over nothing has not.
  Samples read_samples(Who who, const LossObject& loss, const py::object& x, const py::object& y,
                       const py::object& weight, bool reduced = true) const;

  Usages usages_;
  std::pair<ArrayPairs, ArrayPairs> arrays_;  // parameters and gradients, kept alive
  std::vector<Extent> extents_;               // where they lie
  Arrays<T> gradients_;
  Network<T> network_;
  double work_a_row_;
  Shape kept_shape_;  // of the x that forward kept; empty for none
};

}  // namespace mlpkern::bindings
