// SPDX-License-Identifier: BSD-3-Clause
// Losses on arrays.
#include "bindings/losses.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>

#include "base/aligned.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

namespace {

// As they come: 2^64 - 1 is not -1.
template <class Label>
void check_labels(Who who, const Numbers<Label>& labels, Index K) {
  for (Index i = 0; i < labels.size; ++i) {
    const Label label = labels.data[i];
    if (label < 0 || label >= static_cast<Label>(K)) {
      fail_value(who + ": labels must be from 0 to K - 1 = " + std::to_string(K - 1) + "; got " +
                 std::to_string(label) + " in row " + std::to_string(i));
    }
  }
}

Numbers<double> read_weights(Who who, const py::object& value, const Shape& leading) {
  const Argument w = argument(who, "sample_weight", value);
  const py::ssize_t itemsize = w.array.itemsize();
  if (dtype_fields(w.array).kind != 'f' || (itemsize != 4 && itemsize != 8)) {
    fail_type(who + ": sample_weight must be float32 or float64; got " + dtype_name(w.array));
  }
  if (!has_shape(w.array, leading)) {
    fail_value(who + ": sample_weight must be " + text(leading) + ", a number a sample; got " +
               text(shape_of(w.array)));
  }
  auto weights = contiguous<double>(w.array);
  for (Index i = 0; i < weights.size; ++i) {
    const double weight = weights.data[i];
    if (!(weight >= 0) || std::isinf(weight)) {
      fail_value(who + ": sample_weight must be finite and at least 0; got " +
                 py::str(py::float_(weight)).cast<std::string>() + " in row " + std::to_string(i));
    }
  }
  return weights;
}

}  // namespace

LossObject::LossObject(const std::string& shown_name, const std::string& name,
                       const std::vector<double>& parameters, const std::string& reduction)
    : shown_name_(shown_name), loss_{find_row(metadata().losses, metadata().loss_count, name, "loss"),
                                     fixed(parameters),
                                     reduction == "mean" ? Reduction::mean : Reduction::sum} {
  if (reduction != "mean" && reduction != "sum") {
    fail_value(shown_name_ + ": reduction must be 'mean' or 'sum'; got '" + reduction + "'");
  }
}

template <class T>
void LossObject::read_targets(Who who, const Shape& predictions, const py::object& y_,
                              const py::object& weight, LossArguments<T>& into) const {
  Shape leading = predictions;
  leading.pop_back();
  into.n = rows_before_last(predictions);
  into.K = predictions.back();
  const Argument y = argument(who, "y", y_);
  const char kind = dtype_fields(y.array).kind;
  const bool takes_labels = metadata().losses[loss_.index].takes_labels;
  if (takes_labels && (kind == 'i' || kind == 'u')) {
    if (!has_shape(y.array, leading)) {
      fail_value(who + ": integer labels must be " + text(leading) + ", one a sample; got " +
                 text(shape_of(y.array)));
    }
    into.labels = contiguous<std::int64_t>(y.array);
    if (kind == 'u') {
      check_labels(who, contiguous<std::uint64_t>(y.array), into.K);
    } else {
      check_labels(who, into.labels, into.K);
    }
  } else {
    if (takes_labels && kind == 'f' && has_shape(y.array, leading)) {
      fail_type(who + ": labels must be integers; got " + dtype_name(y.array) +
                "; convert with .astype(int)");
    }
    if (!is_plain<T>(y.array)) {
      const Argument like = {"y_pred", new_array<T>({0})};
      common_dtype(who, {&like, &y});
    }
    if (!has_shape(y.array, predictions)) {
      fail_value(who + ": y must have the shape of y_pred" + (takes_labels ? " or be integer labels" : "") +
                 "; got y_pred " + text(predictions) + ", y " + text(shape_of(y.array)));
    }
    into.y = contiguous<T>(y.array);
  }
  if (!weight.is_none()) into.weight = read_weights(who, weight, leading);
}

template <class T>
void LossObject::check_mean(Who who, const LossArguments<T>& arguments) const {
  if (loss_.reduction != Reduction::mean) return;
  if (arguments.n == 0) {
    fail_value(who +
               ": the mean over an empty batch does not exist; got 0 samples (reduction='sum' gives 0)");
  }
  const double* w = arguments.weight.data;
  if (w == nullptr) return;
  double sum = 0;
  for (Index i = 0; i < arguments.n; ++i) sum += w[i];
  if (std::isinf(sum)) fail_value(who + ": the sum of sample_weight must be finite; got inf");
  if (std::all_of(w, w + arguments.n, [](double weight) { return weight == 0; })) {
    fail_value(who + ": the weighted mean needs a positive weight; got sample_weight all 0");
  }
}

