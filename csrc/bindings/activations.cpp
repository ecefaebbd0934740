// SPDX-License-Identifier: BSD-3-Clause
// Activations on arrays. Python makes one class of each row of the table of activations.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/specs.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

namespace {

// work(first, count): rows [first, first + count) of a job, in blocks of about 8,192 elements, to the
// threads.
template <class Work>
void by_blocks_of_rows(Index rows, Index cols, const Work& work) {
  constexpr Index kElements = 8192;
  constexpr double kMultiplyAdds = 8;  // what an element costs, from ReLU's 3 to tanh's 25
  const Index block = std::max<Index>(1, kElements / std::max<Index>(cols, 1));
  const double multiply_adds = kMultiplyAdds * static_cast<double>(rows) * static_cast<double>(cols);
  compute(multiply_adds, [&] {
    parallel_for(ceil_div(rows, block), workers_for(multiply_adds),
                 [&](Index i, int) { work(i * block, std::min(block, rows - i * block)); });
  });
}

class Activation {
 public:
  Activation(const std::string& name, const std::vector<double>& parameters)
      : name_(name),
        index_(find_row(metadata().activations, metadata().activation_count, name, "activation")),
        by_rows_(metadata().activations[index_].by_rows), parameters_(fixed(parameters)) {}

  py::array value(const py::object& s, const py::object& out) const {
    return map(s, out, [](const auto& row) { return row.value; });
  }
  py::array derivative(const py::object& s, const py::object& out) const {
    return map(s, out, [](const auto& row) { return row.derivative; });
  }
  py::array second_derivative(const py::object& s, const py::object& out) const {
    return map(s, out, [](const auto& row) { return row.second_derivative; });
  }
  py::array third_derivative(const py::object& s, const py::object& out) const {
    return map(s, out, [](const auto& row) { return row.third_derivative; });
  }
  // f', f'' or f''', of order 1 to 3, from a = f(s).
  py::array from_output(int order, const py::object& a) const {
    if (order < 1 || order > 3 || metadata().activations[index_].from_output[order - 1] == nullptr) {
      fail_value(name_ + ": has no derivative of order " + std::to_string(order) + " from its output");
    }
    return map(a, py::none(), [order](const auto& row) { return row.from_output[order - 1]; });
  }
  py::array jvp(const py::object& s, const py::object& v, const py::object& out) const {
    return product(s, "v", v, out, [](const auto& row) { return row.jvp; });
  }
  py::array vjp(const py::object& s, const py::object& g, const py::object& out) const {
    return product(s, "g", g, out, [](const auto& row) { return row.vjp; });
  }
  py::array second_jvp(const py::object& s, const py::object& v, const py::object& w) const {
    return curvature(s, v, w, [](const auto& row) { return row.second_jvp; });
  }
  py::array second_vjp(const py::object& s, const py::object& v, const py::object& w) const {
    return curvature(s, v, w, [](const auto& row) { return row.second_vjp; });
  }

 private:
  // (rows, cols): by rows as the array has them, otherwise one element a row.
  std::pair<Index, Index> extent(const Shape& shape) const {
    if (!by_rows_) {
      Index size = 1;
      for (const py::ssize_t n : shape) size *= n;
      return {size, 1};
    }
    if (shape.empty()) fail_value(name_ + ": s must be (..., K); got ()");
    return {rows_before_last(shape), shape.back()};
  }

  void check_shape(const Argument& v, const Shape& shape) const {
    if (has_shape(v.array, shape)) return;
    const std::string name = v.name;
    fail_value(name_ + ": " + name + " must have the shape of s; got s " + text(shape) + ", " + name + " " +
               text(shape_of(v.array)));
  }

  template <class Choose>
  py::array map(const py::object& s_, const py::object& out, const Choose& choose) const {
    const Argument s = argument(name_, "s", s_);
    const Dtype dtype = common_dtype(name_, {&s});
    const Shape shape = shape_of(s.array);
    const auto [rows, cols] = extent(shape);
    return for_dtype(dtype, [&, rows = rows, cols = cols](auto zero) -> py::array {
      using T = decltype(zero);
      auto a = output<T>(name_, out, shape, {&s}, {&s});
      const auto sc = contiguous<T>(s.array);
      T* data = writable<T>(a);
      const auto kernel = choose(active_kernels<T>().activations[index_]);
      by_blocks_of_rows(rows, cols, [&](Index first, Index count) {
        kernel(sc.data + first * cols, data + first * cols, by_rows_ ? count : 1, by_rows_ ? cols : count,
               parameters_.data());
      });
      return a;
    });
  }

