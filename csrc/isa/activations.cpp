// SPDX-License-Identifier: BSD-3-Clause
// The table's rows of activations: the elementwise list, then those by rows.
#include "kernels/activations.hpp"

#include "isa/parts.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/softargmax.hpp"
#include "kernels/softargmax_curvature.hpp"

namespace mlpkern::MLPKERN_ISA {

namespace {

template <class A>
constexpr int parameter_count() {
  if constexpr (requires { A::parameters; }) {
    return sizeof(A::parameters) / sizeof(A::parameters[0]);
  } else {
    return 0;
  }
}

template <class A>
A made_from(const double* parameters) {
  if constexpr (parameter_count<A>() == 0) {
    return A{};
  } else if constexpr (parameter_count<A>() == 1) {
    return A{parameters[0]};
  } else {
    return A{parameters[0], parameters[1]};
  }
}

// Whether the function of that order is evaluated in T itself.
template <class A, class T>
constexpr bool works_in_t(int order) {
  if constexpr (requires { A::template works_in_t<T>; }) {
    return (A::template works_in_t<T> & order) != 0;
  } else {
    return false;
  }
}
template <class A, class T, int order>
constexpr auto access() {
  if constexpr (works_in_t<A, T>(order)) {
    return Rounded<T>{};
  } else {
    return Widened<T>{};
  }
}

// The functions of one element, as kernels.
template <class A, class T>
struct Elementwise {
  template <int order>
  using Access = decltype(access<A, T, order>());

  static void value(const T* s, T* out, Index rows, Index cols, const double* parameters) {
    const A f = made_from<A>(parameters);
    const auto value_of = [&](auto x) { return f.value(x); };
    if constexpr (requires { f.value_is_wide(); }) {
      if (f.value_is_wide()) return map_elements<Widened<T>>(s, out, rows * cols, value_of);
    }
    map_elements<Access<kValue>>(s, out, rows * cols, value_of);
  }
  static void derivative(const T* s, T* out, Index rows, Index cols, const double* parameters) {
    const A f = made_from<A>(parameters);
    map_elements<Access<kDerivative>>(s, out, rows * cols, [&](auto x) { return f.derivative(x); });
  }
  static void second_derivative(const T* s, T* out, Index rows, Index cols, const double* parameters) {
    const A f = made_from<A>(parameters);
    map_elements<Access<kSecondDerivative>>(s, out, rows * cols, [&](auto x) {
      if constexpr (requires { f.second_derivative(x); }) {
        return f.second_derivative(x);
      } else {
        return unless_nan(x, decltype(x)(0.0));
      }
    });
  }
  static void third_derivative(const T* s, T* out, Index rows, Index cols, const double* parameters) {
    if constexpr (requires(const A f, Work<T> x) { f.third_derivative(x); }) {
      const A f = made_from<A>(parameters);
      map_elements<Widened<T>>(s, out, rows * cols, [&](auto x) { return f.third_derivative(x); });
    } else {
      map_elements<Rounded<T>>(s, out, rows * cols, [](auto x) { return unless_nan(x, Vec<T>(T(0))); });
    }
  }

  // f', f'' or f''' from a = f(s), which T itself is good enough for.
  template <int order>
  static void from_output(const T* a, T* out, Index rows, Index cols, const double* parameters) {
    const A f = made_from<A>(parameters);
    map_elements<Rounded<T>>(a, out, rows * cols, [&](auto x) {
      if constexpr (order == 1) return f.derivative_from_output(x);
      if constexpr (order == 2) return f.second_from_output(x);
      if constexpr (order == 3) return f.third_from_output(x);
    });
  }

  // The Jacobian is diagonal: jvp and vjp are one product.
  static void jvp(const T* s, const T* v, T* out, Index rows, Index cols, const double* parameters) {
    if constexpr (works_in_t<A, T>(kDerivative)) {
      const A f = made_from<A>(parameters);
      multiply_elements(s, v, out, rows * cols, [&](Vec<T> x) { return f.derivative(x); });
    } else {
      multiply_by<T>(derivative, s, v, out, rows * cols, parameters);
    }
  }
  // ds = da f'(s). From a = f(s), where there is such a form, which T itself is good enough for.
  static void backward(const T* s, const T* a, const T* da, T* ds, Index rows, Index cols,
                       const double* parameters) {
    if constexpr (requires(const A f, Vec<T> x) { f.derivative_from_output(x); }) {
      const A f = made_from<A>(parameters);
      multiply_elements(a, da, ds, rows * cols, [&](Vec<T> x) { return f.derivative_from_output(x); });
    } else {
      jvp(s, da, ds, rows, cols, parameters);
    }
  }
};

template <class A, class T>
ActivationKernels<T> named() {
  ActivationKernels<T> row{};
  row.name = A::name;
  for (int i = 0; i < parameter_count<A>(); ++i) {
    if constexpr (parameter_count<A>() > 0) row.parameters[i] = A::parameters[i];
  }
  return row;
}

template <class A, class T>
ActivationKernels<T> elementwise_row() {
  using F = Elementwise<A, T>;
  auto row = named<A, T>();
  row.value = F::value;
  row.derivative = F::derivative;
  row.second_derivative = F::second_derivative;
  row.third_derivative = F::third_derivative;
  if constexpr (requires(const A f, Vec<T> a) { f.derivative_from_output(a); }) {
    row.from_output[0] = F::template from_output<1>;
    row.from_output[1] = F::template from_output<2>;
    row.from_output[2] = F::template from_output<3>;
  }
  row.jvp = row.vjp = F::jvp;
  row.backward = F::backward;
  return row;
}

template <class A, class Curvature, class T>
ActivationKernels<T> rowwise_row() {
  auto row = named<A, T>();
  row.by_rows = true;
  row.value = A::template value<T>;
  row.jvp = row.vjp = A::template jvp<T>;
  if constexpr (requires { &A::template vjp<T>; }) row.vjp = A::template vjp<T>;
  row.backward = A::template backward<T>;
  row.second_jvp = Curvature::template second_jvp<T>;
  row.second_vjp = Curvature::template second_vjp<T>;
  return row;
}

template <class T, class... Elementwise_>
const auto& table_of(List<Elementwise_...>) {
  static const ActivationKernels<T> table[] = {elementwise_row<Elementwise_, T>()...,
                                               rowwise_row<Softargmax, SoftargmaxCurvature, T>(),
                                               rowwise_row<LogSoftargmax, LogSoftargmaxCurvature, T>()};
  return table;
}

}  // namespace

template <class T>
Rows<ActivationKernels<T>> activation_kernels() {
  const auto& table = table_of<T>(Activations{});
  return {table, static_cast<Index>(sizeof table / sizeof table[0])};
}

template Rows<ActivationKernels<float>> activation_kernels();
template Rows<ActivationKernels<double>> activation_kernels();

}  // namespace mlpkern::MLPKERN_ISA
