// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/arrays.hpp"

#include <cstdint>

namespace mlpkern::bindings {

std::string text(const Shape& shape) {
  std::string s = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return s + (shape.size() == 1 ? ",)" : ")");
}

Shape shape_of(const py::array& a) { return Shape(a.shape(), a.shape() + a.ndim()); }

std::string dtype_name(const py::array& a) { return py::str(a.dtype()).cast<std::string>(); }

Argument argument(const std::string& who, const char* name, const py::object& value) {
  if (py::isinstance<py::array>(value)) return {name, py::reinterpret_borrow<py::array>(value)};
  if (value.is_none()) fail_type(who + ": " + name + " must be an array; got None");
  try {
    return {name, py::module_::import("numpy").attr("asarray")(value).cast<py::array>()};
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
    fail_type(who + ": " + name + " must be an array; got " +
              py::str(py::type::of(value).attr("__name__")).cast<std::string>());
  }
}

namespace {

[[noreturn]] void fail_dtype(const std::string& who, std::initializer_list<const Argument*> arguments) {
  std::string names, got;
  int count = 0;
  for (const Argument* a : arguments) {
    if (!a->array) continue;
    names += (names.empty() ? "" : ", ") + std::string(a->name);
    got += (got.empty() ? "" : ", ") + std::string(a->name) + " " + dtype_name(a->array);
    ++count;
  }
  fail_type(who + ": " + names + " must be " +
            (count > 1 ? "all float32 or all float64" : "float32 or float64") + "; got " + got +
            "; convert with .astype(np.float32)");
}

}  // namespace

Dtype common_dtype(const std::string& who, std::initializer_list<const Argument*> arguments) {
  py::ssize_t size = 0;
  for (const Argument* a : arguments) {
    if (!a->array) continue;
    const py::ssize_t itemsize = a->array.itemsize();
    const bool fine = a->array.dtype().kind() == 'f' && (itemsize == 4 || itemsize == 8);
    if (!fine || (size != 0 && itemsize != size)) fail_dtype(who, arguments);
    size = itemsize;
  }
  return size == 4 ? Dtype::float32 : Dtype::float64;
}

namespace {

// The bytes from the first to past the last that an array touches; empty for an empty array.
std::pair<std::uintptr_t, std::uintptr_t> extent(const py::array& a) {
  auto first = reinterpret_cast<std::uintptr_t>(a.data()), last = first;
  if (a.size() == 0) return {first, first};
  for (py::ssize_t i = 0; i < a.ndim(); ++i) {
    const py::ssize_t reach = (a.shape(i) - 1) * a.strides(i);
    (reach < 0 ? first : last) += static_cast<std::uintptr_t>(reach);
  }
  return {first, last + static_cast<std::uintptr_t>(a.itemsize())};
}

// Whether two arrays share an element. NumPy decides exactly, where their extents meet: asking it always
// took 3 µs a call.
bool share_memory(const py::array& a, const py::array& b) {
  const auto [a_first, a_end] = extent(a);
  const auto [b_first, b_end] = extent(b);
  if (a_end <= b_first || b_end <= a_first) return false;
  return py::module_::import("numpy").attr("shares_memory")(a, b).cast<bool>();
}

bool is_same_array(const py::array& a, const py::array& b) {
  return a.data() == b.data() && shape_of(a) == shape_of(b) &&
         std::vector<py::ssize_t>(a.strides(), a.strides() + a.ndim()) ==
             std::vector<py::ssize_t>(b.strides(), b.strides() + b.ndim());
}

}  // namespace

template <class T>
py::array_t<T> output(const std::string& who, const py::object& out, const Shape& shape,
                      std::initializer_list<const Argument*> inputs,
                      std::initializer_list<const Argument*> in_place, const char* name) {
  if (out.is_none()) return py::array_t<T>(shape);
  const std::string subject = who + ": " + name;  // for messages
  if (!py::isinstance<py::array>(out)) {
    fail_type(subject + " must be an array; got " +
              py::str(py::type::of(out).attr("__name__")).cast<std::string>());
  }
  const auto array = py::reinterpret_borrow<py::array>(out);
  if (!py::isinstance<py::array_t<T>>(array)) {
    fail_type(subject + " must have dtype " + dtype_name(py::array_t<T>(0)) + "; got " + dtype_name(array));
  }
  if (shape_of(array) != shape) {
    fail_value(subject + " must have shape " + text(shape) + "; got " + text(shape_of(array)));
  }
  const bool aligned = reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
  if (!(array.flags() & py::array::c_style) || !aligned) {
    fail_value(subject + " must be C-contiguous and aligned; got strides " +
               text(Shape(array.strides(), array.strides() + array.ndim())) +
               (aligned ? "" : ", not aligned"));
  }
  if (!array.writeable()) fail_value(subject + " must be writeable; got a read-only array");
  for (const Argument* input : inputs) {
    if (!input->array || !share_memory(array, input->array)) continue;
    bool allowed = false;
    for (const Argument* same : in_place) allowed = allowed || same == input;
    if (allowed && is_same_array(array, input->array)) continue;
    fail_value(subject + " must not overlap " + input->name +
               (allowed ? ", unless it is " + std::string(input->name) + " itself" : "") +
               "; they share memory");
  }
  return py::reinterpret_borrow<py::array_t<T>>(array);
}

template py::array_t<float> output(const std::string&, const py::object&, const Shape&,
                                   std::initializer_list<const Argument*>,
                                   std::initializer_list<const Argument*>, const char*);
template py::array_t<double> output(const std::string&, const py::object&, const Shape&,
                                    std::initializer_list<const Argument*>,
                                    std::initializer_list<const Argument*>, const char*);

}  // namespace mlpkern::bindings
