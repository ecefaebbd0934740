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

// who: "hvp", "ggnvp", or "hessian", of which it gives a row. v and the result (P,).
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
  JetsRequest<T> request;
  Numbers<T> x;  // a copy
  Index n;
  Shape u, u_x, u_xx;  // u_xx empty for order 1
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

// (what pull_jets takes, u, u_x, u_xx), u_xx None for order 1.
template <class T>
py::tuple NetworkOf<T>::jets(const py::object& x_, Index order, const py::object& directions) const {
  const Who who = "derivatives";
  const Argument x = read_input(who, x_);
  const auto xc = contiguous<T>(x.array);
  const Index D = program().input_width(), K = program().output_width();
  auto jets = std::make_unique<JetsOf<T>>();
  JetsRequest<T>& kept = jets->request;
  kept.tangents = D;
  if (!directions.is_none()) {
    const Argument d = argument(who, "directions", directions);
    check_network_dtype<T>(who, d);
    if (d.array.ndim() != 2 || d.array.shape(1) != D) {
      fail_value(who + ": directions must be (m, D) with D = " + std::to_string(D) + "; got " +
                 text(shape_of(d.array)));
    }
    const auto dc = contiguous<T>(d.array);
    kept.units = false;
    kept.seed.assign(dc.data, dc.data + dc.size);
    kept.tangents = d.array.shape(0);
  }
  kept.square = order == 2 && kept.units;
  if (order == 2) kept.pairs = kept.square ? upper_pairs(D) : diagonal_pairs(kept.tangents);
  kept.seconds = static_cast<Index>(kept.pairs.size());
  kept.flat = program().flat_values();
  jets->u = with_last(shape_of(x.array), K);
  jets->u_x = with_last_two(shape_of(x.array), K, kept.tangents);
  if (order == 2) jets->u_xx = jets->u_x;
  if (kept.square) jets->u_xx.push_back(D);
  auto u = new_array<T>(jets->u), u_x = new_array<T>(jets->u_x);
  const py::object u_xx = order == 2 ? py::object(new_array<T>(jets->u_xx)) : py::none();
  T* const second = order == 2 ? writable<T>(py::reinterpret_borrow<py::array>(u_xx)) : nullptr;
  T *const first = writable<T>(u_x), *const value = writable<T>(u);
  const Index n = jets->n = rows_before_last(jets->u);
  auto copy = new_array<T>({n, D});
  std::copy_n(xc.data, n * D, writable<T>(copy));
  jets->x = contiguous<T>(copy);
  const Use use(usages_, false, who);
  compute(static_cast<double>(1 + kept.tangents + kept.seconds) * multiply_adds(n),
          [&] { network_.jets(xc.data, n, kept, value, first, second); });
  return py::make_tuple(std::unique_ptr<JetsObject>(std::move(jets)), u, u_x, u_xx);
}

template <class T>
void NetworkOf<T>::pull_jets(const JetsObject& jets_, const py::object& du, const py::object& du_x,
                             const py::object& du_xx) {
  const Who who = "backward";
  const auto& jets = dynamic_cast<const JetsOf<T>&>(jets_);
  for (const Operation& op : program().operations) {
    if (op.kind != Operation::Kind::activation || !metadata().activations[op.activation].by_rows) continue;
    fail_type(who + ": every activation must be elementwise where derivatives are trained; got " +
              metadata().activations[op.activation].name);
  }
  if (jets.u_xx.empty() && !du_xx.is_none()) {
    fail_value(who + ": du_xx must be None without u_xx, which needs order=2");
  }
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
  const JetsRequest<T>& asked = jets.request;
  compute(3 * static_cast<double>(1 + asked.tangents + asked.seconds) * multiply_adds(jets.n),
          [&] { network_.pull_jets(jets.x.data, jets.n, asked, d.data, d_x.data, d_xx.data, gradients_); });
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
  template py::array NetworkOf<T>::second_derivatives(const std::string&, const py::object&) const;          \
  template py::array NetworkOf<T>::hessian_product(const std::string&, const LossObject&, const py::object&, \
                                                   const py::object&, const py::object&, const py::object&)  \
      const;                                                                                                 \
  template py::tuple NetworkOf<T>::linearize(const py::object&) const;                                       \
  template py::tuple NetworkOf<T>::jets(const py::object&, Index, const py::object&) const;                  \
  template void NetworkOf<T>::pull_jets(const JetsObject&, const py::object&, const py::object&,             \
                                        const py::object&);
MLPKERN_DERIVATIVES(float)
MLPKERN_DERIVATIVES(double)

}  // namespace mlpkern::bindings
