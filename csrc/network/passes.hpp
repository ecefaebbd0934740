// SPDX-License-Identifier: BSD-3-Clause
// The forward and the backward pass of a program over some of a batch's rows. Everything here is serial and
// allocates nothing; who runs which rows is decided in network.cpp and training.cpp.
#pragma once

#include "base/aligned.hpp"
#include "network/objective.hpp"
#include "network/program.hpp"
#include "network/tiling.hpp"

namespace mlpkern {

// The values of a program, or their gradients, from row `origin` on.
template <class T>
struct Values {
  T* const* data;
  Index origin;
};

// What the backward pass reads and writes. v: the values; d: their gradients, that of the last one given.
// The gradients of the parameters start where `begun` (one for each layer) says so from what they hold, else
// from zero, and then it says so. need_dx: whether d[0] is wanted.
template <class T>
struct Backward {
  const Arrays<T>& parameters;
  const Arrays<T>& gradients;
  char* begun;
  Values<T> v, d;
  bool need_dx;
};

// Weights as gemm_packed of one table reads them. By layer, null where gemm is as fast.
template <class T>
struct PackedWeights {
  const Kernels<T>* kernels = nullptr;  // none where weights may change
  std::vector<AlignedBuffer<T>> layers;
};

template <class T>
class Passes {
 public:
  Passes(const Program& program, const Kernels<T>& kernels, T* scratch)
      : program_(program), kernels_(kernels), scratch_(scratch) {}

  // The same with packed weights for the forward pass, where they are for the same kernels.
  Passes with_packed(const PackedWeights<T>& packed) const {
    Passes passes = *this;
    if (packed.kernels == &kernels_) passes.packed_ = packed.layers.data();
    return passes;
  }

  T* scratch() const { return scratch_; }

  // v[1], v[2], … from v[0], operations [0, operations).
  void forward(const Arrays<T>& parameters, Values<T> v, Rows rows, std::size_t operations) const;

  // From d[the output of operation `operations` - 1] back to d[0], and into the gradients.
  void backward(const Backward<T>& pass, Rows rows, std::size_t operations) const;

  // One operation of the backward pass, parameters apart: d of its inputs from d of its output.
  void backward_inputs(const Operation& op, const Backward<T>& pass, Rows rows) const;

  // dw[first_input …] = start + x' ds, a block of the layer's inputs, or all of them where rows are turned;
  // db with the block that holds input 0.
  void backward_parameters(const Operation& op, const Backward<T>& pass, Rows rows, Index first_input,
                           Index inputs, Start start) const;

  // The samples' costs, and d[value] = factor[i] dC_i/d(value), from v[value].
  void evaluate(const Loss& loss, const Targets<T>& targets, Index value, Values<T> v, Rows rows,
                const double* factor, double* cost, T* d) const;

  // A value's rows from where they lie as `rows` says to row after row, and back.
  void unturn(const T* from, Index width, Rows rows, T* to) const;
  void turn(const T* from, Index width, Rows rows, T* to) const;

 private:
  Index width(Index value) const { return program_.widths[static_cast<std::size_t>(value)]; }
  T* at(const Values<T>& v, Index value, Rows rows) const {
    return v.data[static_cast<std::size_t>(value)] + (rows.first - v.origin) * width(value);
  }
  // Turned: all lanes, those without a sample too.
  Matrix<T> matrix(const Values<T>& v, Index value, Rows rows) const {
    T* data = at(v, value, rows);
    if (rows.turned()) return {data, rows.stride, width(value), 1, rows.stride};
    return dense(data, rows.count, width(value));
  }
  void product(Matrix<T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias, Rows rows) const;
  void standardize(Standardization by, const T* x, T* y, Index cols, Rows rows) const;
  void activate(const Operation& op, Values<T> v, Rows rows) const;
  void drop(const Operation& op, const T* from, T* to, Rows rows) const;
  void backward_activation(const Operation& op, const T* s, const T* a, const T* da, T* ds, Rows rows) const;

  const Program& program_;
  const Kernels<T>& kernels_;
  T* const scratch_;
  const AlignedBuffer<T>* packed_ = nullptr;
};

template <class T>
constexpr Matrix<const T> read_only(Matrix<T> m) {
  return {m.data, m.rows, m.cols, m.row_stride, m.col_stride};
}

}  // namespace mlpkern
