// SPDX-License-Identifier: BSD-3-Clause
// The optimizers: one struct each, PyTorch's formulas, names, defaults and order of arithmetic.
//   w (n,) parameters, g (n,) gradient (only read), states (n,) each; all of type T, one pass over all.
// A struct is made once a step: its constructor turns the hyperparameters, doubles, into what the
// elements need (1 - beta is taken in double and then rounded to T, as PyTorch does). Its operator()
// moves one vector of elements at i: `lanes` is empty for a whole vector, and the number of lanes in use
// for the last. A state that a configuration does not use may be null.
//
// a x + y is one fused multiply-add, so a result may differ from PyTorch's by a rounding or two; NaN and
// infinity go where the formulas send them. The callers check the hyperparameters' ranges.
#pragma once

#include <cstdint>

#include "dispatch/table.hpp"
#include "kernels/bias_correction.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// torch.lerp: start + weight (end - start), from the end that is nearer.
template <class T>
struct Lerp {
  Vec<T> weight, rest;
  bool from_start;

  explicit Lerp(double a) : weight(T(a)), rest(T(1) - T(a)), from_start(T(a) < T(0.5)) {}
  MLPKERN_INLINE Vec<T> operator()(Vec<T> start, Vec<T> end) const {
    const Vec<T> way = end - start;
    return from_start ? fma(weight, way, start) : fma(-rest, way, end);
  }
};

// The L2 penalty's part of the gradient: g + weight_decay w, and g itself without a penalty (0 w would
// be NaN for an infinite w).
template <class T>
struct Penalty {
  Vec<T> weight_decay;
  bool none;

  explicit Penalty(double a) : weight_decay(T(a)), none(a == 0) {}
  MLPKERN_INLINE Vec<T> operator()(Vec<T> g, Vec<T> w) const { return none ? g : fma(weight_decay, w, g); }
};

// b <- g in step 1, later momentum b + (1 - dampening) g;  w <- w - lr b, with Nesterov's
// w - lr (g + momentum b), without momentum w - lr g.
template <class T>
struct SGD {
  static constexpr const char* name = "SGD";
  static constexpr ParameterSpec parameters[kMaxParameters] = {
      {"lr", 0.1}, {"momentum", 0.0}, {"dampening", 0.0}, {"nesterov", 0.0}, {"weight_decay", 0.0}};
  static constexpr const char* states[kMaxStates] = {"momentum_buffer"};

  Vec<T> minus_lr, momentum, keep;
  bool has_momentum, nesterov, first_step;
  Penalty<T> penalized;

  SGD(const double* h, std::int64_t step)
      : minus_lr(T(-h[0])), momentum(T(h[1])), keep(T(1 - h[2])), has_momentum(h[1] != 0),
        nesterov(h[3] != 0), first_step(step == 1), penalized(h[4]) {}

  template <class... Lanes>
  MLPKERN_INLINE void operator()(Index i, T* w, const T* g, T* const* state, Lanes... lanes) const {
    const Vec<T> old = load(w + i, lanes...);
    Vec<T> d = penalized(load(g + i, lanes...), old);
    if (has_momentum) {
      const Vec<T> b = first_step ? d : fma(keep, d, momentum * load(state[0] + i, lanes...));
      store(state[0] + i, b, lanes...);
      d = nesterov ? fma(momentum, b, d) : b;
    }
    store(w + i, fma(minus_lr, d, old), lanes...);
  }
};

// m <- m + (1 - beta1)(g - m);  v <- beta2 v + (1 - beta2) g²
// w <- w - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// weight_decay: in Adam part of g, in AdamW ("decoupled") first w <- w - lr weight_decay w.
template <class T, bool decoupled>
struct AdamStep {
  Vec<T> minus_step_size, beta2, rest2, inverse_root, eps, shrink;
  bool shrinks;
  Lerp<T> towards;
  Penalty<T> penalized;

  AdamStep(const double* h, std::int64_t step) : AdamStep(h, one_minus_powers({h[1], h[2]}, step)) {}
  AdamStep(const double* h, Two corrections)
      : minus_step_size(T(-h[0] / corrections.first)), beta2(T(h[2])), rest2(T(1 - h[2])),
        inverse_root(T(1 / __builtin_sqrt(corrections.second))), eps(T(h[3])), shrink(T(1 - h[0] * h[4])),
        shrinks(decoupled && h[4] != 0), towards(1 - h[1]), penalized(decoupled ? 0.0 : h[4]) {}

  template <class... Lanes>
  MLPKERN_INLINE void operator()(Index i, T* w, const T* g, T* const* state, Lanes... lanes) const {
    Vec<T> old = load(w + i, lanes...);
    const Vec<T> d = penalized(load(g + i, lanes...), old);
    if (shrinks) old = old * shrink;
    const Vec<T> m = towards(load(state[0] + i, lanes...), d);
    const Vec<T> v = fma(rest2 * d, d, beta2 * load(state[1] + i, lanes...));
    store(state[0] + i, m, lanes...);
    store(state[1] + i, v, lanes...);
    store(w + i, old + minus_step_size * m / fma(sqrt(v), inverse_root, eps), lanes...);
  }
};

template <class T>
struct Adam : AdamStep<T, false> {
  static constexpr const char* name = "Adam";
  static constexpr ParameterSpec parameters[kMaxParameters] = {
      {"lr", 1e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.0}};
  static constexpr const char* states[kMaxStates] = {"exp_avg", "exp_avg_sq"};
  using AdamStep<T, false>::AdamStep;
};

