// SPDX-License-Identifier: BSD-3-Clause
// Networks: predict, forward, backward, steps and epochs.
#include <pybind11/stl.h>

#include <chrono>
#include <memory>

#include "bindings/losses.hpp"
#include "bindings/optimizers.hpp"
#include "bindings/usage.hpp"
#include "network/network.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

namespace {

// An operation as Python describes it: (kind, inputs, output, layer or activation's name, parameters).
using OperationTuple =
    std::tuple<std::string, std::vector<Index>, Index, Index, std::string, std::vector<double>>;
using LayerTuple = std::tuple<Index, Index, bool>;
// (w, b), b None without a bias.
using ArrayPair = std::pair<py::array, py::object>;

Program make_program(const std::vector<Index>& widths, const std::vector<OperationTuple>& operations,
                     const std::vector<LayerTuple>& layers) {
  Program program;
  program.widths = widths;
  for (const auto& [inputs, outputs, bias] : layers) program.layers.push_back({inputs, outputs, bias});
  for (const auto& [kind, inputs, output, layer, name, parameters] : operations) {
    Operation op{};
    op.inputs = inputs;
    op.output = output;
    op.layer = layer;
    if (kind == "linear") {
      op.kind = Operation::Kind::linear;
    } else if (kind == "activation") {
      op.kind = Operation::Kind::activation;
      op.activation = find_row(metadata().activations, metadata().activation_count, name, "activation");
    } else {
      op.kind = Operation::Kind::sum;
    }
    op.parameters = fixed(parameters);
    program.operations.push_back(std::move(op));
  }
  return program;
}

class NetworkObject {
 public:
  virtual ~NetworkObject() = default;
  virtual py::array predict(const py::object& x, const py::object& out) const = 0;
  virtual py::array forward(const py::object& x) = 0;
  virtual py::object backward(const py::object& dy, bool need_dx, bool before_last,
                              const std::vector<ArrayPair>& gradients) = 0;
  virtual double value(const LossObject& loss, const py::object& x, const py::object& y,
                       const py::object& weight) const = 0;
  virtual double value_and_gradient(const LossObject& loss, const py::object& x, const py::object& y,
                                    const py::object& weight, const std::vector<ArrayPair>& gradients) = 0;
  virtual double train(const std::string& who, const LossObject& loss, OptimizerObject& optimizer,
                       const py::object& x, const py::object& y, const py::object& weight,
                       const py::object& order, Index batch_size) = 0;
  virtual void step(OptimizerObject& optimizer) = 0;
  virtual void zero_grad() = 0;
  virtual bool keeps() const = 0;
  virtual py::array kept(Index value) const = 0;
};

template <class T>
class NetworkOf final : public NetworkObject {
 public:
  NetworkOf(Program program, const std::vector<ArrayPair>& parameters,
            const std::vector<ArrayPair>& gradients, Usages usages)
      : usages_(std::move(usages)), arrays_{parameters, gradients}, gradients_(pointers(gradients)),
        network_(std::move(program), pointers(parameters)) {
    usages_.push_back(std::make_shared<Usage>());
  }

  py::array predict(const py::object& x_, const py::object& out) const override {
    const std::string who = "predict";
    const Argument x = read_input(who, x_);
    const Shape shape = shape_of(x.array);
    const Shape y_shape = with_last(shape, program().output_width());
    if (!out.is_none()) check_apart_from_arrays(who, out, y_shape);
    auto y = output<T>(who, out, y_shape, {&x});
    const auto xc = contiguous<T>(x.array);
    const T* in = xc.data();
    T* data = y.mutable_data();
    const Index n = rows_before_last(shape);
    const Use use(usages_, false, who);
    compute([&] { network_.predict(in, n, data); });
    return y;
  }

  py::array forward(const py::object& x_) override {
    const std::string who = "forward";
    const Argument x = read_input(who, x_);
    const auto xc = contiguous<T>(x.array);
    Shape shape = shape_of(x.array);
    py::array_t<T> y(with_last(shape, program().output_width()));
    const T* in = xc.data();
    T* data = y.mutable_data();
    const Index n = rows_before_last(shape);
    const Use use(usages_, true, who);
    kept_shape_.clear();
    compute([&] { network_.forward(in, n, data); });
    kept_shape_ = shape;
    return y;
  }

  // dy belongs to the output, or (before_last) to the input of the last operation.
  py::object backward(const py::object& dy_, bool need_dx, bool before_last,
                      const std::vector<ArrayPair>& gradients) override {
    const std::string who = "backward";
    const Argument dy = argument(who, "dy", dy_);
    check_dtype(who, dy);
    const Use use(usages_, true, who);
    if (kept_shape_.empty()) {
      throw std::runtime_error(
          "backward: the network must have been called first: net(x) keeps what "
          "backward needs");
    }
    const Shape shape = with_last(kept_shape_, program().output_width());
    if (shape_of(dy.array) != shape) {
      fail_value("backward: dy must have the shape of the network's last output; got " +
                 text(shape_of(dy.array)) + ", not " + text(shape));
    }
    const auto dyc = contiguous<T>(dy.array);
    py::array_t<T> dx(need_dx ? kept_shape_ : Shape{0});
    const T* in = dyc.data();
    T* data = need_dx ? dx.mutable_data() : nullptr;
    const auto target = gradients.empty() ? gradients_ : pointers(gradients);
    const std::size_t operations = program().operations.size() - (before_last ? 1 : 0);
    compute([&] { network_.backward(in, operations, data, target); });
    return need_dx ? py::object(dx) : py::object(py::none());
  }

