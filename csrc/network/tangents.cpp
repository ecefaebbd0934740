// SPDX-License-Identifier: BSD-3-Clause
// Tangents and cotangents, by first derivatives.
#include "network/tangents.hpp"

#include <algorithm>

#include "network/pool.hpp"

namespace mlpkern {

template <class T>
void Tangents<T>::slopes(int order, T* const* v, T* const* f, std::size_t operations) const {
  for (std::size_t i = 0; i < operations; ++i) {
    const Operation& op = program_.operations[i];
    if (op.kind != Operation::Kind::activation || kernel(op).by_rows) continue;
    const auto& k = kernel(op);
    const auto map = k.from_output[order - 1];
    const auto from_input =
        order == 1 ? k.derivative : (order == 2 ? k.second_derivative : k.third_derivative);
    const T* const from = v[at(map != nullptr ? op.output : op.inputs.front())];
    (map != nullptr ? map : from_input)(from, f[at(op.output)], count_, width(op.output),
                                        op.parameters.data());
  }
}

template <class T>
void Tangents<T>::apply(const Operation& op, bool forward, T* const* v, T* const* f1, const T* x, T* out,
                        Index m) const {
  const Index cols = width(op.output), size = elements(op.output);
  if (op.kind == Operation::Kind::standardize) {
    return kernels_.standardize(x, op.slope(), out, m * count_, cols);
  }
  const auto& k = kernel(op);
  for (Index i = 0; i < m; ++i, x += size, out += size) {
    if (k.by_rows) {
      (forward ? k.jvp : k.vjp)(v[at(op.inputs.front())], x, out, count_, cols, op.parameters.data());
    } else {
      kernels_.multiply(f1[at(op.output)], x, out, size);
    }
  }
}

template <class T>
void Tangents<T>::push_one(const Operation& op, T* const* v, T* const* f1, T* const* t, Index m) const {
  const Index input = op.inputs.front();
  T* const out = t[at(op.output)];
  switch (op.kind) {
    case Operation::Kind::linear:  // s = x w + b
      product(sheets(t, input, m), weights(op), sheets(t, op.output, m), false);
      break;
    case Operation::Kind::activation:  // a = f(s)
    case Operation::Kind::standardize:
      apply(op, true, v, f1, t[at(input)], out, m);
      break;
    case Operation::Kind::dropout:  // only where one trains
      break;
    case Operation::Kind::sum:
      std::copy_n(t[at(input)], m * elements(input), out);
      for (std::size_t k = 1; k < op.inputs.size(); ++k) {
        kernels_.add(t[at(op.inputs[k])], out, m * elements(op.output));
      }
      break;
  }
}

template <class T>
void Tangents<T>::push(T* const* v, T* const* f1, T* const* t, Index m, std::size_t operations) const {
  for (std::size_t i = 0; i < operations; ++i) push_one(program_.operations[i], v, f1, t, m);
}

// All rows of a sheet: row[0], row[stride] …
template <class T>
void Tangents<T>::fill_rows(const T* row, Index stride, Index width, T* sheet) const {
  if (count_ == 0) return;
  for (Index j = 0; j < width; ++j) sheet[j] = row[j * stride];
  for (Index r = 1; r < count_; ++r) std::copy_n(sheet, width, sheet + r * width);
}

template <class T>
void Tangents<T>::push_seed(const T* seed, Index first, T* const* v, T* const* f1, T* const* t,
                            Index m) const {
  const Index D = program_.input_width();
  bool filled = false;
  for (const Operation& op : program_.operations) {
    const bool reads_input = std::find(op.inputs.begin(), op.inputs.end(), 0) != op.inputs.end();
    T* const out = t[at(op.output)];
    if (reads_input && op.kind == Operation::Kind::linear) {  // a row of ds = dx w, or of w, serves all rows
      const Matrix<const T> w = weights(op);
      for (Index i = 0; i < m; ++i) {
        if (seed != nullptr) {
          kernels_.gemm(dense(seed + (first + i) * D, Index{1}, D), w, dense(temp_, Index{1}, w.cols),
                        Start::zero, nullptr, scratch_);
        }
        fill_rows(seed != nullptr ? temp_ : w.data + (first + i) * w.cols, 1, w.cols,
                  out + i * elements(op.output));
      }
      continue;
    }
    if (reads_input && !filled) {
      for (Index i = 0; i < m; ++i) {
        T* const sheet = t[0] + i * count_ * D;
        if (seed != nullptr) {
          fill_rows(seed + (first + i) * D, 1, D, sheet);
        } else {
          std::fill_n(sheet, count_ * D, T(0));
          for (Index r = 0; r < count_; ++r) sheet[r * D + first + i] = T(1);
        }
      }
      filled = true;
    }
    push_one(op, v, f1, t, m);
  }
}

template <class T>
void Tangents<T>::pull_sum(const Operation& op, T* const* g, Index m, bool to_input) const {
  const T* const out = g[at(op.output)];
  const Index size = m * elements(op.output);
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    if (op.inputs[k] == 0 && !to_input) continue;
    T* const in = g[at(op.inputs[k])];
    if (op.begins[k]) {
      std::copy_n(out, size, in);
    } else {
      kernels_.add(out, in, size);
    }
  }
}

