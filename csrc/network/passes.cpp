// SPDX-License-Identifier: BSD-3-Clause
#include "network/passes.hpp"

#include <algorithm>

#include "network/products.hpp"

namespace mlpkern {

// c = start + a b. Turned, c' = b' a': the samples stand in the lanes, whatever the widths.
template <class T>
void Passes<T>::product(Matrix<T> a, Matrix<const T> b, Matrix<T> c, Start start, const T* bias,
                        Rows rows) const {
  if (!rows.turned()) return long_gemm(kernels_, read_only(a), b, c, start, bias, scratch_);
  kernels_.gemm(transposed(b), read_only(transposed(a)), transposed(c),
                start == Start::bias ? Start::bias_of_rows : start, bias, scratch_);
}

template <class T>
void Passes<T>::forward(const Arrays<T>& parameters, Values<T> v, Rows rows, std::size_t operations) const {
  for (std::size_t i = 0; i < operations; ++i) {
    const Operation& op = program_.operations[i];
    const Matrix<T> in = matrix(v, op.inputs.front(), rows), out = matrix(v, op.output, rows);
    switch (op.kind) {
      case Operation::Kind::linear: {  // s = x w + b
        const LayerArrays<T>& p = parameters[static_cast<std::size_t>(op.layer)];
        const Start start = p.b == nullptr ? Start::zero : Start::bias;
        const T* packed = packed_ == nullptr || rows.turned() ? nullptr : packed_[op.layer].data();
        if (packed != nullptr) {
          long_gemm_packed<T>(kernels_, read_only(in), packed, out, start, p.b);
        } else {
          product(in, dense<const T>(p.w, in.cols, out.cols), out, start, p.b, rows);
        }
        break;
      }
      case Operation::Kind::activation:
        activate(op, v, rows);
        break;
      case Operation::Kind::dropout:
        drop(op, in.data, out.data, rows);
        break;
      case Operation::Kind::sum:
        std::copy_n(in.data, rows.elements(in.cols), out.data);
        for (std::size_t k = 1; k < op.inputs.size(); ++k) {
          kernels_.add(at(v, op.inputs[k], rows), out.data, rows.elements(out.cols));
        }
        break;
      case Operation::Kind::standardize:
        standardize(op.standardization(), in.data, out.data, in.cols, rows);
        break;
    }
  }
}

template <class T>
void Passes<T>::standardize(Standardization by, const T* x, T* y, Index cols, Rows rows) const {
  if (rows.turned()) return kernels_.standardize_turned(x, by, y, cols, rows.stride);
  kernels_.standardize(x, by, y, rows.count, cols);
}

// a = f(s)
template <class T>
void Passes<T>::activate(const Operation& op, Values<T> v, Rows rows) const {
  const auto& f = kernels_.activations[op.activation];
  const T* s = at(v, op.inputs.front(), rows);
  T* a = at(v, op.output, rows);
  const Index cols = width(op.output);
  if (!rows.turned()) return f.value(s, a, rows.count, cols, op.parameters.data());
  if (!f.by_rows) return f.value(s, a, cols, rows.stride, op.parameters.data());
  unturn(s, cols, rows, scratch_);
  f.value(scratch_, scratch_, rows.count, cols, op.parameters.data());
  turn(scratch_, cols, rows, a);
}

// a = m s or, on the way back, ds = m da.
template <class T>
void Passes<T>::drop(const Operation& op, const T* from, T* to, Rows rows) const {
  kernels_.dropout(from, to, rows.first, rows.count, width(op.output), rows.stride, op.mask);
}

template <class T>
void Passes<T>::backward(const Backward<T>& pass, Rows rows, std::size_t operations) const {
  for (std::size_t i = operations; i-- > 0;) {
    const Operation& op = program_.operations[i];
    if (op.kind == Operation::Kind::linear) {
      char& begun = pass.begun[op.layer];
      backward_parameters(op, pass, rows, 0, width(op.inputs.front()),
                          begun ? Start::accumulate : Start::zero);
      begun = true;
    }
    backward_inputs(op, pass, rows);
  }
}

template <class T>
void Passes<T>::backward_inputs(const Operation& op, const Backward<T>& pass, Rows rows) const {
  const Matrix<T> d_out = matrix(pass.d, op.output, rows);
  const Index input = op.inputs.front();
  const Matrix<T> d_in = matrix(pass.d, input, rows);
  const bool fresh = op.begins.front();
  switch (op.kind) {
    case Operation::Kind::linear: {  // s = x w + b, so dx = ds w'
      if (input == 0 && !pass.need_dx) break;
      const T* w = pass.parameters[static_cast<std::size_t>(op.layer)].w;
      product(d_out, transposed(dense<const T>(w, d_in.cols, d_out.cols)), d_in,
              fresh ? Start::zero : Start::accumulate, nullptr, rows);
      break;
    }
    case Operation::Kind::activation: {  // a = f(s), so ds = da (da/ds)
      if (input == 0 && !pass.need_dx) break;
      // Where ds has begun, this part of it takes the place of da, which nobody reads any more.
      T* ds = fresh ? d_in.data : d_out.data;
      backward_activation(op, at(pass.v, input, rows), at(pass.v, op.output, rows), d_out.data, ds, rows);
      if (!fresh) kernels_.add(ds, d_in.data, rows.elements(d_in.cols));
      break;
    }
    case Operation::Kind::dropout: {
      if (input == 0 && !pass.need_dx) break;
      T* ds = fresh ? d_in.data : d_out.data;
      drop(op, d_out.data, ds, rows);
      if (!fresh) kernels_.add(ds, d_in.data, rows.elements(d_in.cols));
      break;
    }
    case Operation::Kind::sum:  // each addend gets the sum's gradient
      for (std::size_t k = 0; k < op.inputs.size(); ++k) {
        if (op.inputs[k] == 0 && !pass.need_dx) continue;
        T* d = at(pass.d, op.inputs[k], rows);
        if (op.begins[k]) {
          std::copy_n(d_out.data, rows.elements(d_out.cols), d);
        } else {
          kernels_.add(d_out.data, d, rows.elements(d_out.cols));
        }
      }
      break;
    case Operation::Kind::standardize: {  // y = (x - mean) factor, so dx = dy factor; added as above
      if (input == 0 && !pass.need_dx) break;
      T* dx = fresh ? d_in.data : d_out.data;
      standardize(op.slope(), d_out.data, dx, d_in.cols, rows);
      if (!fresh) kernels_.add(dx, d_in.data, rows.elements(d_in.cols));
      break;
    }
  }
}

template <class T>
void Passes<T>::backward_activation(const Operation& op, const T* s, const T* a, const T* da, T* ds,
                                    Rows rows) const {
  const auto& f = kernels_.activations[op.activation];
  const Index cols = width(op.output);
  if (!rows.turned()) return f.backward(s, a, da, ds, rows.count, cols, op.parameters.data());
  if (!f.by_rows) return f.backward(s, a, da, ds, cols, rows.stride, op.parameters.data());
  const Index size = rows.count * cols;
  T* const by_row[] = {scratch_, scratch_ + size, scratch_ + 2 * size};
  unturn(s, cols, rows, by_row[0]);
  unturn(a, cols, rows, by_row[1]);
  unturn(da, cols, rows, by_row[2]);
  f.backward(by_row[0], by_row[1], by_row[2], by_row[2], rows.count, cols, op.parameters.data());
  turn(by_row[2], cols, rows, ds);
}

template <class T>
void Passes<T>::backward_parameters(const Operation& op, const Backward<T>& pass, Rows rows,
                                    Index first_input, Index inputs, Start start) const {
  const LayerArrays<T>& gradient = pass.gradients[static_cast<std::size_t>(op.layer)];
  Matrix<const T> x = read_only(matrix(pass.v, op.inputs.front(), rows));
  Matrix<const T> ds = read_only(matrix(pass.d, op.output, rows));
  const Matrix<T> dw = dense(gradient.w, x.cols, ds.cols);
  // s = x w + b, so dw = x' ds and db = the sum of ds over the rows.
  if (rows.turned()) {
    x.rows = ds.rows = rows.count;  // lanes without a sample count for nothing
    kernels_.sum_over_lanes(transposed(x), transposed(ds), dw, gradient.b, start);
    return;
  }
  long_gemm<T>(kernels_, transposed(cols_of(x, first_input, inputs)), ds, rows_of(dw, first_input, inputs),
               start, nullptr, scratch_);
  if (gradient.b == nullptr || first_input != 0) return;
  if (start == Start::zero) std::fill_n(gradient.b, ds.cols, T(0));
  kernels_.add_column_sums(ds, gradient.b);
}

template <class T>
void Passes<T>::evaluate(const Loss& loss, const Targets<T>& targets, Index value, Values<T> v, Rows rows,
                         const double* factor, double* cost, T* d) const {
  const auto& f = kernels_.losses[loss.index];
  const Index K = width(value);
  const T* p = at(v, value, rows);
  if (!rows.turned()) {
    return f.evaluate(p, targets.y, targets.labels, rows.count, K, loss.parameters.data(), factor, cost, d);
  }
  unturn(p, K, rows, scratch_);
  f.evaluate(scratch_, targets.y, targets.labels, rows.count, K, loss.parameters.data(), factor, cost,
             d == nullptr ? nullptr : scratch_);
  if (d != nullptr) turn(scratch_, K, rows, d);
}

template <class T>
void Passes<T>::unturn(const T* from, Index width, Rows rows, T* to) const {
  if (!rows.turned()) {
    std::copy_n(from, rows.count * width, to);
  } else {
    kernels_.transpose({from, width, rows.count, rows.stride, 1}, to, width);
  }
}

template <class T>
void Passes<T>::turn(const T* from, Index width, Rows rows, T* to) const {
  if (!rows.turned()) {
    std::copy_n(from, rows.count * width, to);
    return;
  }
  kernels_.transpose({from, rows.count, width, width, 1}, to, rows.stride);
  if (rows.count == rows.stride) return;
  for (Index j = 0; j < width; ++j) {  // zeros: what is computed from them is not used, but takes no longer
    std::fill(to + j * rows.stride + rows.count, to + (j + 1) * rows.stride, T(0));
  }
}

template class Passes<float>;
template class Passes<double>;

}  // namespace mlpkern
