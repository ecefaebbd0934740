// SPDX-License-Identifier: BSD-3-Clause
// The forward and the backward pass of a program over some of a batch's rows. Everything here is serial and
// allocates nothing; who runs which rows is decided in network.cpp.
#pragma once

#include <vector>

#include "network/program.hpp"

namespace mlpkern {

// The values of a program, or their gradients, from row `origin` on.
template <class T>
struct Values {
  std::vector<T*> data;
  Index origin = 0;
};

template <class T>
class Passes {
 public:
  Passes(const Program& program, const Kernels<T>& kernels) : program_(program), kernels_(kernels) {}

  // v[1], v[2], … from v[0], rows [first, first + count), operations [0, operations).
  void forward(const std::vector<LayerArrays<T>>& parameters, Values<T>& v, Index first, Index count,
               T* scratch, std::size_t operations) const;
  void forward(const std::vector<LayerArrays<T>>& parameters, Values<T>& v, Index first, Index count,
               T* scratch) const {
    forward(parameters, v, first, count, scratch, program_.operations.size());
  }

  // From d[the output of operation `operations` - 1] back to d[0] (only where need_dx), and into the
  // gradients of the parameters, to which it adds.
  struct Backward {
    const std::vector<LayerArrays<T>>& parameters;
    const std::vector<LayerArrays<T>>& gradients;
    const Values<T>& v;
    Values<T>& d;
    bool need_dx;
  };
  void backward(const Backward& pass, Index first, Index count, T* scratch, std::size_t operations) const;

  // One operation of the backward pass, parameters apart: d of its inputs from d of its output.
  void backward_inputs(const Operation& op, const Backward& pass, Index first, Index count, T* scratch) const;

  // dw[first_input …] += x' ds over rows [first, first + count), a block of the layer's inputs; db with
  // the block that holds input 0.
  void backward_parameters(const Operation& op, const Backward& pass, Index first, Index count,
                           Index first_input, Index inputs, T* scratch) const;

 private:
  Index width(Index value) const { return program_.widths[static_cast<std::size_t>(value)]; }
  T* at(const Values<T>& v, Index value, Index row) const {
    return v.data[static_cast<std::size_t>(value)] + (row - v.origin) * width(value);
  }
  Matrix<T> rows(const Values<T>& v, Index value, Index first, Index count) const {
    return dense(at(v, value, first), count, width(value));
  }

  const Program& program_;
  const Kernels<T>& kernels_;
};

template <class T>
constexpr Matrix<const T> read_only(Matrix<T> m) {
  return {m.data, m.rows, m.cols, m.row_stride, m.col_stride};
}

}  // namespace mlpkern
