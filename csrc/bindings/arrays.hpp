// SPDX-License-Identifier: BSD-3-Clause
// Arguments, checked once: from Python objects to pointers that the kernels may trust, and every message
// about shapes and dtypes. "linear: w must be (D, L) with D = x.shape[-1]; got x (8, 3), w (4, 5)".
//
// What is as it should be takes some ns: an array's fields are read where they lie, and nothing is
// allocated. What is not takes a slow path, which converts it or composes a message.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/float_environment.hpp"
#include "bindings/shape.hpp"

namespace mlpkern::bindings {

// Who complains, in messages. The text lives elsewhere.
struct Who {
  const char* text;
  Who(const char* name) : text(name) {}
  Who(const std::string& name) : text(name.c_str()) {}
};
inline std::string operator+(Who who, const char* rest) { return std::string(who.text) + rest; }

[[noreturn]] inline void fail_value(const std::string& message) { throw py::value_error(message); }
[[noreturn]] inline void fail_type(const std::string& message) { throw py::type_error(message); }

// "float32", "int64", ">f4".
std::string dtype_name(const py::array& a);
// The name of an object's type.
std::string type_name(const py::object& value);

// A named argument, for messages.
struct Argument {
  const char* name;
  py::array array;
};

// What is no NumPy array, made one without a copy of its memory where it has any; None is none.
Argument converted(Who who, const char* name, const py::object& value);

// An array, or what NumPy makes one of.
inline Argument argument(Who who, const char* name, const py::object& value) {
  if (py::isinstance<py::array>(value)) return {name, py::reinterpret_borrow<py::array>(value)};
  return converted(who, name, value);
}

// The same; a null array for None.
inline Argument optional_argument(Who who, const char* name, const py::object& value) {
  if (value.is_none()) return {name, py::reinterpret_steal<py::array>(py::handle())};
  return argument(who, name, value);
}

// Fields of an array and of its dtype.
inline const auto& fields(const py::array& a) { return *py::detail::array_proxy(a.ptr()); }
inline const auto& dtype_fields(const py::array& a) {
  return *py::detail::array_descriptor_proxy(fields(a).descr);
}

// Whether the numbers lie as the kernels have them: of type T in the machine's byte order, aligned,
// C-contiguous.
template <class T>
bool is_plain(const py::array& a) {
  constexpr int kFlags =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return dtype_fields(a).type_num == py::dtype::num_of<T>() && dtype_fields(a).byteorder == '=' &&
         (fields(a).flags & kFlags) == kFlags;
}

enum class Dtype { float32, float64 };

// The one dtype of all arguments, float32 or float64 in any byte order; otherwise a TypeError that names
// them all and the cure. Null arrays are skipped.
Dtype common_dtype(Who who, std::initializer_list<const Argument*> arguments);

// Numbers that lie as the kernels have them, held as long as this lives. Empty at first.
template <class T>
struct Numbers {
  py::object array;
  const T* data = nullptr;
  Index size = 0;
};

// Those of the array itself where they lie so, or else of a copy.
template <class T>
Numbers<T> contiguous(const py::array& a) {
  if (is_plain<T>(a)) return {a, static_cast<const T*>(a.data()), a.size()};
  constexpr int kAligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  const auto same = py::array_t<T, py::array::c_style | py::array::forcecast | kAligned>::ensure(a);
  if (!same) throw py::error_already_set();
  return {same, same.data(), same.size()};
}

// py::array_t allocates twice more for the same.
template <class T>
py::array_t<T> new_array(const Shape& shape) {
  const auto& numpy = py::detail::npy_api::get();
  PyObject* dtype = numpy.PyArray_DescrFromType_(py::dtype::num_of<T>());  // which the array takes over
  PyObject* array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, dtype, static_cast<int>(shape.size()),
                                                shape.begin(), nullptr, nullptr, 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array_t<T>>(array);
}

// The bytes from the first to past the last that an array touches; empty for an empty array.
struct Extent {
  std::uintptr_t first, end;
  bool meets(const Extent& other) const { return first < other.end && other.first < end; }
};
Extent extent(const py::array& a);

// The output: a new array, or `out` where it is not None and has exactly this dtype and shape, is
// C-contiguous, aligned and writeable, and shares no memory with an input; the inputs in `in_place` may be
// `out` itself.
template <class T>
py::array_t<T> output(Who who, const py::object& out, const Shape& shape,
                      std::initializer_list<const Argument*> inputs,
                      std::initializer_list<const Argument*> in_place = {}, const char* name = "out");

// The numbers of an output, which has been checked or is new.
template <class T>
T* writable(const py::array& a) {
  return static_cast<T*>(const_cast<void*>(a.data()));
}

// The work itself, of so many multiply-adds or what takes as long, in the default floating-point
// environment. Without the GIL, unless it ends within some 5 µs: handing the GIL over takes 100 ns where
// nobody waits for it, and 50 µs where somebody does.
template <class Work>
auto compute(double multiply_adds, const Work& work) {
  constexpr double kTiny = 2e4;
  const DefaultFloatEnvironment environment;
  if (multiply_adds < kTiny) return work();
  const py::gil_scoped_release release;
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
void bind_derivatives(py::module_& m);

}  // namespace mlpkern::bindings
