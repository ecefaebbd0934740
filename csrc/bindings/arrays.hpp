// SPDX-License-Identifier: BSD-3-Clause
// Arguments, checked once: from Python objects to pointers that the kernels may trust, and every message
// about shapes and dtypes. "linear: w must be (D, L) with D = x.shape[-1]; got x (8, 3), w (4, 5)".
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/float_environment.hpp"
#include "base/view.hpp"

namespace mlpkern::bindings {

namespace py = pybind11;

using Shape = std::vector<py::ssize_t>;

// "(8, 3)", "(8,)", "()".
std::string text(const Shape& shape);
Shape shape_of(const py::array& a);
// "float32", "int64", ">f4".
std::string dtype_name(const py::array& a);

// A named argument, for messages.
struct Argument {
  const char* name;
  py::array array;
};

// An array, or what NumPy makes one of. None is not an array here.
Argument argument(const std::string& who, const char* name, const py::object& value);

enum class Dtype { float32, float64 };

// The one dtype of all arguments, float32 or float64 in any byte order; otherwise a TypeError that names
// them all and the cure. Arguments whose array is empty (an absent optional) are skipped.
Dtype common_dtype(const std::string& who, std::initializer_list<const Argument*> arguments);

// Contiguous, aligned, of the machine's byte order: the array itself where it is so, or else a copy.
template <class T>
py::array_t<T> contiguous(const py::array& a) {
  constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  auto same = py::array_t<T, py::array::c_style | py::array::forcecast | kAligned>::ensure(a);
  if (!same) throw py::error_already_set();
  return py::reinterpret_borrow<py::array_t<T>>(same);
}

template <class T>
py::array_t<T> new_array(const Shape& shape) {
  return py::array_t<T>(shape);
}

// The output: a new array, or `out` where it is not None and has exactly this dtype and shape, is
// C-contiguous, aligned and writeable, and shares no memory with an input; the inputs in `in_place` may be
// `out` itself.
template <class T>
py::array_t<T> output(const std::string& who, const py::object& out, const Shape& shape,
                      std::initializer_list<const Argument*> inputs,
                      std::initializer_list<const Argument*> in_place = {}, const char* name = "out");

// Leading dimensions as rows: (..., cols).
inline Index rows_before_last(const Shape& shape) {
  Index rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

inline Shape with_last(Shape shape, py::ssize_t last) {
  shape.back() = last;
  return shape;
}

[[noreturn]] inline void fail_value(const std::string& message) { throw py::value_error(message); }
[[noreturn]] inline void fail_type(const std::string& message) { throw py::type_error(message); }

// The work itself: without the GIL, in the default floating-point environment.
template <class Work>
auto compute(const Work& work) {
  const py::gil_scoped_release release;
  const DefaultFloatEnvironment environment;
  return work();
}

// f(T()) for the T of a dtype.
template <class F>
auto for_dtype(Dtype dtype, const F& f) {
  return dtype == Dtype::float32 ? f(float()) : f(double());
}

void bind_machine(py::module_& m);
void bind_linear(py::module_& m);
void bind_activations(py::module_& m);
void bind_losses(py::module_& m);
void bind_optimizers(py::module_& m);
void bind_networks(py::module_& m);

}  // namespace mlpkern::bindings
