// SPDX-License-Identifier: BSD-3-Clause
// Derivatives of a program at some rows of a batch, pushed forward along its operations or pulled back.
// Serial, and allocates nothing; who does which rows is decided in jacobians.cpp and curvature.cpp.
//
// For a value of width L and `count` rows a sheet is a matrix (count, L): a tangent of the value, or a
// cotangent. m sheets of a value stand one behind the other, so that one product serves them all:
//
//                     push                        pull
//   s = x w + b       ds = dx w                   dx = ds w'
//   a = f(s)          da = f'(s) ds               ds = da f'(s)
//   y = (x - m) f     dy = dx f                   dx = dy f
//   sum               the sum of the addends'     each addend gets the sum's
//
// Values lie row after row. f'(s) is computed once for all sheets. Second order, of u along t_i and t_j:
//
//   a = f(s)      dda_ij = f'(s) dds_ij + f''(s) ds_i ds_j
#pragma once

#include <vector>

#include "network/passes.hpp"
#include "network/products.hpp"

namespace mlpkern {

// A second derivative: sheet q gets the one along tangents i and j, added to what else it gets.
struct Pair {
  Index i, j, q;
};

// The second derivatives of a matrix of (size, size) on and above its diagonal, those of the diagonal alone,
// and their sum.
std::vector<Pair> upper_pairs(Index size);
std::vector<Pair> diagonal_pairs(Index size);
std::vector<Pair> trace_pairs(Index size);

// Where the gradients of each row by the parameters go: row r of sheet i to data + (r sheets + i) size,
// layer by layer as the layers' parameters lie in a flat array of `size`.
template <class T>
struct RowGradients {
  T* data;
  Index sheets, size;
  char* begun;  // by layer
};

// What a second-order pass works on: sheets of values, tangents and second derivatives, or of their
// cotangents. dd of a flat value (Program::flat_values) is 0 and not stored.
template <class T>
struct Jets {
  T* const* v;
  T* const* t;
  T* const* dd;
};

// The derivatives, first to third, of each elementwise activation, by its output.
template <class T>
struct Slopes {
  T* const* f1;
  T* const* f2;
  T* const* f3;
};

// Which tangents and second derivatives there are. seed (tangents, D): dx for all rows; null: unit vectors.
template <class T>
struct Directions {
  const T* seed;
  Index tangents, seconds;
  const std::vector<Pair>& pairs;
  const std::vector<char>& flat;
};

template <class T>
class Tangents {
 public:
  // temp: room for `count` rows of the widest value.
  Tangents(const Program& program, const Arrays<T>& parameters, const Kernels<T>& kernels, T* scratch,
           T* temp, Index count)
      : program_(program), parameters_(parameters), kernels_(kernels), scratch_(scratch), temp_(temp),
        count_(count) {}

  // The derivatives of an order, 1 to 3, of the elementwise activations among the first `operations`.
  void slopes(int order, T* const* v, T* const* f, std::size_t operations) const;

  // m sheets of each value from those of value 0.
  void push(T* const* v, T* const* f1, T* const* t, Index m, std::size_t operations) const;
  // The same from dx = rows `first` to `first` + m of seed, each the same for all samples.
  void push_seed(const T* seed, Index first, T* const* v, T* const* f1, T* const* t, Index m) const;
  // Second derivatives, from values and tangents; they are added up where pairs share a sheet.
  void push_second(const Jets<T>& jets, const Slopes<T>& f, const Directions<T>& directions) const;

  // m cotangents of each value, back to value 0 where `to_input`, from those of the output of operation
  // `operations` - 1. rows: gradients by the parameters, or null.
  void pull(T* const* v, T* const* f1, T* const* g, Index m, std::size_t operations, bool to_input,
            const RowGradients<T>* rows) const;
  // The same from unit vectors of the output, `first` to `first` + m.
  void pull_units(Index first, T* const* v, T* const* f1, T* const* g, Index m, bool to_input,
                  const RowGradients<T>* rows) const;
  // From cotangents g of values, tangents and second derivatives, which change, into the gradients of the
  // parameters, which start from zero where `begun` does not say otherwise.
  void pull_jets(const Jets<T>& jets, const Slopes<T>& f, const Directions<T>& directions, const Jets<T>& g,
                 const Arrays<T>& gradients, char* begun) const;

  // The derivative r of the values as the parameters move along `direction` (Pearlmutter, 1994).
  void push_parameters(const Arrays<const T>& direction, T* const* v, T* const* f1, T* const* r,
                       std::size_t operations) const;
  // The derivative of the parameters' gradients, likewise, from the last value's gradient d and its
  // derivative rd.
  struct Moving {
    const Arrays<const T>& direction;
    const Arrays<T>& gradients;
    char* begun;
    T *const *v, *const *f1, *const *f2, *const *r, *const *d, *const *rd;
  };
  void pull_parameters(const Moving& pass, std::size_t operations) const;

 private:
  Index width(Index value) const { return program_.widths[at(value)]; }
  Index elements(Index value) const { return count_ * width(value); }
  Matrix<T> sheets(T* const* t, Index value, Index m) const {
    return dense(t[at(value)], m * count_, width(value));
  }
  Matrix<const T> weights(const Operation& op) const {
    return dense<const T>(parameters_[at(op.layer)].w, width(op.inputs.front()), width(op.output));
  }
  const ActivationKernels<T>& kernel(const Operation& op) const {
    return kernels_.activations[op.activation];
  }

  void product(Matrix<T> a, Matrix<const T> b, Matrix<T> c, bool accumulate) const {
    long_gemm<T>(kernels_, read_only(a), b, c, accumulate ? Start::accumulate : Start::zero, nullptr,
                 scratch_);
  }
  // dw = x' ds, or added to it.
  void product_of_rows(Matrix<T> x, Matrix<T> ds, T* dw, bool accumulate) const {
    product(transposed(x), read_only(ds), dense(dw, x.cols, ds.cols), accumulate);
  }
  void push_one(const Operation& op, T* const* v, T* const* f1, T* const* t, Index m) const;
  void pull_one(const Operation& op, T* const* v, T* const* f1, T* const* g, Index m, bool to_input) const;
  void pull_sum(const Operation& op, T* const* g, Index m, bool to_input) const;
  void row_gradients(const Operation& op, T* const* v, T* const* g, Index m,
                     const RowGradients<T>& rows) const;
  // out = (da/ds) x, or x (da/ds), of m sheets.
  void apply(const Operation& op, bool forward, T* const* v, T* const* f1, const T* x, T* out, Index m) const;
  void fill_rows(const T* row, Index stride, Index width, T* sheet) const;

  void push_second_through(const Operation& op, const Jets<T>& jets, const Slopes<T>& f,
                           const Directions<T>& directions) const;
  void pull_jets_through_weights(const Operation& op, const Jets<T>& jets, const Directions<T>& directions,
                                 const Jets<T>& g, const LayerArrays<T>& gradient, bool begun) const;
  void pull_jets_through(const Operation& op, const Jets<T>& jets, const Slopes<T>& f,
                         const Directions<T>& directions, const Jets<T>& g) const;

  void pull_parameters_through_weights(const Operation& op, const Moving& pass) const;
  void pull_parameters_through(const Operation& op, const Moving& pass) const;

  const Program& program_;
  const Arrays<T>& parameters_;
  const Kernels<T>& kernels_;
  T* const scratch_;
  T* const temp_;
  const Index count_;
};

}  // namespace mlpkern
