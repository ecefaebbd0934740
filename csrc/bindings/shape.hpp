// SPDX-License-Identifier: BSD-3-Clause
// Shapes of arrays, as (8, 3).
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <initializer_list>
#include <string>

#include "base/view.hpp"

namespace mlpkern::bindings {

namespace py = pybind11;

// The lengths of an array's dimensions. A std::vector would allocate, several times a call.
class Shape {
 public:
  Shape() = default;
  Shape(const py::ssize_t* lengths, py::ssize_t count) : size_(static_cast<std::size_t>(count)) {
    std::copy_n(lengths, size_, lengths_);
  }
  Shape(std::initializer_list<py::ssize_t> lengths)
      : Shape(lengths.begin(), static_cast<py::ssize_t>(lengths.size())) {}
  Shape(const Shape& other) : Shape(other.lengths_, static_cast<py::ssize_t>(other.size_)) {}
  Shape& operator=(const Shape& other) {
    size_ = other.size_;
    std::copy_n(other.lengths_, size_, lengths_);
    return *this;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const py::ssize_t* begin() const { return lengths_; }
  const py::ssize_t* end() const { return lengths_ + size_; }
  py::ssize_t operator[](std::size_t i) const { return lengths_[i]; }
  py::ssize_t& back() { return lengths_[size_ - 1]; }
  py::ssize_t back() const { return lengths_[size_ - 1]; }
  void push_back(py::ssize_t length) {
    if (size_ == kMostDimensions) throw py::value_error("an array has at most 64 dimensions");
    lengths_[size_++] = length;
  }
  void pop_back() { --size_; }
  void clear() { size_ = 0; }

  bool operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

 private:
  static constexpr std::size_t kMostDimensions = 64;  // NumPy's limit
  std::size_t size_ = 0;
  py::ssize_t lengths_[kMostDimensions];
};

// "(8, 3)", "(8,)", "()".
std::string text(const Shape& shape);

inline Shape shape_of(const py::array& a) { return Shape(a.shape(), a.ndim()); }

inline bool has_shape(const py::array& a, const Shape& shape) {
  return std::equal(shape.begin(), shape.end(), a.shape(), a.shape() + a.ndim());
}

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

// (…, D) with (a, b) in the place of D.
inline Shape with_last_two(const Shape& shape, py::ssize_t a, py::ssize_t b) {
  Shape result = with_last(shape, a);
  result.push_back(b);
  return result;
}

}  // namespace mlpkern::bindings
