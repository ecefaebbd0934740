// SPDX-License-Identifier: BSD-3-Clause
// Second derivatives by the input, and the way back from them into the gradients of the parameters.
#include <algorithm>

#include "network/tangents.hpp"

namespace mlpkern {

std::vector<Pair> upper_pairs(Index size) {
  std::vector<Pair> pairs;
  for (Index i = 0; i < size; ++i) {
    for (Index j = i; j < size; ++j) pairs.push_back({i, j, static_cast<Index>(pairs.size())});
  }
  return pairs;
}
std::vector<Pair> diagonal_pairs(Index size) {
  std::vector<Pair> pairs;
  for (Index i = 0; i < size; ++i) pairs.push_back({i, i, i});
  return pairs;
}
std::vector<Pair> trace_pairs(Index size) {
  std::vector<Pair> pairs;
  for (Index i = 0; i < size; ++i) pairs.push_back({i, i, 0});
  return pairs;
}

template <class T>
void Tangents<T>::push_second(const Jets<T>& jets, const Slopes<T>& f,
                              const Directions<T>& directions) const {
  const Index m = directions.seconds;
  for (const Operation& op : program_.operations) {
    if (directions.flat[at(op.output)]) continue;
    const Index input = op.inputs.front();
    T* const out = jets.dd[at(op.output)];
    switch (op.kind) {
      case Operation::Kind::linear:
        product(sheets(jets.dd, input, m), weights(op), sheets(jets.dd, op.output, m), false);
        break;
      case Operation::Kind::activation:
        push_second_through(op, jets, f, directions);
        break;
      case Operation::Kind::standardize:
        apply(op, true, jets.v, f.f1, jets.dd[at(input)], out, m);
        break;
      case Operation::Kind::dropout:  // only where one trains
        break;
      case Operation::Kind::sum:
        std::fill_n(out, m * elements(op.output), T(0));
        for (const Index addend : op.inputs) {
          if (!directions.flat[at(addend)]) kernels_.add(jets.dd[at(addend)], out, m * elements(addend));
        }
        break;
    }
  }
}

// dda_ij = f'(s) dds_ij + f''(s) ds_i ds_j
template <class T>
void Tangents<T>::push_second_through(const Operation& op, const Jets<T>& jets, const Slopes<T>& f,
                                      const Directions<T>& directions) const {
  const Index input = op.inputs.front(), size = elements(op.output), m = directions.seconds;
  const auto& k = kernel(op);
  const T *const s = jets.v[at(input)], *const t = jets.t[at(input)], *const f2 = f.f2[at(op.output)];
  T* const out = jets.dd[at(op.output)];
  if (directions.flat[at(input)]) {
    std::fill_n(out, m * size, T(0));
  } else {
    apply(op, true, jets.v, f.f1, jets.dd[at(input)], out, m);
  }
  Index in_temp = -1;
  for (const Pair& p : directions.pairs) {
    const T *const t_i = t + p.i * size, *const t_j = t + p.j * size;
    if (k.by_rows) {
      k.second_jvp(s, t_i, t_j, temp_, count_, width(input), op.parameters.data());
      kernels_.add(temp_, out + p.q * size, size);
      continue;
    }
    if (p.i != in_temp) kernels_.multiply(f2, t_i, temp_, size);
    in_temp = p.i;
    kernels_.multiply_add(temp_, t_j, out + p.q * size, size);
  }
}

template <class T>
void Tangents<T>::pull_jets(const Jets<T>& jets, const Slopes<T>& f, const Directions<T>& directions,
                            const Jets<T>& g, const Arrays<T>& gradients, char* begun) const {
  for (std::size_t i = program_.operations.size(); i-- > 0;) {
    const Operation& op = program_.operations[i];
    if (op.kind == Operation::Kind::linear) {
      pull_jets_through_weights(op, jets, directions, g, gradients[at(op.layer)], begun[op.layer]);
      begun[op.layer] = true;
    }
    if (op.kind == Operation::Kind::activation) {
      if (op.inputs.front() != 0) pull_jets_through(op, jets, f, directions, g);
      continue;
    }
    pull_one(op, jets.v, f.f1, g.v, 1, false);
    pull_one(op, jets.v, f.f1, g.t, directions.tangents, false);
    if (!directions.flat[at(op.output)]) pull_one(op, jets.v, f.f1, g.dd, directions.seconds, false);
  }
}

// s = x w + b, ds = dx w, dds = ddx w: dw adds up over all of them.
template <class T>
void Tangents<T>::pull_jets_through_weights(const Operation& op, const Jets<T>& jets,
                                            const Directions<T>& directions, const Jets<T>& g,
                                            const LayerArrays<T>& gradient, bool begun) const {
  const Index input = op.inputs.front(), output = op.output, D = width(input), L = width(output);
  const Index m = directions.tangents;
  product_of_rows(sheets(jets.v, input, 1), sheets(g.v, output, 1), gradient.w, begun);
  if (input != 0) {
    product_of_rows(sheets(jets.t, input, m), sheets(g.t, output, m), gradient.w, true);
  } else {  // dx is the same for all rows
    for (Index i = 0; i < m; ++i) {
      const auto sheet = read_only(dense(g.t[at(output)] + i * elements(output), count_, L));
      if (directions.seed == nullptr) {
        kernels_.add_column_sums(sheet, gradient.w + i * L);
        continue;
      }
      std::fill_n(temp_, L, T(0));
      kernels_.add_column_sums(sheet, temp_);
      kernels_.outer_product(directions.seed + i * D, D, temp_, L, gradient.w, true);
    }
  }
  if (!directions.flat[at(input)]) {
    product_of_rows(sheets(jets.dd, input, directions.seconds), sheets(g.dd, output, directions.seconds),
                    gradient.w, true);
  }
  if (gradient.b == nullptr) return;
  if (!begun) std::fill_n(gradient.b, L, T(0));
  kernels_.add_column_sums(read_only(sheets(g.v, output, 1)), gradient.b);
}

// From a = f(s), da_i = f' ds_i, dda_ij = f' dds_ij + f'' ds_i ds_j, with G before a name for its cotangent:
//
//   Gs    = f' Ga + sum_i f'' ds_i Gda_i + sum_ij (f'' dds_ij + f''' ds_i ds_j) Gdda_ij
//   Gds_i = f' Gda_i + sum_j f'' ds_j (Gdda_ij + Gdda_ji)
//   Gdds  = f' Gdda
//
// in this order, since each may take the place of what it comes from. Elementwise activations alone.
template <class T>
void Tangents<T>::pull_jets_through(const Operation& op, const Jets<T>& jets, const Slopes<T>& f,
                                    const Directions<T>& directions, const Jets<T>& g) const {
  const Index input = op.inputs.front(), output = op.output, size = elements(output);
  const Index m = directions.tangents, seconds = directions.seconds;
  const bool fresh = op.begins.front(), curved = !directions.flat[at(input)];
  const auto target = [&](T* const* sheets) { return sheets[at(fresh ? input : output)]; };
  const T *const f1 = f.f1[at(output)], *const f2 = f.f2[at(output)], *const f3 = f.f3[at(output)];
  const T* const t = jets.t[at(input)];
  const T *const from_t = g.t[at(output)], *const from_dd = g.dd[at(output)];
  T *const gv = target(g.v), *const gt = target(g.t);

  kernels_.multiply(f1, g.v[at(output)], gv, size);
  for (Index i = 0; i < m; ++i) {
    kernels_.multiply(f2, t + i * size, temp_, size);
    kernels_.multiply_add(temp_, from_t + i * size, gv, size);
  }
  for (Index q = 0; curved && q < seconds; ++q) {
    kernels_.multiply(f2, jets.dd[at(input)] + q * size, temp_, size);
    kernels_.multiply_add(temp_, from_dd + q * size, gv, size);
  }
  for (const Pair& p : directions.pairs) {
    kernels_.multiply(f3, t + p.i * size, temp_, size);
    kernels_.multiply(temp_, t + p.j * size, temp_, size);
    kernels_.multiply_add(temp_, from_dd + p.q * size, gv, size);
  }
  for (Index i = 0; i < m; ++i) kernels_.multiply(f1, from_t + i * size, gt + i * size, size);
  for (const Pair& p : directions.pairs) {
    kernels_.multiply(f2, from_dd + p.q * size, temp_, size);
    kernels_.multiply_add(temp_, t + p.j * size, gt + p.i * size, size);
    kernels_.multiply_add(temp_, t + p.i * size, gt + p.j * size, size);
  }
  if (curved) {
    T* const gdd = target(g.dd);
    for (Index q = 0; q < seconds; ++q) kernels_.multiply(f1, from_dd + q * size, gdd + q * size, size);
    if (!fresh) kernels_.add(gdd, g.dd[at(input)], seconds * size);
  }
  if (!fresh) {
    kernels_.add(gv, g.v[at(input)], size);
    kernels_.add(gt, g.t[at(input)], m * size);
  }
}

template class Tangents<float>;
template class Tangents<double>;

}  // namespace mlpkern