template <class T>
struct AdamW : AdamStep<T, true> {
  static constexpr const char* name = "AdamW";
  static constexpr ParameterSpec parameters[kMaxParameters] = {
      {"lr", 1e-3}, {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 1e-2}};
  static constexpr const char* states[kMaxStates] = {"exp_avg", "exp_avg_sq"};
  using AdamStep<T, true>::AdamStep;
};

// v <- alpha v + (1 - alpha) g²;  centered: a <- a + (1 - alpha)(g - a), and the variance v - a² for v
// r = g / (sqrt(v) + eps);  w <- w - lr r, with momentum b <- momentum b + r, w <- w - lr b
// A variance that rounding made negative counts as 0; PyTorch's root is NaN there (a constant gradient).
template <class T>
struct RMSprop {
  static constexpr const char* name = "RMSprop";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"lr", 1e-2},      {"alpha", 0.99},
                                                               {"eps", 1e-8},     {"weight_decay", 0.0},
                                                               {"momentum", 0.0}, {"centered", 0.0}};
  static constexpr const char* states[kMaxStates] = {"square_avg", "momentum_buffer", "grad_avg"};

  Vec<T> minus_lr, alpha, rest, eps, momentum;
  bool has_momentum, centered;
  Lerp<T> towards;
  Penalty<T> penalized;

  RMSprop(const double* h, std::int64_t)
      : minus_lr(T(-h[0])), alpha(T(h[1])), rest(T(1 - h[1])), eps(T(h[2])), momentum(T(h[4])),
        has_momentum(h[4] != 0), centered(h[5] != 0), towards(1 - h[1]), penalized(h[3]) {}

  template <class... Lanes>
  MLPKERN_INLINE void operator()(Index i, T* w, const T* g, T* const* state, Lanes... lanes) const {
    const Vec<T> old = load(w + i, lanes...);
    const Vec<T> d = penalized(load(g + i, lanes...), old);
    Vec<T> v = fma(rest * d, d, alpha * load(state[0] + i, lanes...));
    store(state[0] + i, v, lanes...);
    if (centered) {
      const Vec<T> a = towards(load(state[2] + i, lanes...), d);
      store(state[2] + i, a, lanes...);
      v = max(Vec<T>(T(0)), fma(-a, a, v));  // max passes its second argument's NaN on
    }
    const Vec<T> root = sqrt(v) + eps;
    if (has_momentum) {
      const Vec<T> b = fma(momentum, load(state[1] + i, lanes...), d / root);
      store(state[1] + i, b, lanes...);
      store(w + i, fma(minus_lr, b, old), lanes...);
    } else {
      store(w + i, old + minus_lr * d / root, lanes...);
    }
  }
};

// v <- v + g²;  w <- w - lr / (1 + (t - 1) lr_decay)  g / (sqrt(v) + eps)
// The caller has filled v with initial_accumulator_value before step 1.
template <class T>
struct Adagrad {
  static constexpr const char* name = "Adagrad";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"lr", 1e-2},
                                                               {"lr_decay", 0.0},
                                                               {"weight_decay", 0.0},
                                                               {"initial_accumulator_value", 0.0},
                                                               {"eps", 1e-10}};
  static constexpr const char* states[kMaxStates] = {"sum"};

  Vec<T> minus_lr, eps;
  Penalty<T> penalized;

  Adagrad(const double* h, std::int64_t step)
      : minus_lr(T(-h[0] / (1 + static_cast<double>(step - 1) * h[1]))), eps(T(h[4])), penalized(h[2]) {}

  template <class... Lanes>
  MLPKERN_INLINE void operator()(Index i, T* w, const T* g, T* const* state, Lanes... lanes) const {
    const Vec<T> old = load(w + i, lanes...);
    const Vec<T> d = penalized(load(g + i, lanes...), old);
    const Vec<T> v = fma(d, d, load(state[0] + i, lanes...));
    store(state[0] + i, v, lanes...);
    store(w + i, old + minus_lr * d / (sqrt(v) + eps), lanes...);
  }
};

template <template <class> class Optimizer, class T>
void update(T* w, const T* g, T* const* states, Index n, const double* parameters, std::int64_t step) {
  const Optimizer<T> move(parameters, step);
  Index i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) move(i, w, g, states);
  if (i < n) move(i, w, g, states, n - i);
}

template <template <class> class Optimizer, class T>
constexpr OptimizerKernels<T> optimizer_row() {
  OptimizerKernels<T> row = {Optimizer<T>::name, {}, {}, update<Optimizer, T>};
  for (int i = 0; i < kMaxParameters; ++i) row.parameters[i] = Optimizer<T>::parameters[i];
  for (int i = 0; i < kMaxStates; ++i) row.states[i] = Optimizer<T>::states[i];
  return row;
}

template <template <class> class... Optimizer>
struct OptimizerList {
  template <class T>
  static constexpr OptimizerKernels<T> rows[] = {optimizer_row<Optimizer, T>()...};
};

// Another optimizer is one more struct, and its place here.
using Optimizers = OptimizerList<SGD, Adam, AdamW, RMSprop, Adagrad>;

}  // namespace mlpkern::MLPKERN_ISA
