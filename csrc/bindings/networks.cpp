// SPDX-License-Identifier: BSD-3-Clause
// Networks: how they are made, and their passes.
#include "bindings/networks.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <iterator>
#include <memory>

namespace mlpkern::bindings {

namespace {

// An operation as Python describes it: (kind, inputs, output, layer or dropout, activation's name,
// parameters).
using OperationTuple =
    std::tuple<std::string, std::vector<Index>, Index, Index, std::string, std::vector<double>>;
using LayerTuple = std::tuple<Index, Index, bool>;
using Dropouts = std::vector<std::shared_ptr<Dropout>>;

Program make_program(const std::vector<Index>& widths, const std::vector<OperationTuple>& operations,
                     const std::vector<LayerTuple>& layers, const Dropouts& dropouts) {
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
    } else if (kind == "dropout") {
      op.kind = Operation::Kind::dropout;
      op.dropout = dropouts.at(at(layer));
    } else if (kind == "standardize") {  // the means, then the scales
      op.kind = Operation::Kind::standardize;
      const auto middle = parameters.begin() + static_cast<Index>(parameters.size() / 2);
      op.mean.assign(parameters.begin(), middle);
      const DefaultFloatEnvironment environment;
      std::transform(middle, parameters.end(), std::back_inserter(op.factor), [](double s) { return 1 / s; });
    } else {
      op.kind = Operation::Kind::sum;
    }
    op.parameters = fixed(parameters);
    program.operations.push_back(std::move(op));
  }
  return program;
}

// Where arrays lie; neighbours make one extent, as the layers of a flat array do.
std::vector<Extent> extents_of(const std::pair<ArrayPairs, ArrayPairs>& arrays) {
  std::vector<Extent> all, merged;
  for (const ArrayPairs* pairs : {&arrays.first, &arrays.second}) {
    for (const auto& [w, b] : *pairs) {
      all.push_back(extent(w));
      if (!b.is_none()) all.push_back(extent(py::array(b)));
    }
  }
  std::sort(all.begin(), all.end(), [](const Extent& a, const Extent& b) { return a.first < b.first; });
  for (const Extent& e : all) {
    if (!merged.empty() && e.first <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, e.end);
    } else {
      merged.push_back(e);
    }
  }
  return merged;
}

}  // namespace

template <class T>
NetworkOf<T>::NetworkOf(Program program, const ArrayPairs& parameters, const ArrayPairs& gradients,
                        Usages usages)
    : usages_(std::move(usages)), arrays_{parameters, gradients}, extents_(extents_of(arrays_)),
      gradients_(pointers(gradients)), network_(std::move(program), pointers(parameters)),
      work_a_row_(network_.program().work_a_row()) {
  usages_.push_back(std::make_shared<Usage>());
}

template <class T>
Arrays<T> NetworkOf<T>::pointers(const ArrayPairs& arrays) {
  Arrays<T> result;
  for (const auto& [w, b] : arrays) {
    result.push_back({writable<T>(w), b.is_none() ? nullptr : writable<T>(py::array(b))});
  }
  return result;
}

template <class T>
void check_network_dtype(Who who, const Argument& a) {
  const Dtype mine = sizeof(T) == 4 ? Dtype::float32 : Dtype::float64;
  if (is_plain<T>(a.array) || common_dtype(who, {&a}) == mine) return;
  const std::string name = sizeof(T) == 4 ? "float32" : "float64";
  fail_type(who + ": " + a.name + " must be " + name + ", as the network is; got " + dtype_name(a.array) +
            "; convert with .astype(np." + name + ")");
}
template void check_network_dtype<float>(Who, const Argument&);
template void check_network_dtype<double>(Who, const Argument&);

// out must not be where the network's own numbers lie.
template <class T>
void NetworkOf<T>::check_apart_from_arrays(Who who, const py::object& out, const Shape& shape) const {
  if (!py::isinstance<py::array>(out)) return;  // which is refused later
  const Extent here = extent(py::reinterpret_borrow<py::array>(out));
  if (std::none_of(extents_.begin(), extents_.end(), [&](const Extent& e) { return here.meets(e); })) return;
  for (const ArrayPairs* pairs : {&arrays_.first, &arrays_.second}) {
    for (const ArrayPair& pair : *pairs) {
      const Argument w = {"the network's parameters or gradients", pair.first};
      output<T>(who, out, shape, {&w});
      if (pair.second.is_none()) continue;
      const Argument b = {w.name, py::array(pair.second)};
      output<T>(who, out, shape, {&b});
    }
  }
}

