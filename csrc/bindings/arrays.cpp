// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/arrays.hpp"

namespace mlpkern::bindings {

std::string text(const Shape& shape) {
  std::string s = "(";
  for (std::size_t i = 0; i < shape.size(); ++i)
    s.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  return s + (shape.size() == 1 ? ",)" : ")");
}

std::string dtype_name(const py::array& a) { return py::str(a.dtype()).cast<std::string>(); }

std::string type_name(const py::object& value) {
  return py::str(py::type::of(value).attr("__name__")).cast<std::string>();
}

namespace {

// The text of an attribute; empty where there is none.
std::string attribute(const py::object& value, const char* name) {
  const py::object found = py::getattr(value, name, py::none());
  return found.is_none() ? "" : py::str(found).cast<std::string>();
}

bool is_tensor(const py::object& value) { return py::hasattr(value, "__dlpack__"); }

void check_is_here(const std::string& subject, const py::object& value) {
  const std::string device = attribute(value, "device");
  if (device.empty() || device.rfind("cpu", 0) == 0) return;
  fail_type(subject + " must be an array on the CPU; got " + type_name(value) + " on " + device);
}

// What NumPy makes of an object, of the memory that it has: by the buffer protocol, by __array__, or by
// DLPack. What lies on another device is refused, though some libraries would copy it in silence; only what
// comes back with memory of its own can be of that kind, and is looked at.
py::array array_of(const std::string& subject, const py::object& value) {
  const py::module_ numpy = py::module_::import("numpy");
  auto array = numpy.attr("asarray")(value).cast<py::array>();
  if (array.base() || !is_tensor(value)) return array;
  check_is_here(subject, value);
  if (array.dtype().kind() == 'O') return numpy.attr("from_dlpack")(value).cast<py::array>();
  return array;
}

}  // namespace

Argument converted(Who who, const char* name, const py::object& value) {
  const std::string subject = who + ": " + name;
  if (value.is_none()) fail_type(subject + " must be an array; got None");
  try {
    return {name, array_of(subject, value)};
  } catch (const py::error_already_set& error) {
    const bool tensor = is_tensor(value);
    const bool theirs = tensor && (error.matches(PyExc_RuntimeError) || error.matches(PyExc_BufferError));
    if (!theirs && !error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
    if (tensor) check_is_here(subject, value);
    std::string got = type_name(value);
    if (attribute(value, "requires_grad") == "True") {
      got += " that requires a gradient; pass .detach()";
    } else if (tensor) {
      got.append(": ").append(py::str(error.value()).cast<std::string>());
    }
    fail_type(subject + " must be an array; got " + got);
  }
}

namespace {

[[noreturn]] void fail_dtype(Who who, std::initializer_list<const Argument*> arguments) {
  std::string names, got;
  int count = 0;
  for (const Argument* a : arguments) {
    if (!a->array) continue;
    names.append(names.empty() ? "" : ", ").append(a->name);
    got.append(got.empty() ? "" : ", ").append(a->name).append(" ").append(dtype_name(a->array));
    ++count;
  }
  fail_type(who + ": " + names + " must be " +
            (count > 1 ? "all float32 or all float64" : "float32 or float64") + "; got " + got +
            "; convert with .astype(np.float32)");
}

}  // namespace

Dtype common_dtype(Who who, std::initializer_list<const Argument*> arguments) {
  py::ssize_t size = 0;
  for (const Argument* a : arguments) {
    if (!a->array) continue;
    const py::ssize_t itemsize = a->array.itemsize();
    const bool fine = dtype_fields(a->array).kind == 'f' && (itemsize == 4 || itemsize == 8);
    if (!fine || (size != 0 && itemsize != size)) fail_dtype(who, arguments);
    size = itemsize;
  }
  return size == 4 ? Dtype::float32 : Dtype::float64;
}

Extent extent(const py::array& a) {
  auto first = reinterpret_cast<std::uintptr_t>(a.data()), last = first;
  if (a.size() == 0) return {first, first};
  for (py::ssize_t i = 0; i < a.ndim(); ++i) {
    const py::ssize_t reach = (a.shape(i) - 1) * a.strides(i);
    (reach < 0 ? first : last) += static_cast<std::uintptr_t>(reach);
  }
  return {first, last + static_cast<std::uintptr_t>(a.itemsize())};
}

namespace {

// Whether two arrays share an element. NumPy decides exactly, where their extents meet: asking it always
// took 3 µs a call.
bool share_memory(const py::array& a, const py::array& b) {
  return extent(a).meets(extent(b)) && py::module_::import("numpy").attr("shares_memory")(a, b).cast<bool>();
}

Shape strides_of(const py::array& a) { return Shape(a.strides(), a.ndim()); }

bool is_same_array(const py::array& a, const py::array& b) {
  return a.data() == b.data() && shape_of(a) == shape_of(b) && strides_of(a) == strides_of(b);
}

// Says what is wrong with an output, if anything is.
template <class T>
void check_output(const std::string& subject, const py::object& out, const Shape& shape) {
  if (!py::isinstance<py::array>(out)) fail_type(subject + " must be an array; got " + type_name(out));
  const auto array = py::reinterpret_borrow<py::array>(out);
  if (!py::isinstance<py::array_t<T>>(array)) {
    fail_type(subject + " must have dtype " + dtype_name(py::array_t<T>(0)) + "; got " + dtype_name(array));
  }
  if (!has_shape(array, shape)) {
    fail_value(subject + " must have shape " + text(shape) + "; got " + text(shape_of(array)));
  }
  const bool aligned = reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
  if (!(array.flags() & py::array::c_style) || !aligned) {
    fail_value(subject + " must be C-contiguous and aligned; got strides " + text(strides_of(array)) +
               (aligned ? "" : ", not aligned"));
  }
  if (!array.writeable()) fail_value(subject + " must be writeable; got a read-only array");
}

}  // namespace

template <class T>
py::array_t<T> output(Who who, const py::object& out, const Shape& shape,
                      std::initializer_list<const Argument*> inputs,
                      std::initializer_list<const Argument*> in_place, const char* name) {
  if (out.is_none()) return new_array<T>(shape);
  const auto subject = [&] { return who + ": " + name; };  // for messages
  auto array = py::reinterpret_borrow<py::array_t<T>>(out);
  const bool fine = py::isinstance<py::array>(out) && is_plain<T>(array) && has_shape(array, shape) &&
                    (fields(array).flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_);
  if (!fine) check_output<T>(subject(), out, shape);
  for (const Argument* input : inputs) {
    if (!input->array || !share_memory(array, input->array)) continue;
    bool allowed = false;
    for (const Argument* same : in_place) allowed = allowed || same == input;
    if (allowed && is_same_array(array, input->array)) continue;
    fail_value(subject() + " must not overlap " + input->name +
               (allowed ? ", unless it is " + std::string(input->name) + " itself" : "") +
               "; they share memory");
  }
  return array;
}

template py::array_t<float> output(Who, const py::object&, const Shape&,
                                   std::initializer_list<const Argument*>,
                                   std::initializer_list<const Argument*>, const char*);
template py::array_t<double> output(Who, const py::object&, const Shape&,
                                    std::initializer_list<const Argument*>,
                                    std::initializer_list<const Argument*>, const char*);

}  // namespace mlpkern::bindings
