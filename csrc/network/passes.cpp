// SPDX-License-Identifier: BSD-3-Clause
#include "network/passes.hpp"

#include <algorithm>

namespace mlpkern {

template <class T>
void Passes<T>::forward(const std::vector<LayerArrays<T>>& parameters, Values<T>& v, Index first, Index count,
                        T* scratch, std::size_t operations) const {
  for (std::size_t i = 0; i < operations; ++i) {
    const Operation& op = program_.operations[i];
    const Matrix<T> in = rows(v, op.inputs.front(), first, count);
    const Matrix<T> out = rows(v, op.output, first, count);
    switch (op.kind) {
      case Operation::Kind::linear: {  // s = x w + b
        const LayerArrays<T>& p = parameters[static_cast<std::size_t>(op.layer)];
        kernels_.gemm(read_only(in), dense<const T>(p.w, in.cols, out.cols), out,
                      p.b == nullptr ? Start::zero : Start::bias, p.b, scratch);
        break;
      }
      case Operation::Kind::activation:  // a = f(s)
        kernels_.activations[op.activation].value(in.data, out.data, count, in.cols, op.parameters.data());
        break;
      case Operation::Kind::sum:
        std::copy_n(in.data, count * in.cols, out.data);
        for (std::size_t k = 1; k < op.inputs.size(); ++k) {
          kernels_.add(at(v, op.inputs[k], first), out.data, count * out.cols);
        }
        break;
    }
  }
}

template <class T>
void Passes<T>::backward(const Backward& pass, Index first, Index count, T* scratch,
                         std::size_t operations) const {
  for (std::size_t i = operations; i-- > 0;) {
    const Operation& op = program_.operations[i];
    if (op.kind == Operation::Kind::linear) {
      backward_parameters(op, pass, first, count, 0, width(op.inputs.front()), scratch);
    }
    backward_inputs(op, pass, first, count, scratch);
  }
}

template <class T>
void Passes<T>::backward_inputs(const Operation& op, const Backward& pass, Index first, Index count,
                                T* scratch) const {
  const Matrix<T> d_out = rows(pass.d, op.output, first, count);
  const Index input = op.inputs.front();
  const Matrix<T> d_in = rows(pass.d, input, first, count);
  const bool fresh = op.begins.front();
  switch (op.kind) {
    case Operation::Kind::linear: {  // s = x w + b, so dx = ds w'
      if (input == 0 && !pass.need_dx) break;
      const T* w = pass.parameters[static_cast<std::size_t>(op.layer)].w;
      kernels_.gemm(read_only(d_out), transposed(dense<const T>(w, d_in.cols, d_out.cols)), d_in,
                    fresh ? Start::zero : Start::accumulate, nullptr, scratch);
      break;
    }
    case Operation::Kind::activation: {  // a = f(s), so ds = da (da/ds)
      if (input == 0 && !pass.need_dx) break;
      const T* s = at(pass.v, input, first);
      const T* a = at(pass.v, op.output, first);
      // Where ds has begun, this part of it takes the place of da, which nobody reads any more.
      T* ds = fresh ? d_in.data : d_out.data;
      kernels_.activations[op.activation].backward(s, a, d_out.data, ds, count, d_in.cols,
                                                   op.parameters.data());
      if (!fresh) kernels_.add(ds, d_in.data, count * d_in.cols);
      break;
    }
    case Operation::Kind::sum:  // each addend gets the sum's gradient
      for (std::size_t k = 0; k < op.inputs.size(); ++k) {
        if (op.inputs[k] == 0 && !pass.need_dx) continue;
        T* d = at(pass.d, op.inputs[k], first);
        if (op.begins[k]) {
          std::copy_n(d_out.data, count * d_out.cols, d);
        } else {
          kernels_.add(d_out.data, d, count * d_out.cols);
        }
      }
      break;
  }
}

template <class T>
void Passes<T>::backward_parameters(const Operation& op, const Backward& pass, Index first, Index count,
                                    Index first_input, Index inputs, T* scratch) const {
  const LayerArrays<T>& gradient = pass.gradients[static_cast<std::size_t>(op.layer)];
  const Matrix<const T> x = read_only(rows(pass.v, op.inputs.front(), first, count));
  const Matrix<const T> ds = read_only(rows(pass.d, op.output, first, count));
  const Matrix<T> dw = dense(gradient.w, x.cols, ds.cols);
  // s = x w + b, so dw = x' ds and db = the sum of ds over the rows.
  kernels_.gemm(transposed(cols_of(x, first_input, inputs)), ds, rows_of(dw, first_input, inputs),
                Start::accumulate, nullptr, scratch);
  if (gradient.b != nullptr && first_input == 0) kernels_.add_column_sums(ds, gradient.b);
}

template class Passes<float>;
template class Passes<double>;

}  // namespace mlpkern