template <class T>
LossArguments<T> LossObject::read(const Argument& y_pred, const py::object& y,
                                  const py::object& weight) const {
  LossArguments<T> arguments;
  read_targets(shown_name_, shape_of(y_pred.array), y, weight, arguments);
  arguments.y_pred = contiguous<T>(y_pred.array);
  return arguments;
}

namespace {

template <class T>
double elements(const LossArguments<T>& arguments) {
  return static_cast<double>(arguments.n) * static_cast<double>(arguments.K);
}

// What an element takes, 0.4 ns for a square and 2 ns for a cross-entropy, in multiply-adds: of many, for
// which threads pay, and of few, which hold the GIL.
constexpr double kOfMany = 50, kOfFew = 5;

Argument predictions(Who who, const py::object& value) {
  Argument y_pred = argument(who, "y_pred", value);
  if (y_pred.array.ndim() < 1 || y_pred.array.shape(y_pred.array.ndim() - 1) == 0) {
    fail_value(who + ": y_pred must be (n, K) with K at least 1; got " + text(shape_of(y_pred.array)));
  }
  return y_pred;
}

// Room for a number a sample, on the stack where they are few.
class PerSample {
 public:
  explicit PerSample(Index n) {
    if (n > kFew) many_.reserve(n);
  }
  double* data() { return many_.data() == nullptr ? few_ : many_.data(); }

 private:
  static constexpr Index kFew = 512;
  double few_[kFew];
  AlignedBuffer<double> many_;
};

}  // namespace

template <class T, class Kernel>
void LossObject::by_blocks(const LossArguments<T>& arguments, const Kernel& kernel) const {
  const Index K = arguments.K, block = std::max<Index>(1, 16384 / K);
  const Targets<T> all = arguments.targets();
  parallel_for(ceil_div(arguments.n, block), workers_for(kOfMany * elements(arguments)), [&](Index i, int) {
    const Index first = i * block;
    kernel(first, std::min(block, arguments.n - first), targets_from(all, first, K));
  });
}

template <class T>
void LossObject::evaluate(const LossArguments<T>& arguments, const double* factor, double* cost,
                          T* gradient) const {
  const auto kernel = active_kernels<T>().losses[loss_.index].evaluate;
  const Index K = arguments.K;
  const T* p = arguments.y_pred.data;
  by_blocks(arguments, [&](Index first, Index count, const Targets<T>& t) {
    kernel(p + first * K, t.y, t.labels, count, K, loss_.parameters.data(),
           factor == nullptr ? nullptr : factor + first, cost == nullptr ? nullptr : cost + first,
           gradient == nullptr ? nullptr : gradient + first * K);
  });
}

template <class T>
double LossObject::reduce(const LossArguments<T>& arguments, bool with_cost, T* gradient) const {
  return compute(kOfFew * elements(arguments), [&] {
    const Index n = arguments.n;
    PerSample cost(with_cost ? n : 0), factor(n);
    sample_factors(loss_.reduction, arguments.weight.data, n, factor.data());
    evaluate<T>(arguments, factor.data(), with_cost ? cost.data() : nullptr, gradient);
    return with_cost ? reduced_cost(cost.data(), factor.data(), n) : 0.0;
  });
}

// f(arguments, y_pred's shape) with arguments of a cost that exists, in y_pred's dtype.
template <class F>
auto LossObject::with_arguments(const py::object& y_pred_, const py::object& y, const py::object& weight,
                                const F& f) const {
  const Argument y_pred = predictions(shown_name_, y_pred_);
  return for_dtype(common_dtype(shown_name_, {&y_pred}), [&](auto zero) {
    const auto arguments = read<decltype(zero)>(y_pred, y, weight);
    check_mean(shown_name_, arguments);
    return f(arguments, shape_of(y_pred.array));
  });
}

double LossObject::value(const py::object& y_pred, const py::object& y, const py::object& weight) const {
  return with_arguments(y_pred, y, weight, [&]<class T>(const LossArguments<T>& arguments, const Shape&) {
    return reduce<T>(arguments, true, nullptr);
  });
}

