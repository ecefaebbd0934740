// SPDX-License-Identifier: BSD-3-Clause
// Networks: Jacobians, second derivatives, and products with them.
#include <algorithm>

#include "bindings/networks.hpp"
#include "network/pool.hpp"

namespace mlpkern::bindings {

void fail_shape(Who who, bool forward, const Shape& got, const Shape& asked) {
  fail_value(who +
             (forward ? ": v must have the shape of x; got x " : ": g must have the shape of y; got y ") +
             text(asked) + (forward ? ", v " : ", g ") + text(got));
}

template <class T>
template <class Work>
py::array NetworkOf<T>::by_sample(Who who, const py::object& x_, const py::object& out, Index rows,
                                  Index cols, double passes, const Work& work) const {
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  const Shape shape = shape_of(x.array);
  const Shape all = with_last_two(shape, rows, cols);
  if (!out.is_none()) check_apart_from_arrays(who, out, all);
  auto result = output<T>(who, out, all, {&x});
  T* data = writable<T>(result);
  const Index n = rows_before_last(shape);
  const Use use(usages_, false, who);
  compute(passes * multiply_adds(n), [&] { work(xc.data, n, data); });
  return result;
}

template <class T>
py::array NetworkOf<T>::jacobian(const py::object& x, const py::object& out) const {
  const Index D = program().input_width(), K = program().output_width();
  return by_sample("jacobian", x, out, K, D, static_cast<double>(std::min(D, K) + 1),
                   [&](const T* data, Index n, T* J) { network_.jacobian(data, n, J); });
}

template <class T>
py::array NetworkOf<T>::parameter_jacobian(const py::object& x, const py::object& out) const {
  const Index K = program().output_width(), P = program().parameters();
  return by_sample("parameter_jacobian", x, out, K, P, static_cast<double>(2 * K + 1),
                   [&](const T* data, Index n, T* J) { network_.parameter_jacobian(data, n, J); });
}

// (y, J v) of v like x, or (y, g J) of g like y.
template <class T>
py::tuple NetworkOf<T>::jacobian_product(const py::object& x_, const py::object& vector, bool forward) const {
  const Who who = forward ? "jvp" : "vjp";
  const Argument x = read_input(who, x_), v = argument(who, forward ? "v" : "g", vector);
  check_network_dtype<T>(who, v);
  const Shape x_shape = shape_of(x.array), y_shape = with_last(x_shape, program().output_width());
  const Shape& asked = forward ? x_shape : y_shape;
  if (!has_shape(v.array, asked)) fail_shape(who, forward, shape_of(v.array), asked);
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
                                         bool norms, const py::object& out) const {
  const Who who = norms ? "per_sample_gradient_norms" : "per_sample_gradients";
  const Samples samples = read_samples(who, loss, x, y, py::none(), false);
  const Index n = samples.targets.n;
  const Shape shape = norms ? Shape({n}) : Shape({n, program().parameters()});
  if (!out.is_none()) check_apart_from_arrays(who, out, shape);
  const Argument given = {"x", samples.x.array};
  auto result = output<T>(who, out, shape, {&given});
  T* data = writable<T>(result);
  const Use use(usages_, false, who);
  compute(3 * multiply_adds(n), [&] {
    network_.sample_gradients(samples.x.data, samples.targets.targets(), n, loss.loss(), norms, data);
  });
  return result;
}

template <class T>
py::array NetworkOf<T>::second_derivatives(const std::string& who, const py::object& x_) const {
  using Second = typename Network<T>::Second;
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  const Index D = program().input_width();
  const bool square = who == "input_hessian", trace = who == "laplacian";
  Shape shape = with_last(shape_of(x.array), program().output_width());
  const Index n = rows_before_last(shape);
  for (int i = 0; i < (square ? 2 : trace ? 0 : 1); ++i) shape.push_back(D);
  auto result = new_array<T>(shape);
  T* data = writable<T>(result);
  const Use use(usages_, false, who);
  const double passes = static_cast<double>(square ? D * (D + 3) / 2 : 2 * D);
  compute((1 + passes) * multiply_adds(n), [&] {
    network_.second_derivatives(xc.data, n,
                                square ? Second::square : (trace ? Second::trace : Second::diagonal), data);
  });
  return result;
}

// who: "hvp" or "ggnvp". v and the result (P,).
template <class T>
py::array NetworkOf<T>::hessian_product(const std::string& who, const LossObject& loss, const py::object& x,
                                        const py::object& y, const py::object& v_,
                                        const py::object& weight) const {
  const Samples samples = read_samples(who, loss, x, y, weight);
  const Argument v = argument(who, "v", v_);
  check_network_dtype<T>(who, v);
  const Shape shape = {program().parameters()};
  if (!has_shape(v.array, shape)) {
    fail_value(who + ": v must be " + text(shape) + ", as the parameters are; got " +
               text(shape_of(v.array)));
  }
  const auto vc = contiguous<T>(v.array);
  auto product = new_array<T>(shape);
  T* data = writable<T>(product);
  const Index n = samples.targets.n;
  const Use use(usages_, false, who);
  compute(8 * multiply_adds(n), [&] {
    network_.hessian_product(samples.x.data, samples.targets.targets(), n, loss.loss(),
                             program().arrays_in(vc.data), who == "ggnvp", program().arrays_in(data));
  });
  return product;
}

// (P, P), a product a row.
template <class T>
py::array NetworkOf<T>::hessian(const LossObject& loss, const py::object& x, const py::object& y,
                                const py::object& weight) const {
  const Who who = "hessian";
  const Samples samples = read_samples(who, loss, x, y, weight);
  const Index P = program().parameters(), n = samples.targets.n;
  auto result = new_array<T>({P, P});
  T* data = writable<T>(result);
  const Use use(usages_, false, who);
  compute(8 * static_cast<double>(P) * multiply_adds(n), [&] {
    std::vector<T> unit(static_cast<std::size_t>(P));
    InterruptTimer timer;
    for (Index i = 0; i < P; ++i) {
      unit[static_cast<std::size_t>(i)] = T(1);
      network_.hessian_product(samples.x.data, samples.targets.targets(), n, loss.loss(),
                               program().arrays_in(static_cast<const T*>(unit.data())), false,
                               program().arrays_in(data + i * P));
      unit[static_cast<std::size_t>(i)] = T(0);
      timer.check();
    }
  });
  return result;
}

#define MLPKERN_DERIVATIVES(T)                                                                               \
  template py::array NetworkOf<T>::jacobian(const py::object&, const py::object&) const;                     \
  template py::array NetworkOf<T>::parameter_jacobian(const py::object&, const py::object&) const;           \
  template py::tuple NetworkOf<T>::jacobian_product(const py::object&, const py::object&, bool) const;       \
  template py::array NetworkOf<T>::sample_gradients(const LossObject&, const py::object&, const py::object&, \
                                                    bool, const py::object&) const;                          \
  template py::array NetworkOf<T>::second_derivatives(const std::string&, const py::object&) const;          \
  template py::array NetworkOf<T>::hessian_product(const std::string&, const LossObject&, const py::object&, \
                                                   const py::object&, const py::object&, const py::object&)  \
      const;                                                                                                 \
  template py::array NetworkOf<T>::hessian(const LossObject&, const py::object&, const py::object&,          \
                                           const py::object&) const;
MLPKERN_DERIVATIVES(float)
MLPKERN_DERIVATIVES(double)

}  // namespace mlpkern::bindings
