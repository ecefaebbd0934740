// SPDX-License-Identifier: BSD-3-Clause
// linear, linear_backward, logsumexp on arrays.
#include <algorithm>
#include <cmath>

#include "bindings/arrays.hpp"
#include "dispatch/registry.hpp"
#include "network/pool.hpp"
#include "network/products.hpp"

namespace mlpkern::bindings {

namespace {

template <class T>
Matrix<const T> as_rows(const py::array_t<T>& a, Index cols) {
  return dense(a.data(), cols == 0 ? rows_before_last(shape_of(a)) : a.size() / cols, cols);
}

Argument optional_argument(const std::string& who, const char* name, const py::object& value) {
  return value.is_none() ? Argument{name, py::reinterpret_steal<py::array>(py::handle())}
                         : argument(who, name, value);
}

void check_x_and_w(const std::string& who, const Argument& x, const Argument& w) {
  if (x.array.ndim() < 1) fail_value(who + ": x must be (..., D) or (D,); got x ()");
  if (w.array.ndim() != 2 || w.array.shape(0) != x.array.shape(x.array.ndim() - 1)) {
    fail_value(who + ": w must be (D, L) with D = x.shape[-1]; got x " + text(shape_of(x.array)) + ", w " +
               text(shape_of(w.array)));
  }
}

py::array linear_array(const py::object& x_, const py::object& w_, const py::object& b_,
                       const py::object& out) {
  const std::string who = "linear";
  const Argument x = argument(who, "x", x_), w = argument(who, "w", w_), b = optional_argument(who, "b", b_);
  const Dtype dtype = common_dtype(who, {&x, &w, &b});
  check_x_and_w(who, x, w);
  const Index D = w.array.shape(0), L = w.array.shape(1);
  if (b.array && shape_of(b.array) != Shape{L}) {
    fail_value("linear: b must be (L,) with L = w.shape[1]; got w " + text(shape_of(w.array)) + ", b " +
               text(shape_of(b.array)));
  }
  return for_dtype(dtype, [&](auto zero) -> py::array {
    using T = decltype(zero);
    auto s = output<T>(who, out, with_last(shape_of(x.array), L), {&x, &w, &b});
    const auto xc = contiguous<T>(x.array), wc = contiguous<T>(w.array);
    const auto bc = b.array ? contiguous<T>(b.array) : py::array_t<T>(0);
    const Matrix<const T> x_rows = as_rows(xc, D), w_rows = dense(wc.data(), D, L);
    const T* bias = b.array ? bc.data() : nullptr;
    T* data = s.mutable_data();
    compute([&] { linear(x_rows, w_rows, bias, dense(data, x_rows.rows, L)); });
    return s;
  });
}

py::tuple linear_backward_arrays(const py::object& ds_, const py::object& x_, const py::object& w_,
                                 bool need_dx, const py::object& out, bool accumulate) {
  const std::string who = "linear_backward";
  const Argument ds = argument(who, "ds", ds_), x = argument(who, "x", x_), w = argument(who, "w", w_);
  const Dtype dtype = common_dtype(who, {&ds, &x, &w});
  check_x_and_w(who, x, w);
  const Index D = w.array.shape(0), L = w.array.shape(1);
  const Shape x_shape = shape_of(x.array);
  if (shape_of(ds.array) != with_last(x_shape, L)) {
    fail_value("linear_backward: ds must be " + text(with_last(x_shape, L)) +
               ", x's shape with L = w.shape[1] last; got " + text(shape_of(ds.array)));
  }
  py::object outs[3] = {py::none(), py::none(), py::none()};
  if (!out.is_none()) {
    const bool is_tuple = py::isinstance<py::tuple>(out);
    if (!is_tuple || py::len(out) != 3) {
      fail_type("linear_backward: out must be a tuple (dx, dw, db); got " +
                (is_tuple ? "a tuple of " + std::to_string(py::len(out))
                          : py::str(py::type::of(out).attr("__name__")).cast<std::string>()));
    }
    for (std::size_t i = 0; i < 3; ++i) outs[i] = out.cast<py::tuple>()[i];
  }
  if (accumulate && ((need_dx && outs[0].is_none()) || outs[1].is_none() || outs[2].is_none())) {
    fail_value("linear_backward: accumulate=True must be given out=(dx, dw, db) to add to; got None");
  }
  return for_dtype(dtype, [&](auto zero) -> py::tuple {
    using T = decltype(zero);
    py::array_t<T> dx;
    if (need_dx) dx = output<T>(who, outs[0], x_shape, {&ds, &x, &w}, {}, "out[0]");
    auto dw = output<T>(who, outs[1], {D, L}, {&ds, &x, &w}, {}, "out[1]");
    auto db = output<T>(who, outs[2], {L}, {&ds, &x, &w}, {}, "out[2]");
    const Argument dx_given = {"out[0]", need_dx ? py::array(dx) : py::array()}, dw_given = {"out[1]", dw};
    if (need_dx) output<T>(who, dw, {D, L}, {&dx_given}, {}, "out[1]");
    if (need_dx) output<T>(who, db, {L}, {&dx_given, &dw_given}, {}, "out[2]");
    if (!need_dx) output<T>(who, db, {L}, {&dw_given}, {}, "out[2]");
    const auto dsc = contiguous<T>(ds.array), xc = contiguous<T>(x.array), wc = contiguous<T>(w.array);
    const Matrix<const T> x_rows = as_rows(xc, D), w_rows = dense(wc.data(), D, L);
    const Matrix<const T> ds_rows = dense(dsc.data(), x_rows.rows, L);
    T *dx_data = need_dx ? dx.mutable_data() : nullptr, *dw_data = dw.mutable_data(),
      *db_data = db.mutable_data();
    compute([&] {
      linear_backward(ds_rows, x_rows, w_rows, dx_data, dw_data, db_data,
                      accumulate ? Start::accumulate : Start::zero);
    });
    return py::make_tuple(need_dx ? py::object(dx) : py::object(py::none()), dw, db);
  });
}

py::object logsumexp_array(const py::object& e_, double beta) {
  const std::string who = "logsumexp";
  const Argument e = argument(who, "e", e_);
  const Dtype dtype = common_dtype(who, {&e});
  if (e.array.ndim() < 1) fail_value("logsumexp: e must be (..., K); got ()");
  if (!(beta > 0) || std::isinf(beta)) {
    fail_value("logsumexp: beta must be finite and greater than 0; got " +
               py::str(py::float_(beta)).cast<std::string>());
  }
  Shape shape = shape_of(e.array);
  const Index cols = shape.back(), rows = rows_before_last(shape);
  if (cols == 0) fail_value("logsumexp: e must have at least one column; got " + text(shape));
  shape.pop_back();
  return for_dtype(dtype, [&](auto zero) -> py::object {
    using T = decltype(zero);
    const auto ec = contiguous<T>(e.array);
    py::array_t<T> m(shape);
    const T* in = ec.data();
    T* data = m.mutable_data();
    compute([&] {
      constexpr double kMultiplyAdds = 50;  // what an element costs, about
      const auto kernel = active_kernels<T>().logsumexp;
      const Index block = std::max<Index>(1, 16384 / cols);
      parallel_for(ceil_div(rows, block),
                   workers_for(kMultiplyAdds * static_cast<double>(rows) * static_cast<double>(cols)),
                   [&](Index i, int) {
                     const Index first = i * block;
                     kernel(in + first * cols, data + first, std::min(block, rows - first), cols, beta);
                   });
    });
    return shape.empty() ? py::object(m[py::tuple()]) : py::object(m);
  });
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("linear", &linear_array, py::arg("x"), py::arg("w"), py::arg("b") = py::none(), py::kw_only(),
        py::arg("out") = py::none());
  m.def("linear_backward", &linear_backward_arrays, py::arg("ds"), py::arg("x"), py::arg("w"), py::kw_only(),
        py::arg("need_dx") = true, py::arg("out") = py::none(), py::arg("accumulate") = false);
  m.def("logsumexp", &logsumexp_array, py::arg("e"), py::arg("beta") = 1.0);
}

}  // namespace mlpkern::bindings