  double value(const LossObject& loss, const py::object& x, const py::object& y,
               const py::object& weight) const override {
    const Samples samples = read_samples("value", loss, x, y, weight);
    const Use use(usages_, false, "value");
    return compute([&] {
      return network_.value(samples.x.data(), samples.targets.targets(), samples.targets.n, loss.loss());
    });
  }

  double value_and_gradient(const LossObject& loss, const py::object& x, const py::object& y,
                            const py::object& weight, const std::vector<ArrayPair>& gradients) override {
    const Samples samples = read_samples("value_and_gradient", loss, x, y, weight);
    const auto target = pointers(gradients);
    const Use use(usages_, true, "value_and_gradient");
    kept_shape_.clear();
    const Batch<T> batch = {samples.x.data(), samples.targets.targets(), samples.targets.n, nullptr};
    return compute([&] { return network_.value_and_gradient(batch, loss.loss(), target); });
  }

  // One step on all samples (order None), or steps on batch_size samples at a time in the given order.
  double train(const std::string& who, const LossObject& loss, OptimizerObject& optimizer,
               const py::object& x, const py::object& y, const py::object& weight, const py::object& order_,
               Index batch_size) override {
    const Samples samples = read_samples(who, loss, x, y, weight);
    const Index n = samples.targets.n;
    const auto order =
        order_.is_none() ? py::array_t<std::int64_t>(0) : contiguous<std::int64_t>(order_.cast<py::array>());
    const std::int64_t* indices = order_.is_none() ? nullptr : order.data();
    const Index size = batch_size == 0 ? std::max<Index>(n, 1) : batch_size;
    const T* x_data = samples.x.data();
    const Use use(usages_, true, who);
    kept_shape_.clear();
    return compute([&] {
      double total = 0;
      Index rows = 0;
      auto polled = std::chrono::steady_clock::now();
      for (Index first = 0; first < std::max<Index>(n, 1); first += size) {
        const Index count = std::min(size, n - first);
        if (weights_nothing(loss, samples.targets, indices, first, count)) continue;
        Batch<T> batch = {x_data, samples.targets.targets(), count, nullptr};
        if (indices != nullptr) {
          batch.order = indices + first;
        } else {
          batch.x = x_data + first * program().input_width();
          batch.targets = targets_from(batch.targets, first, program().output_width());
        }
        clear_gradients();
        const double cost = network_.value_and_gradient(batch, loss.loss(), gradients_);
        optimizer.template update<T>();
        if (count == n) return cost;  // cost n / n may differ from cost in the last place
        rows += count;
        total += loss.loss().reduction == Reduction::mean ? cost * static_cast<double>(count) : cost;
        const auto now = std::chrono::steady_clock::now();
        if (now - polled > std::chrono::milliseconds(50)) {
          poll_interrupt();
          polled = now;
        }
      }
      return loss.loss().reduction == Reduction::mean && rows > 0 ? total / static_cast<double>(rows) : total;
    });
  }

  void step(OptimizerObject& optimizer) override {
    const Use use(usages_, true, "step");
    compute([&] { optimizer.template update<T>(); });
  }

  void zero_grad() override {
    const Use use(usages_, true, "zero_grad");
    clear_gradients();
  }

  bool keeps() const override { return !kept_shape_.empty(); }

  py::array kept(Index value) const override {
    const Use use(usages_, false, "kept");
    if (!keeps()) throw std::runtime_error("kept: the network must have been called first");
    py::array_t<T> copy(with_last(kept_shape_, program().widths[static_cast<std::size_t>(value)]));
    std::copy_n(network_.kept(value), copy.size(), copy.mutable_data());
    return copy;
  }

 private:
  using Arrays = typename Network<T>::Arrays;
  struct Samples {
    py::array_t<T> x;
    LossArguments<T> targets;
  };

  const Program& program() const { return network_.program(); }

  static Arrays pointers(const std::vector<ArrayPair>& arrays) {
    Arrays result;
    for (const ArrayPair& pair : arrays) {
      py::array w = pair.first;
      py::array b = pair.second.is_none() ? py::array() : py::array(pair.second);
      result.push_back({static_cast<T*>(w.mutable_data()),
                        pair.second.is_none() ? nullptr : static_cast<T*>(b.mutable_data())});
    }
    return result;
  }

