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

// x (..., cols) as rows.
template <class T>
Matrix<const T> as_rows(const Numbers<T>& x, const Shape& shape) {
  return dense(x.data, rows_before_last(shape), shape.back());
}

// What a product costs, its elements' stores included.
double multiply_adds(Index rows, Index D, Index L) {
  return static_cast<double>(rows) * static_cast<double>(L) * static_cast<double>(D + 1);
}

void check_x_and_w(Who who, const Argument& x, const Argument& w) {
  if (x.array.ndim() < 1) fail_value(who + ": x must be (..., D) or (D,); got x ()");
  if (w.array.ndim() != 2 || w.array.shape(0) != x.array.shape(x.array.ndim() - 1)) {
    fail_value(who + ": w must be (D, L) with D = x.shape[-1]; got x " + text(shape_of(x.array)) + ", w " +
               text(shape_of(w.array)));
  }
}

py::array linear_array(const py::object& x_, const py::object& w_, const py::object& b_,
                       const py::object& out) {
  const Who who = "linear";
  const Argument x = argument(who, "x", x_), w = argument(who, "w", w_), b = optional_argument(who, "b", b_);
  const Dtype dtype = common_dtype(who, {&x, &w, &b});
  check_x_and_w(who, x, w);
  const Index D = w.array.shape(0), L = w.array.shape(1);
  if (b.array && !has_shape(b.array, {L})) {
    fail_value("linear: b must be (L,) with L = w.shape[1]; got w " + text(shape_of(w.array)) + ", b " +
               text(shape_of(b.array)));
  }
  return for_dtype(dtype, [&](auto zero) -> py::array {
    using T = decltype(zero);
    const Shape shape = shape_of(x.array);
    auto s = output<T>(who, out, with_last(shape, L), {&x, &w, &b});
    const auto xc = contiguous<T>(x.array), wc = contiguous<T>(w.array);
    const auto bc = b.array ? contiguous<T>(b.array) : Numbers<T>();
    const Matrix<const T> x_rows = as_rows(xc, shape), w_rows = dense(wc.data, D, L);
    T* data = writable<T>(s);
    compute(multiply_adds(x_rows.rows, D, L),
            [&] { linear(x_rows, w_rows, bc.data, dense(data, x_rows.rows, L)); });
    return s;
  });
}

py::tuple linear_backward_arrays(const py::object& ds_, const py::object& x_, const py::object& w_,
                                 bool need_dx, const py::object& out, bool accumulate) {
  const Who who = "linear_backward";
  const Argument ds = argument(who, "ds", ds_), x = argument(who, "x", x_), w = argument(who, "w", w_);
  const Dtype dtype = common_dtype(who, {&ds, &x, &w});
  check_x_and_w(who, x, w);
  const Index D = w.array.shape(0), L = w.array.shape(1);
  const Shape x_shape = shape_of(x.array);
  if (!has_shape(ds.array, with_last(x_shape, L))) {
    fail_value("linear_backward: ds must be " + text(with_last(x_shape, L)) +
               ", x's shape with L = w.shape[1] last; got " + text(shape_of(ds.array)));
  }
  py::object outs[3] = {py::none(), py::none(), py::none()};
  if (!out.is_none()) {
    const bool is_tuple = py::isinstance<py::tuple>(out);
    if (!is_tuple || py::len(out) != 3) {
      fail_type("linear_backward: out must be a tuple (dx, dw, db); got " +
                (is_tuple ? "a tuple of " + std::to_string(py::len(out)) : type_name(out)));
    }
    for (std::size_t i = 0; i < 3; ++i) outs[i] = out.cast<py::tuple>()[i];
  }
  if (accumulate && ((need_dx && outs[0].is_none()) || outs[1].is_none() || outs[2].is_none())) {
    fail_value("linear_backward: accumulate=True must be given out=(dx, dw, db) to add to; got None");
  }
  return for_dtype(dtype, [&](auto zero) -> py::tuple {
    using T = decltype(zero);
    const Argument dx = {"out[0]", need_dx ? output<T>(who, outs[0], x_shape, {&ds, &x, &w}, {}, "out[0]")
                                           : py::reinterpret_steal<py::array>(py::handle())};
    const Argument dw = {"out[1]", output<T>(who, outs[1], {D, L}, {&ds, &x, &w, &dx}, {}, "out[1]")};
    auto db = output<T>(who, outs[2], {L}, {&ds, &x, &w, &dx, &dw}, {}, "out[2]");
    const auto dsc = contiguous<T>(ds.array), xc = contiguous<T>(x.array), wc = contiguous<T>(w.array);
    const Matrix<const T> x_rows = as_rows(xc, x_shape), w_rows = dense(wc.data, D, L);
    const Matrix<const T> ds_rows = dense(dsc.data, x_rows.rows, L);
    T *dx_data = need_dx ? writable<T>(dx.array) : nullptr, *dw_data = writable<T>(dw.array),
      *db_data = writable<T>(db);
    compute((need_dx ? 2 : 1) * multiply_adds(x_rows.rows, D, L) + multiply_adds(1, D, L), [&] {
      linear_backward(ds_rows, x_rows, w_rows, dx_data, dw_data, db_data,
                      accumulate ? Start::accumulate : Start::zero);
    });
    return py::make_tuple(need_dx ? py::object(dx.array) : py::object(py::none()), dw.array, db);
  });
}

py::object logsumexp_array(const py::object& e_, double beta) {
  const Who who = "logsumexp";
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
    const auto m = new_array<T>(shape);
    T* data = writable<T>(m);
    constexpr double kMultiplyAdds = 50;  // what an element costs, about
    const double work = kMultiplyAdds * static_cast<double>(rows) * static_cast<double>(cols);
    compute(work, [&] {
      const auto kernel = active_kernels<T>().logsumexp;
      const Index block = std::max<Index>(1, 16384 / cols);
      parallel_for(ceil_div(rows, block), workers_for(work), [&](Index i, int) {
        const Index first = i * block;
        kernel(ec.data + first * cols, data + first, std::min(block, rows - first), cols, beta);
      });
    });
    return shape.empty() ? py::object(m[py::tuple()]) : py::object(m);
  });
}

}  // namespace

void bind_linear(py::module_& m) {
  m.def("linear", &linear_array, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("out"));
  m.def("linear_backward", &linear_backward_arrays, py::arg("ds"), py::arg("x"), py::arg("w"),
        py::arg("need_dx"), py::arg("out"), py::arg("accumulate"));
  m.def("logsumexp", &logsumexp_array, py::arg("e"), py::arg("beta") = 1.0);
}

}  // namespace mlpkern::bindings