template <class T>
Argument NetworkOf<T>::read_input(Who who, const py::object& value) const {
  Argument x = argument(who, "x", value);
  check_network_dtype<T>(who, x);
  const py::ssize_t D = program().input_width();
  if (x.array.ndim() < 1 || x.array.shape(x.array.ndim() - 1) != D) {
    fail_value(who + ": x must be (..., D) or (D,) with D = " + std::to_string(D) +
               ", the network's inputs; got " + text(shape_of(x.array)));
  }
  return x;
}

template <class T>
py::array NetworkOf<T>::predict(const py::object& x_, const py::object& out) const {
  const Who who = "predict";
  const Argument x = read_input(who, x_);
  const Shape shape = shape_of(x.array);
  const Shape y_shape = with_last(shape, program().output_width());
  if (!out.is_none()) check_apart_from_arrays(who, out, y_shape);
  auto y = output<T>(who, out, y_shape, {&x});
  const auto xc = contiguous<T>(x.array);
  T* data = writable<T>(y);
  const Index n = rows_before_last(shape);
  const Use use(usages_, false, who);
  compute(multiply_adds(n), [&] { network_.predict(xc.data, n, data); });
  return y;
}

template <class T>
py::array NetworkOf<T>::forward(const py::object& x_) {
  const Who who = "forward";
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  const Shape shape = shape_of(x.array);
  auto y = new_array<T>(with_last(shape, program().output_width()));
  T* data = writable<T>(y);
  const Index n = rows_before_last(shape);
  const Use use(usages_, true, who);
  kept_shape_.clear();
  compute(multiply_adds(n), [&] { network_.forward(xc.data, n, data); });
  kept_shape_ = shape;
  return y;
}

// dy belongs to the output, or (before_last) to the input of the last operation.
template <class T>
py::object NetworkOf<T>::backward(const py::object& dy_, bool need_dx, bool before_last,
                                  const ArrayPairs& gradients) {
  const Who who = "backward";
  const Argument dy = argument(who, "dy", dy_);
  check_network_dtype<T>(who, dy);
  const Use use(usages_, true, who);
  if (kept_shape_.empty()) {
    throw std::runtime_error(
        "backward: the network must have been called first: net(x) keeps what "
        "backward needs");
  }
  const Shape shape = with_last(kept_shape_, program().output_width());
  if (!has_shape(dy.array, shape)) {
    fail_value("backward: dy must have the shape of the network's last output; got " +
               text(shape_of(dy.array)) + ", not " + text(shape));
  }
  const auto dyc = contiguous<T>(dy.array);
  py::object dx = need_dx ? py::object(new_array<T>(kept_shape_)) : py::object(py::none());
  T* data = need_dx ? writable<T>(py::reinterpret_borrow<py::array>(dx)) : nullptr;
  const Arrays<T> others = pointers(gradients);
  const std::size_t operations = program().operations.size() - (before_last ? 1 : 0);
  compute(2 * multiply_adds(network_.kept_rows()),
          [&] { network_.backward(dyc.data, operations, data, others.empty() ? gradients_ : others); });
  return dx;
}

template <class T>
void NetworkOf<T>::zero_grad() {
  const Use use(usages_, true, "zero_grad");
  network_.clear(gradients_);
}

template <class T>
py::array NetworkOf<T>::kept(Index value) const {
  const Use use(usages_, false, "kept");
  if (!keeps()) throw std::runtime_error("kept: the network must have been called first");
  auto copy = new_array<T>(with_last(kept_shape_, program().widths[at(value)]));
  network_.copy_kept(value, writable<T>(copy));
  return copy;
}

template class NetworkOf<float>;
template class NetworkOf<double>;

