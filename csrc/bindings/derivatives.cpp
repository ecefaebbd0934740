// SPDX-License-Identifier: BSD-3-Clause
// Networks: Jacobians, second derivatives, and products with them.
#include "bindings/networks.hpp"

namespace mlpkern::bindings {

namespace {

// (…, D) with (a, b) in the place of D.
Shape with_last_two(const Shape& shape, py::ssize_t a, py::ssize_t b) {
  Shape result = with_last(shape, a);
  result.push_back(b);
  return result;
}

}  // namespace

template <class T>
template <class Work>
py::array NetworkOf<T>::by_sample(Who who, const py::object& x_, Index rows, Index cols, double passes,
                                  const Work& work) const {
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  const Shape shape = shape_of(x.array);
  auto result = new_array<T>(with_last_two(shape, rows, cols));
  T* data = writable<T>(result);
  const Index n = rows_before_last(shape);
  const Use use(usages_, false, who);
  compute(passes * multiply_adds(n), [&] { work(xc.data, n, data); });
  return result;
}

template <class T>
py::array NetworkOf<T>::jacobian(const py::object& x) const {
  const Index D = program().input_width(), K = program().output_width();
  return by_sample("jacobian", x, K, D, static_cast<double>(std::min(D, K) + 1),
                   [&](const T* data, Index n, T* J) { network_.jacobian(data, n, J); });
}

template <class T>
py::array NetworkOf<T>::parameter_jacobian(const py::object& x) const {
  const Index K = program().output_width(), P = program().parameters();
  return by_sample("parameter_jacobian", x, K, P, static_cast<double>(2 * K + 1),
                   [&](const T* data, Index n, T* J) { network_.parameter_jacobian(data, n, J); });
}

// (y, J v) of v like x, or (y, g J) of g like y.
template <class T>
py::tuple NetworkOf<T>::jacobian_product(const py::object& x_, const py::object& vector, bool forward) const {
  const Who who = forward ? "jvp" : "vjp";
  const Argument x = read_input(who, x_), v = argument(who, forward ? "v" : "g", vector);
  check_dtype(who, v);
  const Shape x_shape = shape_of(x.array), y_shape = with_last(x_shape, program().output_width());
  const Shape& asked = forward ? x_shape : y_shape;
  if (!has_shape(v.array, asked)) {
    fail_value(who + (forward ? ": v must have the shape of x; got " : ": g must have the shape of y; got ") +
               text(shape_of(v.array)) + ", not " + text(asked));
  }
  const auto xc = contiguous<T>(x.array), vc = contiguous<T>(v.array);
  auto y = new_array<T>(y_shape), product = new_array<T>(forward ? y_shape : x_shape);
  T *y_data = writable<T>(y), *data = writable<T>(product);
  const Index n = rows_before_last(x_shape);
  const Use use(usages_, false, who);
  compute(3 * multiply_adds(n), [&] {
    forward ? network_.jvp(xc.data, vc.data, n, y_data, data)
            : network_.vjp(xc.data, vc.data, n, y_data, data);
  });
  return py::make_tuple(y, product);
}

template <class T>
py::array NetworkOf<T>::sample_gradients(const LossObject& loss, const py::object& x, const py::object& y,
                                         bool norms) const {
  const Who who = norms ? "per_sample_gradient_norms" : "per_sample_gradients";
  const Samples samples = read_samples(who, loss, x, y, py::none());
  const Index n = samples.targets.n;
  auto result = norms ? new_array<T>({n}) : new_array<T>({n, program().parameters()});
  T* data = writable<T>(result);
  const Use use(usages_, false, who);
  compute(3 * multiply_adds(n), [&] {
    network_.sample_gradients(samples.x.data, samples.targets.targets(), n, loss.loss(), norms, data);
  });
  return result;
}

template <class T>
py::array NetworkOf<T>::second_derivatives(const std::string& who, const py::object& x,
                                           const py::object& directions,
                                           const std::vector<std::tuple<Index, Index, Index>>& pairs,
                                           Index sheets) const {
  const auto seed =
      directions.is_none() ? Numbers<T>() : contiguous<T>(py::reinterpret_borrow<py::array>(directions));
  const Index D = program().input_width(), m = directions.is_none() ? D : seed.size / std::max<Index>(D, 1);
  std::vector<Pair> all;
  for (const auto& [i, j, q] : pairs) all.push_back({i, j, q});
  return by_sample(who, x, program().output_width(), sheets, static_cast<double>(1 + m + sheets),
                   [&](const T* data, Index n, T* second) {
                     network_.second_derivatives(data, n, seed.data, m, all, sheets, second);
                   });
}

template <class T>
void NetworkOf<T>::hessian_product(const LossObject& loss, const py::object& x, const py::object& y,
                                   const py::object& weight, const ArrayPairs& direction,
                                   const ArrayPairs& product, bool gauss_newton) const {
  const Who who = gauss_newton ? "ggnvp" : "hvp";
  const Samples samples = read_samples(who, loss, x, y, weight);
  const Arrays<T> into = pointers(product), from = pointers(direction);
  Arrays<const T> along;
  for (const LayerArrays<T>& arrays : from) along.push_back({arrays.w, arrays.b});
  const Index n = samples.targets.n;
  const Use use(usages_, false, who);
  compute(8 * multiply_adds(n), [&] {
    network_.hessian_product(samples.x.data, samples.targets.targets(), n, loss.loss(), along, gauss_newton,
                             into);
  });
}

#define MLPKERN_DERIVATIVES(T)                                                                               \
  template py::array NetworkOf<T>::jacobian(const py::object&) const;                                        \
  template py::array NetworkOf<T>::parameter_jacobian(const py::object&) const;                              \
  template py::tuple NetworkOf<T>::jacobian_product(const py::object&, const py::object&, bool) const;       \
  template py::array NetworkOf<T>::sample_gradients(const LossObject&, const py::object&, const py::object&, \
                                                    bool) const;                                             \
  template py::array NetworkOf<T>::second_derivatives(                                                       \
      const std::string&, const py::object&, const py::object&,                                              \
      const std::vector<std::tuple<Index, Index, Index>>&, Index) const;                                     \
  template void NetworkOf<T>::hessian_product(const LossObject&, const py::object&, const py::object&,       \
                                              const py::object&, const ArrayPairs&, const ArrayPairs&, bool) \
      const;
MLPKERN_DERIVATIVES(float)
MLPKERN_DERIVATIVES(double)

}  // namespace mlpkern::bindings