  // Whether the batch has no mean, since all its weights are 0: then there is no step.
  static bool weights_nothing(const LossObject& loss, const LossArguments<T>& targets,
                              const std::int64_t* order, Index first, Index count) {
    const double* weight = targets.targets().weight;
    if (weight == nullptr || loss.loss().reduction != Reduction::mean) return false;
    for (Index i = first; i < first + count; ++i) {
      if (weight[order == nullptr ? i : order[i]] != 0) return false;
    }
    return true;
  }

  void clear_gradients() {
    for (std::size_t i = 0; i < gradients_.size(); ++i) {
      const Layer& layer = program().layers[i];
      std::fill_n(gradients_[i].w, layer.inputs * layer.outputs, T(0));
      if (layer.bias) std::fill_n(gradients_[i].b, layer.outputs, T(0));
    }
  }

  void check_dtype(const std::string& who, const Argument& a) const {
    const Dtype mine = sizeof(T) == 4 ? Dtype::float32 : Dtype::float64;
    if (common_dtype(who, {&a}) == mine) return;
    const std::string name = sizeof(T) == 4 ? "float32" : "float64";
    fail_type(who + ": " + a.name + " must be " + name + ", as the network is; got " + dtype_name(a.array) +
              "; convert with .astype(np." + name + ")");
  }

  // out must not be where the network's own numbers lie.
  void check_apart_from_arrays(const std::string& who, const py::object& out, const Shape& shape) const {
    for (const auto* pairs : {&arrays_.first, &arrays_.second}) {
      for (const ArrayPair& pair : *pairs) {
        const Argument w = {"the network's parameters or gradients", pair.first};
        output<T>(who, out, shape, {&w});
        if (pair.second.is_none()) continue;
        const Argument b = {w.name, py::array(pair.second)};
        output<T>(who, out, shape, {&b});
      }
    }
  }

  Argument read_input(const std::string& who, const py::object& value) const {
    Argument x = argument(who, "x", value);
    check_dtype(who, x);
    const py::ssize_t D = program().input_width();
    if (x.array.ndim() < 1 || x.array.shape(x.array.ndim() - 1) != D) {
      fail_value(who + ": x must be (..., D) or (D,) with D = " + std::to_string(D) +
                 ", the network's inputs; got " + text(shape_of(x.array)));
    }
    return x;
  }

  Samples read_samples(const std::string& who, const LossObject& loss, const py::object& x_,
                       const py::object& y, const py::object& weight) const {
    Samples samples;
    const Argument x = read_input(who, x_);
    loss.read_targets(who, with_last(shape_of(x.array), program().output_width()), y, weight,
                      samples.targets);
    loss.check_mean(who, samples.targets);
    samples.x = contiguous<T>(x.array);
    return samples;
  }

  Usages usages_;
  std::pair<std::vector<ArrayPair>, std::vector<ArrayPair>> arrays_;  // kept alive
  Arrays gradients_;
  Network<T> network_;
  Shape kept_shape_;  // of the x that forward kept; empty for none
};

std::unique_ptr<NetworkObject> make_network(const std::string& dtype, const std::vector<Index>& widths,
                                            const std::vector<OperationTuple>& operations,
                                            const std::vector<LayerTuple>& layers,
                                            const std::vector<ArrayPair>& parameters,
                                            const std::vector<ArrayPair>& gradients, const Usages& usages) {
  Program program = make_program(widths, operations, layers);
  if (dtype == "float32") {
    return std::make_unique<NetworkOf<float>>(std::move(program), parameters, gradients, usages);
  }
  return std::make_unique<NetworkOf<double>>(std::move(program), parameters, gradients, usages);
}

}  // namespace

void bind_networks(py::module_& m) {
  py::class_<Usage, std::shared_ptr<Usage>>(m, "Usage").def(py::init<>());

  py::class_<NetworkObject>(m, "Network")
      .def(py::init(&make_network), py::arg("dtype"), py::arg("widths"), py::arg("operations"),
           py::arg("layers"), py::arg("parameters"), py::arg("gradients"), py::arg("usages"))
      .def("predict", &NetworkObject::predict, py::arg("x"), py::arg("out"))
      .def("forward", &NetworkObject::forward, py::arg("x"))
      .def("backward", &NetworkObject::backward, py::arg("dy"), py::arg("need_dx"), py::arg("before_last"),
           py::arg("gradients"))
      .def("value", &NetworkObject::value, py::arg("loss"), py::arg("x"), py::arg("y"),
           py::arg("sample_weight"))
      .def("value_and_gradient", &NetworkObject::value_and_gradient, py::arg("loss"), py::arg("x"),
           py::arg("y"), py::arg("sample_weight"), py::arg("gradients"))
      .def("train", &NetworkObject::train, py::arg("who"), py::arg("loss"), py::arg("optimizer"),
           py::arg("x"), py::arg("y"), py::arg("sample_weight"), py::arg("order"), py::arg("batch_size"))
      .def("step", &NetworkObject::step, py::arg("optimizer"))
      .def("zero_grad", &NetworkObject::zero_grad)
      .def_property_readonly("keeps", &NetworkObject::keeps)
      .def("kept", &NetworkObject::kept, py::arg("value"));
}

}  // namespace mlpkern::bindings
