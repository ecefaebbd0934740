// SPDX-License-Identifier: BSD-3-Clause
// Networks: Jacobians, second derivatives, and products with them.
#include <algorithm>
#include <memory>

#include "bindings/networks.hpp"
#include "network/linearized.hpp"

namespace mlpkern::bindings {

namespace {

// (…, D) with (a, b) in the place of D.
Shape with_last_two(const Shape& shape, py::ssize_t a, py::ssize_t b) {
  Shape result = with_last(shape, a);
  result.push_back(b);
  return result;
}

[[noreturn]] void fail_shape(Who who, bool forward, const Shape& got, const Shape& asked) {
  fail_value(who +
             (forward ? ": v must have the shape of x; got x " : ": g must have the shape of y; got y ") +
             text(asked) + (forward ? ", v " : ", g ") + text(got));
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
                                         bool norms) const {
  const Who who = norms ? "per_sample_gradient_norms" : "per_sample_gradients";
  const Samples samples = read_samples(who, loss, x, y, py::none(), false);
  const Index n = samples.targets.n;
  auto result = norms ? new_array<T>({n}) : new_array<T>({n, program().parameters()});
  T* data = writable<T>(result);
  const Use use(usages_, false, who);
  compute(3 * multiply_adds(n), [&] {
    network_.sample_gradients(samples.x.data, samples.targets.targets(), n, loss.loss(), norms, data);
  });
  return result;
}

namespace {

std::vector<Pair> made_from(const Pairs& pairs) {
  std::vector<Pair> result;
  for (const auto& [i, j, q] : pairs) result.push_back({i, j, q});
  return result;
}

}  // namespace

template <class T>
py::array NetworkOf<T>::second_derivatives(const std::string& who, const py::object& x, const Pairs& pairs,
                                           Index sheets) const {
  const std::vector<Pair> all = made_from(pairs);
  return by_sample(
      who, x, program().output_width(), sheets, static_cast<double>(1 + program().input_width() + sheets),
      [&](const T* data, Index n, T* second) { network_.second_derivatives(data, n, all, sheets, second); });
}

template <class T>
void NetworkOf<T>::hessian_product(const LossObject& loss, const py::object& x, const py::object& y,
                                   const py::object& weight, const ArrayPairs& direction,
                                   const ArrayPairs& product, const std::string& who) const {
  const bool gauss_newton = who == "ggnvp";
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

namespace {

template <class T>
class LinearizedOf final : public LinearizedObject {
 public:
  LinearizedOf(const Network<T>& network, const T* x, Shape x_shape, Shape y_shape, T* y)
      : x_shape_(x_shape), y_shape_(y_shape),
        linearized_(network.program(), network.parameters(), x, rows_before_last(x_shape), y) {}

  py::array product(const py::object& vector, bool forward) const override {
    const Who who = forward ? "jvp" : "vjp";
    const Argument v = argument(who, forward ? "v" : "g", vector);
    check_network_dtype<T>(who, v);
    const Shape &asked = forward ? x_shape_ : y_shape_, &given = forward ? y_shape_ : x_shape_;
    if (!has_shape(v.array, asked)) fail_shape(who, forward, shape_of(v.array), asked);
    const auto vc = contiguous<T>(v.array);
    auto result = new_array<T>(given);
    T* data = writable<T>(result);
    compute(linearized_.program().work_a_row() * static_cast<double>(linearized_.rows()),
            [&] { forward ? linearized_.jvp(vc.data, data) : linearized_.vjp(vc.data, data); });
    return result;
  }

 private:
  Shape x_shape_, y_shape_;
  Linearized<T> linearized_;
};

template <class T>
struct JetsOf final : JetsObject {
  KeptJets<T> kept;
  Shape u, u_x, u_xx;
};

}  // namespace

// (what gives products, y)
template <class T>
py::tuple NetworkOf<T>::linearize(const py::object& x_) const {
  const Who who = "linearize";
  const Argument x = read_input(who, x_);
  const Shape x_shape = shape_of(x.array), y_shape = with_last(x_shape, program().output_width());
  const auto xc = contiguous<T>(x.array);
  auto y = new_array<T>(y_shape);
  T* data = writable<T>(y);
  const Use use(usages_, false, who);
  std::unique_ptr<LinearizedObject> linearized = compute(multiply_adds(rows_before_last(x_shape)), [&] {
    return std::make_unique<LinearizedOf<T>>(network_, xc.data, x_shape, y_shape, data);
  });
  return py::make_tuple(std::move(linearized), y);
}

// (what pull_jets takes, u, u_x, u_xx)
template <class T>
py::tuple NetworkOf<T>::jets(const py::object& x_, const py::object& directions, const Pairs& pairs,
                             Index tangents, Index seconds) const {
  const Who who = "derivatives";
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  auto jets = std::make_unique<JetsOf<T>>();
  jets->kept.tangents = tangents;
  jets->kept.seconds = seconds;
  jets->kept.pairs = made_from(pairs);
  if (!directions.is_none()) {
    const Argument d = argument(who, "directions", directions);
    check_network_dtype<T>(who, d);
    const auto dc = contiguous<T>(d.array);
    jets->kept.seed.assign(dc.data, dc.data + dc.size);
  }
  const Index K = program().output_width(), n = rows_before_last(shape_of(x.array));
  jets->u = with_last(shape_of(x.array), K);
  jets->u_x = with_last_two(shape_of(x.array), K, tangents);
  jets->u_xx = with_last_two(shape_of(x.array), K, seconds);
  auto u = new_array<T>(jets->u), u_x = new_array<T>(jets->u_x), u_xx = new_array<T>(jets->u_xx);
  T* const to[] = {writable<T>(u), writable<T>(u_x), writable<T>(u_xx)};
  const Use use(usages_, false, who);
  compute(static_cast<double>(1 + tangents + seconds) * multiply_adds(n),
          [&] { network_.keep_jets(xc.data, n, jets->kept, to[0], to[1], to[2]); });
  return py::make_tuple(std::unique_ptr<JetsObject>(std::move(jets)), u, u_x, u_xx);
}

template <class T>
void NetworkOf<T>::pull_jets(const JetsObject& jets_, const py::object& du, const py::object& du_x,
                             const py::object& du_xx) {
  const Who who = "backward";
  const auto& jets = dynamic_cast<const JetsOf<T>&>(jets_);
  const auto read = [&](const char* name, const py::object& value, const Shape& shape) {
    if (value.is_none()) return Numbers<T>();
    const Argument d = argument(who, name, value);
    check_network_dtype<T>(who, d);
    if (!has_shape(d.array, shape)) {
      fail_value(who + ": " + name + " must have the shape of " + (name + 1) + ", " + text(shape) + "; got " +
                 text(shape_of(d.array)));
    }
    return contiguous<T>(d.array);
  };
  const auto d = read("du", du, jets.u), d_x = read("du_x", du_x, jets.u_x);
  const auto d_xx = read("du_xx", du_xx, jets.u_xx);
  const Use use(usages_, true, who);
  compute(3 * static_cast<double>(1 + jets.kept.tangents + jets.kept.seconds) * multiply_adds(jets.kept.n),
          [&] { network_.pull_jets(jets.kept, d.data, d_x.data, d_xx.data, gradients_); });
}

void bind_derivatives(py::module_& m) {
  py::class_<JetsObject>(m, "Jets");
  py::class_<LinearizedObject>(m, "Linearized")
      .def("product", &LinearizedObject::product, py::arg("vector"), py::arg("forward"));
}

#define MLPKERN_DERIVATIVES(T)                                                                               \
  template py::array NetworkOf<T>::jacobian(const py::object&) const;                                        \
  template py::array NetworkOf<T>::parameter_jacobian(const py::object&) const;                              \
  template py::tuple NetworkOf<T>::jacobian_product(const py::object&, const py::object&, bool) const;       \
  template py::array NetworkOf<T>::sample_gradients(const LossObject&, const py::object&, const py::object&, \
                                                    bool) const;                                             \
  template py::array NetworkOf<T>::second_derivatives(const std::string&, const py::object&, const Pairs&,   \
                                                      Index) const;                                          \
  template py::tuple NetworkOf<T>::linearize(const py::object&) const;                                       \
  template py::tuple NetworkOf<T>::jets(const py::object&, const py::object&, const Pairs&, Index, Index)    \
      const;                                                                                                 \
  template void NetworkOf<T>::pull_jets(const JetsObject&, const py::object&, const py::object&,             \
                                        const py::object&);                                                  \
  template void NetworkOf<T>::hessian_product(const LossObject&, const py::object&, const py::object&,       \
                                              const py::object&, const ArrayPairs&, const ArrayPairs&,       \
                                              const std::string&) const;
MLPKERN_DERIVATIVES(float)
MLPKERN_DERIVATIVES(double)

}  // namespace mlpkern::bindings