template <class T>
void Tangents<T>::pull_one(const Operation& op, T* const* v, T* const* f1, T* const* g, Index m,
                           bool to_input) const {
  const Index input = op.inputs.front();
  if (op.kind == Operation::Kind::sum) return pull_sum(op, g, m, to_input);
  if (input == 0 && !to_input) return;
  const bool fresh = op.begins.front();
  if (op.kind == Operation::Kind::linear) {  // s = x w + b, so dx = ds w'
    return product(sheets(g, op.output, m), transposed(weights(op)), sheets(g, input, m), !fresh);
  }
  // a = f(s), so ds = da (da/ds); added to what has begun by way of da, which nobody reads any more
  T* const ds = g[at(fresh ? input : op.output)];
  apply(op, false, v, f1, g[at(op.output)], ds, m);
  if (!fresh) kernels_.add(ds, g[at(input)], m * elements(input));
}

template <class T>
void Tangents<T>::row_gradients(const Operation& op, T* const* v, T* const* g, Index m,
                                const RowGradients<T>& rows) const {
  Index offset = 0;
  for (Index layer = 0; layer < op.layer; ++layer) offset += program_.layers[at(layer)].parameters();
  const Index D = width(op.inputs.front()), L = width(op.output);
  const bool begun = rows.begun[op.layer];
  for (Index r = 0; r < count_; ++r) {
    const T* const x = v[at(op.inputs.front())] + r * D;
    for (Index i = 0; i < m; ++i) {
      const T* const ds = g[at(op.output)] + (i * count_ + r) * L;
      T* const dw = rows.data + (r * rows.sheets + i) * rows.size + offset;
      kernels_.outer_product(x, D, ds, L, dw, begun);
      if (!program_.layers[at(op.layer)].bias) continue;
      if (begun) {
        kernels_.add(ds, dw + D * L, L);
      } else {
        std::copy_n(ds, L, dw + D * L);
      }
    }
  }
  rows.begun[op.layer] = true;
}

template <class T>
void Tangents<T>::pull(T* const* v, T* const* f1, T* const* g, Index m, std::size_t operations, bool to_input,
                       const RowGradients<T>* rows) const {
  if (rows != nullptr) std::fill_n(rows->begun, program_.layers.size(), false);
  for (std::size_t i = operations; i-- > 0;) {
    const Operation& op = program_.operations[i];
    if (rows != nullptr && op.kind == Operation::Kind::linear) row_gradients(op, v, g, m, *rows);
    pull_one(op, v, f1, g, m, to_input);
  }
}

template <class T>
void Tangents<T>::pull_units(Index first, T* const* v, T* const* f1, T* const* g, Index m, bool to_input,
                             const RowGradients<T>* rows) const {
  const std::size_t all = program_.operations.size();
  const Operation& last = program_.operations.back();
  const Index K = width(last.output), input = last.inputs.front();
  if (rows == nullptr && last.kind == Operation::Kind::linear &&
      input != 0) {  // column k of w serves all rows
    const Matrix<const T> w = weights(last);
    for (Index i = 0; i < m; ++i) {
      fill_rows(w.data + first + i, K, w.rows, g[at(input)] + i * elements(input));
    }
    return pull(v, f1, g, m, all - 1, to_input, nullptr);
  }
  T* const units = g[at(last.output)];
  std::fill_n(units, m * count_ * K, T(0));
  for (Index i = 0; i < m; ++i) {
    for (Index r = 0; r < count_; ++r) units[(i * count_ + r) * K + first + i] = T(1);
  }
  pull(v, f1, g, m, all, to_input, rows);
}

template class Tangents<float>;
template class Tangents<double>;

}  // namespace mlpkern
