// SPDX-License-Identifier: BSD-3-Clause
// Networks at given samples: linearizations, and derivatives by the input with the way back from them.
#include <algorithm>
#include <memory>

#include "bindings/networks.hpp"
#include "network/linearized.hpp"

namespace mlpkern::bindings {

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
    kept.seed.push_back(T(0));  // without inputs too its pointer must not be null, which means unit vectors
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

#define MLPKERN_JETS(T)                                                                          \
  template py::tuple NetworkOf<T>::linearize(const py::object&) const;                           \
  template py::tuple NetworkOf<T>::jets(const py::object&, Index, const py::object&) const;      \
  template void NetworkOf<T>::pull_jets(const JetsObject&, const py::object&, const py::object&, \
                                        const py::object&);
MLPKERN_JETS(float)
MLPKERN_JETS(double)

}  // namespace mlpkern::bindings
