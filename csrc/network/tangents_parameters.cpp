// SPDX-License-Identifier: BSD-3-Clause
// Derivatives along a direction of the parameters: of values, and of gradients. V, c: w and b's direction.
//
//   s = x w + b    rs = rx w + x V + c     rdx = rds w' + ds V',  rdw = rx' ds + x' rds,  rdb = sum of rds
//   a = f(s)       ra = f'(s) rs           rds = rda f'(s) + da f''(s) rs
#include <algorithm>

#include "network/tangents.hpp"

namespace mlpkern {

template <class T>
void Tangents<T>::push_parameters(const Arrays<const T>& direction, T* const* v, T* const* f1, T* const* r,
                                  std::size_t operations) const {
  std::fill_n(r[0], elements(0), T(0));
  for (std::size_t i = 0; i < operations; ++i) {
    const Operation& op = program_.operations[i];
    if (op.kind != Operation::Kind::linear) {
      push_one(op, v, f1, r, 1);
      continue;
    }
    const LayerArrays<const T>& change = direction[at(op.layer)];
    const Index input = op.inputs.front(), D = width(input), L = width(op.output);
    long_gemm<T>(kernels_, read_only(sheets(v, input, 1)), dense(change.w, D, L), sheets(r, op.output, 1),
                 change.b == nullptr ? Start::zero : Start::bias, change.b, scratch_);
    if (input != 0) product(sheets(r, input, 1), weights(op), sheets(r, op.output, 1), true);
  }
}

template <class T>
void Tangents<T>::pull_parameters(const Moving& pass, std::size_t operations) const {
  for (std::size_t i = operations; i-- > 0;) {
    const Operation& op = program_.operations[i];
    switch (op.kind) {
      case Operation::Kind::linear:
        pull_parameters_through_weights(op, pass);
        break;
      case Operation::Kind::activation:
        if (op.inputs.front() != 0) pull_parameters_through(op, pass);
        break;
      case Operation::Kind::dropout:  // only where one trains
        break;
      case Operation::Kind::sum:
      case Operation::Kind::standardize:
        pull_one(op, pass.v, pass.f1, pass.d, 1, false);
        pull_one(op, pass.v, pass.f1, pass.rd, 1, false);
        break;
    }
  }
}

template <class T>
void Tangents<T>::pull_parameters_through_weights(const Operation& op, const Moving& pass) const {
  const Index input = op.inputs.front(), D = width(input), L = width(op.output);
  const Matrix<T> d = sheets(pass.d, op.output, 1), rd = sheets(pass.rd, op.output, 1);
  const LayerArrays<T>& gradient = pass.gradients[at(op.layer)];
  char& begun = pass.begun[op.layer];
  product_of_rows(sheets(pass.v, input, 1), rd, gradient.w, begun);
  if (input != 0) product_of_rows(sheets(pass.r, input, 1), d, gradient.w, true);
  if (gradient.b != nullptr) {
    if (!begun) std::fill_n(gradient.b, L, T(0));
    kernels_.add_column_sums(read_only(rd), gradient.b);
  }
  begun = true;
  if (input == 0) return;
  const bool fresh = op.begins.front();
  const Matrix<T> rd_in = sheets(pass.rd, input, 1);
  product(d, transposed(weights(op)), sheets(pass.d, input, 1), !fresh);
  product(rd, transposed(weights(op)), rd_in, !fresh);
  product(d, transposed(dense(pass.direction[at(op.layer)].w, D, L)), rd_in, true);
}

// Where the input's gradients have begun, this part takes the place of the output's, as in pull_one.
template <class T>
void Tangents<T>::pull_parameters_through(const Operation& op, const Moving& pass) const {
  const Index input = op.inputs.front(), output = op.output, size = elements(output);
  const bool fresh = op.begins.front();
  const T *const d_out = pass.d[at(output)], *const rd_out = pass.rd[at(output)];
  T *const d = pass.d[at(fresh ? input : output)], *const rd = pass.rd[at(fresh ? input : output)];
  if (kernel(op).by_rows) {
    kernel(op).second_vjp(pass.v[at(input)], d_out, pass.r[at(input)], temp_, count_, width(input),
                          op.parameters.data());
  } else {
    kernels_.multiply(pass.f2[at(output)], pass.r[at(input)], temp_, size);
    kernels_.multiply(temp_, d_out, temp_, size);
  }
  apply(op, false, pass.v, pass.f1, rd_out, rd, 1);
  kernels_.add(temp_, rd, size);
  apply(op, false, pass.v, pass.f1, d_out, d, 1);
  if (fresh) return;
  kernels_.add(d, pass.d[at(input)], size);
  kernels_.add(rd, pass.rd[at(input)], size);
}

template class Tangents<float>;
template class Tangents<double>;

}  // namespace mlpkern
