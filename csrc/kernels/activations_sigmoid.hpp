// SPDX-License-Identifier: BSD-3-Clause
// Activations made of the logistic function sigma(s) = 1/(1 + exp(-s)) and of its kin. All are written in
//   e = exp(-|s|) in [0, 1], and m = e - 1 = expm1(-|s|), which keeps its accuracy next to s = 0:
// nothing overflows, and nothing cancels except next to a zero of a derivative. Where a result decays, e
// is a factor of it, and carries its scale (Scaled, in math/work.hpp) down to the subnormals. A member
// may clamp s where the result has long reached its limit; a sum 1 + e needs no scale, e being nothing there.
#pragma once

#include "kernels/activations_piecewise.hpp"
#include "math/exp.hpp"
#include "math/log1p.hpp"
#include "math/logistic.hpp"

namespace mlpkern::MLPKERN_ISA {

// Past this, exp(-|s|) and its products with powers of s are below the smallest subnormal.
constexpr double kDecayed = 1000.0;

// sigma and its derivatives: see math/logistic.hpp
struct Sigmoid {
  static constexpr const char* name = "Sigmoid";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    return logistic(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic_derivative(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return logistic_second_derivative(s, 1.0);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return logistic_third_derivative(s, 1.0);
  }
  template <class W>
  MLPKERN_INLINE W derivative_from_output(W a) const {
    return a * (W(1.0) - a);
  }
  template <class W>
  MLPKERN_INLINE W second_from_output(W a) const {  // (1 - 2 a) f'
    return ((W(1.0) - a) - a) * derivative_from_output(a);
  }
  template <class W>
  MLPKERN_INLINE W third_from_output(W a) const {  // (1 - 6 f') f'
    const W d = derivative_from_output(a);
    return (W(1.0) - d * W(6.0)) * d;
  }
};

// f(s) = log(1 + exp(beta s))/beta = max(s, 0) + log1p(exp(-|beta s|))/beta, without a threshold;
// f' = sigma(beta s), f'' = beta sigma'(beta s), f''' = beta^2 sigma''(beta s)
struct Softplus {
  static constexpr const char* name = "Softplus";
  static constexpr ParameterSpec parameters[] = {{"beta", 1.0}};
  template <class T>
  static constexpr int works_in_t = kHasFma && sizeof(T) == sizeof(double) ? kValue | kDerivative : 0;
  double beta;
  // Where 1/beta lifts what exp's end has cut off into sight, the value is a wider number's work.
  MLPKERN_INLINE bool value_is_wide() const { return beta < 0x1p-20; }
  template <class W>
  MLPKERN_INLINE W logit(W s) const {
    return product<W>(to_double(s), Vec<double>(beta));
  }
  MLPKERN_INLINE Pair<double> logit(Vec<double> s) const {
    const Pair<double> x = pair_product(s, pair_of<double>({beta, 0.0}));
    // Where exp has long reached its end, the rest would count as much as the whole, and infinity has none.
    return {x.hi, select(abs(x.hi) < Vec<double>(1024.0), x.lo, Vec<double>(0.0))};
  }
  // x/beta; the reciprocal is taken once a call, not once an element
  template <class W>
  MLPKERN_INLINE W over_beta(W x) const {
    return x * (1.0 / W(beta));
  }
  MLPKERN_INLINE Vec<double> over_beta(Pair<double> x) const {
    const Vec<double> b(beta), one(1.0), inverse = one / b;
    return rounded_product(x, {inverse, fma(-inverse, b, one) * inverse});
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const auto tail = log1p_of_decay(logit(s));
    return {select(s > W(0.0), s, W(0.0)) + over_beta(tail.x), tail.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic(logit(s));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const Scaled<W> d = logistic_derivative(logit(s));
    return {d.x * beta, d.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return logistic_second_derivative(logit(s), square(W(beta)));
  }
};

// f(s) = log sigma(s) = -softplus(-s);  f' = sigma(-s), f'' = -sigma'(s), f''' = -sigma''(s)
struct LogSigmoid {
  static constexpr const char* name = "LogSigmoid";
  template <class T>
  static constexpr int works_in_t = Softplus::works_in_t<T>;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const Scaled<W> softplus = Softplus{1.0}.value(-s);
    return {-softplus.x, softplus.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic(-s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const Scaled<W> d = logistic_derivative(s);
    return {-d.x, d.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return logistic_second_derivative(-s, 1.0);
  }
};

}  // namespace mlpkern::MLPKERN_ISA
