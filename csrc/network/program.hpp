// SPDX-License-Identifier: BSD-3-Clause
// A network as a program: values, each a matrix with one row a sample, and operations that make one value
// from others. Value 0 is the input; the last operation makes the output. Chains and sums, however nested,
// become such a list; a map that occurs twice is one layer that two operations use.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <memory>
#include <numeric>
#include <vector>

#include "dispatch/table.hpp"
#include "network/dropout.hpp"

namespace mlpkern {

constexpr std::size_t at(std::integral auto i) { return static_cast<std::size_t>(i); }

struct Layer {
  Index inputs, outputs;
  bool bias;
  Index parameters() const { return inputs * outputs + (bias ? outputs : 0); }
};

// Where a layer's parameters lie, or its gradients: w (inputs, outputs) row by row; b (outputs,), null
// without a bias.
template <class T>
struct LayerArrays {
  T* w;
  T* b;
};
template <class T>
using Arrays = std::vector<LayerArrays<T>>;  // by layer

struct Operation {
  enum class Kind { linear, activation, sum, standardize, dropout } kind;
  std::vector<Index> inputs;  // values; a sum may have several
  Index output;               // a value of its own
  Index layer;                // linear: an index into Program::layers
  Index activation;           // activation: an index into the table's activations
  std::array<double, kMaxParameters> parameters;
  std::vector<double> mean, factor;  // standardize: y = (x - mean) factor, column by column
  // Dropout stands only in programs that train: predictions and derivatives have none.
  std::shared_ptr<Dropout> dropout;
  DropoutMask mask;  // of the pass that has begun last
  // For each input: whether this operation is the first of the backward pass to write its gradient (the
  // others add to it). Filled by mark_beginnings.
  std::vector<bool> begins;

  Standardization standardization() const { return {mean.data(), factor.data()}; }
  Standardization slope() const { return {nullptr, factor.data()}; }  // dy = dx factor
};

struct Program {
  std::vector<Index> widths;  // of each value
  std::vector<Operation> operations;
  std::vector<Layer> layers;

  void mark_beginnings() {
    std::vector<bool> begun(widths.size(), false);
    for (auto op = operations.rbegin(); op != operations.rend(); ++op) {
      op->begins.clear();
      for (const Index input : op->inputs) {
        op->begins.push_back(!begun[static_cast<std::size_t>(input)]);
        begun[static_cast<std::size_t>(input)] = true;
      }
    }
  }

  // Whether two operations use one layer.
  bool shares_layers() const {
    std::vector<bool> used(layers.size(), false);
    for (const Operation& op : operations) {
      if (op.kind != Operation::Kind::linear) continue;
      if (used[at(op.layer)]) return true;
      used[at(op.layer)] = true;
    }
    return false;
  }

  // By value: whether it is linear in the input, as the program is written.
  std::vector<char> flat_values() const {
    std::vector<char> flat(widths.size(), true);
    for (const Operation& op : operations) {
      const auto is_flat = [&](Index input) { return flat[at(input)] != 0; };
      flat[at(op.output)] =
          op.kind != Operation::Kind::activation && std::all_of(op.inputs.begin(), op.inputs.end(), is_flat);
    }
    return flat;
  }

  Index widest() const { return *std::max_element(widths.begin(), widths.end()); }
  Index sum_of_widths() const { return std::accumulate(widths.begin(), widths.end(), Index{0}); }
  Index input_width() const { return widths.front(); }
  Index output() const { return operations.empty() ? 0 : operations.back().output; }
  Index output_width() const { return widths[static_cast<std::size_t>(output())]; }
  Index parameters() const {
    Index sum = 0;
    for (const Layer& layer : layers) sum += layer.parameters();
    return sum;
  }
  // The layers' arrays in a flat one, layer by layer, w row by row, then b.
  template <class T>
  void arrays_in(T* flat, Arrays<T>& arrays) const {
    arrays.clear();
    for (const Layer& layer : layers) {
      arrays.push_back({flat, layer.bias ? flat + layer.inputs * layer.outputs : nullptr});
      flat += layer.parameters();
    }
  }
  template <class T>
  Arrays<T> arrays_in(T* flat) const {
    Arrays<T> arrays;
    arrays_in(flat, arrays);
    return arrays;
  }
  double multiply_adds() const {  // of a forward pass, one row
    double sum = 0;
    for (const Operation& op : operations) {
      if (op.kind != Operation::Kind::linear) continue;
      const Layer& layer = layers[static_cast<std::size_t>(op.layer)];
      sum += static_cast<double>(layer.inputs) * static_cast<double>(layer.outputs);
    }
    return sum;
  }
  // Elements count too: a value is stored and read again, and an activation takes as long as some 8
  // multiply-adds.
  double work_a_row() const {
    constexpr double kAnElement = 8;
    return multiply_adds() + kAnElement * static_cast<double>(sum_of_widths());
  }
};

}  // namespace mlpkern
