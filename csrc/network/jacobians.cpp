// SPDX-License-Identifier: BSD-3-Clause
// First derivatives of a network, sample by sample: Jacobians, and their products with vectors. Rows go
// through in tiles that stay in cache, with as many sheets at a time as make long products.
#include <algorithm>
#include <cmath>

#include "network/derivatives.hpp"

namespace mlpkern {

namespace {

constexpr Index kSheets = 64;  // at a time

// Whether the Jacobian costs less pushed forward from D inputs than pulled back from K outputs: the first
// linear map of tangents and the last one of cotangents are a copy of weights.
bool forward_is_cheaper(const Program& program) {
  double all = 0, first = 0;
  for (const Operation& op : program.operations) {
    const double work = op.kind == Operation::Kind::linear
                            ? static_cast<double>(program.widths[at(op.inputs.front())]) *
                                  static_cast<double>(program.widths[at(op.output)])
                            : static_cast<double>(program.widths[at(op.output)]);
    all += work;
    if (op.inputs.front() == 0) first += work;
  }
  const Operation& last = program.operations.back();
  const double end = last.kind == Operation::Kind::linear
                         ? static_cast<double>(program.widths[at(last.inputs.front())]) *
                               static_cast<double>(program.output_width())
                         : 0;
  return static_cast<double>(program.input_width()) * (all - first) <
         static_cast<double>(program.output_width()) * (all - end);
}

}  // namespace

// J (n, K, D)
template <class T>
void Network<T>::jacobian(const T* x, Index n, T* J) const {
  const Index D = program_.input_width(), K = program_.output_width();
  const bool forward = forward_is_cheaper(program_);
  const Index sheets = forward ? D : K, together = std::min(sheets, kSheets);
  at_tiles(x, n, together, sheets, [&](const AtTile& tile) {
    T* const* t = tile.worker.tangents.starts().data();
    for (Index first = 0; first < sheets; first += together) {
      poll();
      const Index m = std::min(together, sheets - first);
      if (forward) {
        tile.tangents.push_seed(nullptr, first, tile.v, tile.f1, t, m);
      } else {
        tile.tangents.pull_units(first, tile.v, tile.f1, t, m, true, nullptr);
      }
      for (Index r = 0; r < tile.count; ++r) {
        T* const row = J + (tile.first + r) * K * D;
        if (forward) {
          const T* const from = t[at(program_.output())] + r * K;
          active_kernels<T>().transpose({from, m, K, tile.count * K, 1}, row + first, D);
        } else {
          for (Index k = 0; k < m; ++k) {
            std::copy_n(t[0] + (k * tile.count + r) * D, D, row + (first + k) * D);
          }
        }
      }
    }
  });
}

// y (n, K) and, of v (n, D), jv (n, K)
template <class T>
void Network<T>::jvp(const T* x, const T* v, Index n, T* y, T* jv) const {
  const Index D = program_.input_width(), K = program_.output_width(), last = program_.output();
  at_tiles(x, n, 1, 1, [&](const AtTile& tile) {
    std::vector<T*>& t = tile.worker.pointers;
    t = tile.worker.tangents.starts();
    t[0] = const_cast<T*>(v) + tile.first * D;  // value 0 is only read
    t[at(last)] = jv + tile.first * K;
    std::copy_n(tile.v[at(last)], tile.count * K, y + tile.first * K);
    tile.tangents.push(tile.v, tile.f1, t.data(), 1, program_.operations.size());
  });
}

// y (n, K) and, of g (n, K), gj (n, D)
template <class T>
void Network<T>::vjp(const T* x, const T* g, Index n, T* y, T* gj) const {
  const Index D = program_.input_width(), K = program_.output_width(), last = program_.output();
  at_tiles(x, n, 1, 1, [&](const AtTile& tile) {
    T* const* t = tile.worker.tangents.starts().data();
    std::copy_n(tile.v[at(last)], tile.count * K, y + tile.first * K);
    std::copy_n(g + tile.first * K, tile.count * K, t[at(last)]);
    tile.tangents.pull(tile.v, tile.f1, t, 1, program_.operations.size(), true, nullptr);
    std::copy_n(t[0], tile.count * D, gj + tile.first * D);
  });
}

// J (n, K, P)
template <class T>
void Network<T>::parameter_jacobian(const T* x, Index n, T* J) const {
  const Index K = program_.output_width(), P = program_.parameters();
  const Index together = std::min(K, kSheets);
  at_tiles(x, n, together, K, [&](const AtTile& tile) {
    for (Index first = 0; first < K; first += together) {
      poll();
      const RowGradients<T> rows = {J + (tile.first * K + first) * P, K, P, tile.worker.begun.data()};
      tile.tangents.pull_units(first, tile.v, tile.f1, tile.worker.tangents.starts().data(),
                               std::min(together, K - first), false, &rows);
    }
  });
}

namespace {

template <class T>
double dot(const T* x, const T* y, Index n) {
  return sum_in_lanes(n, [=](Index i) { return static_cast<double>(x[i]) * static_cast<double>(y[i]); });
}

}  // namespace

// dw = x' ds of one row has the norm |x| |ds|; where a layer occurs twice, <dw_a, dw_b> = <x_a, x_b> <ds_a,
// ds_b>.
template <class T>
double Network<T>::squared_norm(T* const* v, T* const* g, Index row, std::size_t operations) const {
  double sum = 0;
  const auto row_of = [&](T* const* sheets, Index value) {
    return sheets[at(value)] + row * program_.widths[at(value)];
  };
  for (std::size_t i = 0; i < operations; ++i) {
    const Operation& a = program_.operations[i];
    if (a.kind != Operation::Kind::linear) continue;
    const Layer& layer = program_.layers[at(a.layer)];
    for (std::size_t j = i; j < operations; ++j) {
      const Operation& b = program_.operations[j];
      if (b.kind != Operation::Kind::linear || b.layer != a.layer) continue;
      const double inputs = dot(row_of(v, a.inputs.front()), row_of(v, b.inputs.front()), layer.inputs);
      const double outputs = dot(row_of(g, a.output), row_of(g, b.output), layer.outputs);
      sum += (i == j ? 1 : 2) * outputs * (inputs + (layer.bias ? 1 : 0));
    }
  }
  return sum;
}

// The gradient of each sample's cost, (n, P); or, where `norms` is set, its norm, (n,).
template <class T>
void Network<T>::sample_gradients(const T* x, const Targets<T>& targets, Index n, const Loss& asked,
                                  bool norms, T* out) const {
  Loss loss = asked;
  const std::size_t operations = pair_with_loss(loss);
  const Index last = output_of(operations), K = program_.widths[at(last)], P = program_.parameters();
  const std::vector<double> ones(at(n), 1.0);
  at_tiles(x, n, 1, 1, [&](const AtTile& tile) {
    T* const* g = tile.worker.tangents.starts().data();
    const RowGradients<T> rows = {norms ? nullptr : out + tile.first * P, 1, P, tile.worker.begun.data()};
    passes().evaluate(loss, targets_from(targets, tile.first, K), last, {tile.v, tile.first},
                      {tile.first, tile.count}, ones.data(), nullptr, g[at(last)]);
    tile.tangents.pull(tile.v, tile.f1, g, 1, operations, false, norms ? nullptr : &rows);
    for (Index r = 0; norms && r < tile.count; ++r) {
      out[tile.first + r] = static_cast<T>(std::sqrt(squared_norm(tile.v, g, r, operations)));
    }
  });
}

#define MLPKERN_JACOBIANS(T)                                               \
  template void Network<T>::jacobian(const T*, Index, T*) const;           \
  template void Network<T>::jvp(const T*, const T*, Index, T*, T*) const;  \
  template void Network<T>::vjp(const T*, const T*, Index, T*, T*) const;  \
  template void Network<T>::parameter_jacobian(const T*, Index, T*) const; \
  template void Network<T>::sample_gradients(const T*, const Targets<T>&, Index, const Loss&, bool, T*) const;
MLPKERN_JACOBIANS(float)
MLPKERN_JACOBIANS(double)

}  // namespace mlpkern
