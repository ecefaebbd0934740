// SPDX-License-Identifier: BSD-3-Clause
#include "network/linearized.hpp"

#include <algorithm>

#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/scratch.hpp"

namespace mlpkern {

template <class T>
Linearized<T>::Linearized(const Program& program, const Arrays<T>& parameters, const T* x, Index n, T* y)
    : program_(program), n_(n), memory_(program.parameters()) {
  parameters_ = program_.arrays_in(memory_.data());
  for (std::size_t i = 0; i < program_.layers.size(); ++i) {
    const Layer& layer = program_.layers[i];
    std::copy_n(parameters[i].w, layer.inputs * layer.outputs, parameters_[i].w);
    if (layer.bias) std::copy_n(parameters[i].b, layer.outputs, parameters_[i].b);
  }
  v_.reserve(std::max<Index>(n, 1), program_.widths);
  f1_.reserve(std::max<Index>(n, 1), program_.widths);
  const Index D = program_.input_width(), K = program_.output_width();
  std::copy_n(x, n * D, v_[0]);
  at_tiles([&](Worker<T>&, const Tangents<T>& tangents, Rows rows, T* const* v, T* const* f1) {
    const Passes<T> pass(program_, active_kernels<T>(), thread_scratch<T>());
    pass.forward(parameters_, {v, rows.first}, rows, program_.operations.size());
    tangents.slopes(1, v, f1, program_.operations.size());
    std::copy_n(v[at(program_.output())], rows.count * K, y + rows.first * K);
  });
}

// use(worker, tangents, rows, v, f1): v and f1 of these rows, and room for a sheet of tangents.
template <class T>
template <class Use>
void Linearized<T>::at_tiles(const Use& use) const {
  const Index size = rows_with_sheets<T>(program_, n_, 1), tiles = n_ == 0 ? 0 : ceil_div(n_, size);
  const int most = workers_for(program_.work_a_row() * static_cast<double>(n_));
  const int crew = static_cast<int>(std::clamp<Index>(tiles, 1, most));
  const typename IdleWorkspaces<T>::Lease workspace(idle_, crew, size, program_, {false, false});
  parallel_for(tiles, crew, [&](Index i, int number) {
    Worker<T>& worker = workspace[number];
    const Rows rows = {i * size, std::min(size, n_ - i * size)};
    worker.tangents.reserve(size, program_.widths);
    worker.temp.reserve(size * program_.widest());
    std::vector<T*> v = v_.starts(), f1 = f1_.starts();
    for (std::size_t value = 0; value < v.size(); ++value) {
      v[value] += rows.first * program_.widths[value];
      f1[value] += rows.first * program_.widths[value];
    }
    const Tangents<T> tangents(program_, parameters_, active_kernels<T>(), thread_scratch<T>(),
                               worker.temp.data(), rows.count);
    use(worker, tangents, rows, v.data(), f1.data());
  });
}

template <class T>
void Linearized<T>::jvp(const T* v, T* jv) const {
  const Index D = program_.input_width(), K = program_.output_width();
  at_tiles([&](Worker<T>& worker, const Tangents<T>& tangents, Rows rows, T* const* values, T* const* f1) {
    T* const* t = worker.tangents.starts().data();
    std::copy_n(v + rows.first * D, rows.count * D, t[0]);
    tangents.push(values, f1, t, 1, program_.operations.size());
    std::copy_n(t[at(program_.output())], rows.count * K, jv + rows.first * K);
  });
}

template <class T>
void Linearized<T>::vjp(const T* g, T* gj) const {
  const Index D = program_.input_width(), K = program_.output_width();
  at_tiles([&](Worker<T>& worker, const Tangents<T>& tangents, Rows rows, T* const* values, T* const* f1) {
    T* const* t = worker.tangents.starts().data();
    std::copy_n(g + rows.first * K, rows.count * K, t[at(program_.output())]);
    tangents.pull(values, f1, t, 1, program_.operations.size(), true, nullptr);
    std::copy_n(t[0], rows.count * D, gj + rows.first * D);
  });
}

template class Linearized<float>;
template class Linearized<double>;

}  // namespace mlpkern