  template <class Choose>
  py::array product(const py::object& s_, const char* name, const py::object& v_, const py::object& out,
                    const Choose& choose) const {
    const Argument s = argument(name_, "s", s_), v = argument(name_, name, v_);
    const Dtype dtype = common_dtype(name_, {&s, &v});
    const Shape shape = shape_of(s.array);
    check_shape(v, shape);
    const auto [rows, cols] = extent(shape);
    return for_dtype(dtype, [&, rows = rows, cols = cols](auto zero) -> py::array {
      using T = decltype(zero);
      auto a = output<T>(name_, out, shape, {&s, &v}, {&s, &v});
      const auto sc = contiguous<T>(s.array), vc = contiguous<T>(v.array);
      T* data = writable<T>(a);
      const auto kernel = choose(active_kernels<T>().activations[index_]);
      by_blocks_of_rows(rows, cols, [&](Index first, Index count) {
        const Index at = first * cols;
        kernel(sc.data + at, vc.data + at, data + at, by_rows_ ? count : 1, by_rows_ ? cols : count,
               parameters_.data());
      });
      return a;
    });
  }

  template <class Choose>
  py::array curvature(const py::object& s_, const py::object& v_, const py::object& w_,
                      const Choose& choose) const {
    if (!by_rows_) fail_type(name_ + ": works element by element: its curvature is second_derivative");
    const Argument s = argument(name_, "s", s_), v = argument(name_, "v", v_), w = argument(name_, "w", w_);
    const Dtype dtype = common_dtype(name_, {&s, &v, &w});
    const Shape shape = shape_of(s.array);
    check_shape(v, shape);
    check_shape(w, shape);
    const auto [rows, cols] = extent(shape);
    return for_dtype(dtype, [&, rows = rows, cols = cols](auto zero) -> py::array {
      using T = decltype(zero);
      const auto out = new_array<T>(shape);
      const auto sc = contiguous<T>(s.array), vc = contiguous<T>(v.array), wc = contiguous<T>(w.array);
      T* data = writable<T>(out);
      const auto kernel = choose(active_kernels<T>().activations[index_]);
      by_blocks_of_rows(rows, cols, [&](Index first, Index count) {
        const Index at = first * cols;
        kernel(sc.data + at, vc.data + at, wc.data + at, data + at, count, cols, parameters_.data());
      });
      return out;
    });
  }

  std::string name_;
  Index index_;
  bool by_rows_;
  Parameters parameters_;
};

}  // namespace

void bind_activations(py::module_& m) {
  m.def("activation_specs", [] { return specs(metadata().activations, metadata().activation_count); });
  m.def(
      "by_rows",
      [](const std::string& name) {
        const auto& table = metadata();
        return table.activations[find_row(table.activations, table.activation_count, name, "activation")]
            .by_rows;
      },
      py::arg("name"));
  py::class_<Activation>(m, "Activation")
      .def(py::init<const std::string&, const std::vector<double>&>(), py::arg("name"), py::arg("parameters"))
      .def("value", &Activation::value, py::arg("s"), py::arg("out") = py::none())
      .def("derivative", &Activation::derivative, py::arg("s"), py::arg("out") = py::none())
      .def("second_derivative", &Activation::second_derivative, py::arg("s"), py::arg("out") = py::none())
      .def("third_derivative", &Activation::third_derivative, py::arg("s"), py::arg("out") = py::none())
      .def("from_output", &Activation::from_output, py::arg("order"), py::arg("a"))
      .def("second_jvp", &Activation::second_jvp, py::arg("s"), py::arg("v"), py::arg("w"))
      .def("second_vjp", &Activation::second_vjp, py::arg("s"), py::arg("v"), py::arg("w"))
      .def("jvp", &Activation::jvp, py::arg("s"), py::arg("v"), py::arg("out") = py::none())
      .def("vjp", &Activation::vjp, py::arg("s"), py::arg("g"), py::arg("out") = py::none());
}

}  // namespace mlpkern::bindings