py::array LossObject::gradient(const py::object& y_pred, const py::object& y,
                               const py::object& weight) const {
  const auto work = [&]<class T>(const LossArguments<T>& arguments, const Shape& shape) -> py::array {
    const auto gradient = new_array<T>(shape);
    reduce<T>(arguments, false, writable<T>(gradient));
    return gradient;
  };
  return with_arguments(y_pred, y, weight, work);
}

py::tuple LossObject::value_and_gradient(const py::object& y_pred, const py::object& y,
                                         const py::object& weight) const {
  const auto work = [&]<class T>(const LossArguments<T>& arguments, const Shape& shape) -> py::tuple {
    const auto gradient = new_array<T>(shape);
    const double cost = reduce<T>(arguments, true, writable<T>(gradient));
    return py::make_tuple(cost, gradient);
  };
  return with_arguments(y_pred, y, weight, work);
}

py::array LossObject::per_sample(const py::object& y_pred_, const py::object& y) const {
  const Argument y_pred = predictions(shown_name_, y_pred_);
  return for_dtype(common_dtype(shown_name_, {&y_pred}), [&](auto zero) -> py::array {
    using T = decltype(zero);
    const auto arguments = read<T>(y_pred, y, py::none());
    Shape leading = shape_of(y_pred.array);
    leading.pop_back();
    const auto costs = new_array<T>(leading);
    T* data = writable<T>(costs);
    compute(kOfFew * elements(arguments), [&] {
      PerSample cost(arguments.n);
      evaluate<T>(arguments, nullptr, cost.data(), nullptr);
      std::transform(cost.data(), cost.data() + arguments.n, data,
                     [](double c) { return static_cast<T>(c); });
    });
    return costs;
  });
}

py::array LossObject::hvp(const py::object& y_pred, const py::object& y, const py::object& v_,
                          const py::object& weight) const {
  const auto work = [&]<class T>(const LossArguments<T>& arguments, const Shape& shape) -> py::array {
    const Argument v = argument(shown_name_, "v", v_);
    const Argument like = {"y_pred", new_array<T>({0})};
    common_dtype(shown_name_, {&like, &v});
    if (!has_shape(v.array, shape)) {
      fail_value(shown_name_ + ": v must have the shape of y_pred; got y_pred " + text(shape) + ", v " +
                 text(shape_of(v.array)));
    }
    const auto tangent = contiguous<T>(v.array);
    const auto product = new_array<T>(shape);
    T* out = writable<T>(product);
    const auto kernel = active_kernels<T>().losses[loss_.index].curvature;
    compute(kOfFew * elements(arguments), [&] {
      const Index K = arguments.K;
      PerSample factor(arguments.n);
      sample_factors(loss_.reduction, arguments.weight.data, arguments.n, factor.data());
      by_blocks(arguments, [&](Index first, Index count, const Targets<T>& t) {
        const Index at = first * K;
        kernel(arguments.y_pred.data + at, t.y, t.labels, count, K, loss_.parameters.data(),
               factor.data() + first, tangent.data + at, out + at);
      });
    });
    return product;
  };
  return with_arguments(y_pred, y, weight, work);
}

template void LossObject::read_targets(Who, const Shape&, const py::object&, const py::object&,
                                       LossArguments<float>&) const;
template void LossObject::read_targets(Who, const Shape&, const py::object&, const py::object&,
                                       LossArguments<double>&) const;
template void LossObject::check_mean(Who, const LossArguments<float>&) const;
template void LossObject::check_mean(Who, const LossArguments<double>&) const;

void bind_losses(py::module_& m) {
  m.def("loss_specs", [] { return specs(metadata().losses, metadata().loss_count); });
  py::class_<LossObject>(m, "Loss")
      .def(py::init<const std::string&, const std::string&, const std::vector<double>&, const std::string&>(),
           py::arg("shown_name"), py::arg("name"), py::arg("parameters"), py::arg("reduction"))
      .def("value", &LossObject::value, py::arg("y_pred"), py::arg("y"), py::arg("sample_weight"))
      .def("gradient", &LossObject::gradient, py::arg("y_pred"), py::arg("y"), py::arg("sample_weight"))
      .def("value_and_gradient", &LossObject::value_and_gradient, py::arg("y_pred"), py::arg("y"),
           py::arg("sample_weight"))
      .def("per_sample", &LossObject::per_sample, py::arg("y_pred"), py::arg("y"))
      .def("hvp", &LossObject::hvp, py::arg("y_pred"), py::arg("y"), py::arg("v"), py::arg("sample_weight"));
}

}  // namespace mlpkern::bindings