namespace {

std::unique_ptr<NetworkObject> make_network(const std::string& dtype, const std::vector<Index>& widths,
                                            const std::vector<OperationTuple>& operations,
                                            const std::vector<LayerTuple>& layers,
                                            const ArrayPairs& parameters, const ArrayPairs& gradients,
                                            const Usages& usages, const Dropouts& dropouts) {
  Program program = make_program(widths, operations, layers, dropouts);
  if (dtype == "float32") {
    return std::make_unique<NetworkOf<float>>(std::move(program), parameters, gradients, usages);
  }
  return std::make_unique<NetworkOf<double>>(std::move(program), parameters, gradients, usages);
}

}  // namespace

void bind_networks(py::module_& m) {
  py::class_<Usage, std::shared_ptr<Usage>>(m, "Usage").def(py::init<>());
  py::class_<Dropout, std::shared_ptr<Dropout>>(m, "Dropout")
      .def(py::init([](double p, std::uint64_t seed) {
             return std::make_shared<Dropout>(Dropout{p, seed});
           }),
           py::arg("p"), py::arg("seed"))
      .def_readwrite("passes", &Dropout::passes);

  py::class_<NetworkObject>(m, "Network")
      .def(py::init(&make_network), py::arg("dtype"), py::arg("widths"), py::arg("operations"),
           py::arg("layers"), py::arg("parameters"), py::arg("gradients"), py::arg("usages"),
           py::arg("dropouts"))
      .def("predict", &NetworkObject::predict, py::arg("x"), py::arg("out"))
      .def("freeze", &NetworkObject::freeze)
      .def("forward", &NetworkObject::forward, py::arg("x"))
      .def("backward", &NetworkObject::backward, py::arg("dy"), py::arg("need_dx"), py::arg("before_last"),
           py::arg("gradients"))
      .def("zero_grad", &NetworkObject::zero_grad)
      .def_property_readonly("keeps", &NetworkObject::keeps)
      .def("kept", &NetworkObject::kept, py::arg("value"))
      .def("value", &NetworkObject::value, py::arg("loss"), py::arg("x"), py::arg("y"),
           py::arg("sample_weight"))
      .def("value_and_gradient", &NetworkObject::value_and_gradient, py::arg("loss"), py::arg("x"),
           py::arg("y"), py::arg("sample_weight"))
      .def("jacobian", &NetworkObject::jacobian, py::arg("x"), py::arg("out"))
      .def("parameter_jacobian", &NetworkObject::parameter_jacobian, py::arg("x"), py::arg("out"))
      .def("jacobian_product", &NetworkObject::jacobian_product, py::arg("x"), py::arg("vector"),
           py::arg("forward"))
      .def("sample_gradients", &NetworkObject::sample_gradients, py::arg("loss"), py::arg("x"), py::arg("y"),
           py::arg("norms"), py::arg("out"))
      .def("second_derivatives", &NetworkObject::second_derivatives, py::arg("who"), py::arg("x"))
      .def("linearize", &NetworkObject::linearize, py::arg("x"))
      .def("jets", &NetworkObject::jets, py::arg("x"), py::arg("order"), py::arg("directions"))
      .def("pull_jets", &NetworkObject::pull_jets, py::arg("jets"), py::arg("du"), py::arg("du_x"),
           py::arg("du_xx"))
      .def("hessian_product", &NetworkObject::hessian_product, py::arg("who"), py::arg("loss"), py::arg("x"),
           py::arg("y"), py::arg("v"), py::arg("sample_weight"))
      .def("hessian", &NetworkObject::hessian, py::arg("loss"), py::arg("x"), py::arg("y"),
           py::arg("sample_weight"))
      .def("step", &NetworkObject::step, py::arg("optimizer"), py::arg("factor") = 1.0)
      .def("train_step", &NetworkObject::train_step, py::arg("loss"), py::arg("optimizer"), py::arg("x"),
           py::arg("y"), py::arg("sample_weight"))
      .def("train_epoch", &NetworkObject::train_epoch, py::arg("loss"), py::arg("optimizer"), py::arg("x"),
           py::arg("y"), py::arg("sample_weight"), py::arg("order"), py::arg("batch_size"),
           py::arg("factors"), py::arg("position"), py::arg("steps"), py::arg("stop"))
      .def_readwrite("epoch", &NetworkObject::epoch);
}

}  // namespace mlpkern::bindings
