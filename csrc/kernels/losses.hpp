// SPDX-License-Identifier: BSD-3-Clause
// The losses: one struct each.
//   p predictions, y targets, both (rows, cols);  C, one number a row, is the sum over the row of the
//   terms that the struct gives for each element;  gradient = factor[row] dC/dp;  the Hessian by p is
//   diagonal, curvature its elements.
// The cross-entropies stand in a file of their own: that of logits needs whole rows.
#pragma once

#include "kernels/cross_entropy.hpp"
#include "kernels/loss_terms.hpp"

namespace mlpkern::MLPKERN_ISA {

// (p - y)²
template <class T>
struct SquaredError : TargetsOnly {
  static constexpr const char* name = "SquaredError";
  using W = Work<T>;
  SquaredError(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y;
    return {d * d, d + d};
  }
  MLPKERN_INLINE W curvature(W p, W y) const { return constant_curvature(p - y, W(2.0)); }
};

// (p - y)² / K
template <class T>
struct MeanSquaredError : TargetsOnly {
  static constexpr const char* name = "MeanSquaredError";
  using W = Work<T>;
  W share;
  MeanSquaredError(const double*, Index cols) : share(W(1.0) / W(static_cast<double>(cols))) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y;
    return {d * d * share, (d + d) * share};
  }
  MLPKERN_INLINE W curvature(W p, W y) const { return constant_curvature(p - y, share + share); }
};

// |p - y|;  the gradient is 0 at 0, the curvature everywhere.
template <class T>
struct AbsoluteError : TargetsOnly {
  static constexpr const char* name = "AbsoluteError";
  using W = Work<T>;
  AbsoluteError(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y, zero(0.0), one(1.0);
    return {abs(d), select(d > zero, one, select(d < zero, -one, d))};  // d itself: 0 or NaN
  }
  MLPKERN_INLINE W curvature(W p, W y) const { return constant_curvature(p - y, W(0.0)); }
};

// d²/2 where |d| = |p - y| <= delta, else delta (|d| - delta/2).
template <class T>
struct Huber {
  static constexpr const char* name = "Huber";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"delta", 1.0}};
  static constexpr bool takes_labels = false;
  using W = Work<T>;
  W delta, half{0.5};
  Huber(const double* h, Index) : delta(h[0]) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y, size = abs(d);
    const auto linear = size > delta;  // false for NaN, which goes the other way
    return {select(linear, delta * (size - half * delta), half * d * d),
            select(linear, select(d > W(0.0), delta, -delta), d)};
  }
  MLPKERN_INLINE W curvature(W p, W y) const {
    const W d = p - y;
    return constant_curvature(d, select(abs(d) > delta, W(0.0), W(1.0)));
  }
};

// q (y - p) where p < y, (1 - q) (p - y) where p > y;  the gradient is -q below the target, 1 - q above
// and 0 at it, the curvature 0 everywhere.
template <class T>
struct Quantile {
  static constexpr const char* name = "Quantile";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"q", 0.5}};
  static constexpr bool takes_labels = false;
  using W = Work<T>;
  W below, above;
  Quantile(const double* h, Index) : below(h[0]), above(W(1.0) - below) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y, zero(0.0);
    const auto over = d > zero;
    return {select(over, above, below) * abs(d),
            select(over, above, select(d < zero, -below, d))};  // d itself: 0 or NaN
  }
  MLPKERN_INLINE W curvature(W p, W y) const { return constant_curvature(p - y, W(0.0)); }
};

// log_input: exp(p) - y p;  else p - y log p.
template <class T>
struct PoissonNLL {
  static constexpr const char* name = "PoissonNLL";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"log_input", 1.0}};
  static constexpr bool takes_labels = false;
  using W = Work<T>;
  bool log_input;
  PoissonNLL(const double* h, Index) : log_input(h[0] != 0) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W zero(0.0);
    const auto absent = (y == zero) & (p == p);
    if (log_input) {
      const W rate = full_exp(p), end(1e4);  // where the rate is infinite, less any y p, it stays so
      return {rate - select(absent, zero, y * select(p > end, end, p)), rate - y};
    }
    return {p - select(absent, zero, y * log(p)), W(1.0) - select(absent, zero, y / p)};
  }
  MLPKERN_INLINE W curvature(W p, W y) const {
    if (log_input) return constant_curvature(y, full_exp(p));
    return select((y == W(0.0)) & (p == p), W(0.0), y / square(p));
  }
};

// -[y log p + (1 - y) log(1 - p)], p a probability.
// Gradient (1 - y)/(1 - p) - y/p: without the first part where y = 1, without the second where y = 0,
// else over the common denominator, which does not cancel. Curvature (1 - y)/(1 - p)^2 + y/p^2 likewise.
template <class T>
struct BinaryCrossEntropy : TargetsOnly {
  static constexpr const char* name = "BinaryCrossEntropy";
  using W = Work<T>;
  BinaryCrossEntropy(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W zero(0.0), one(1.0), no = one - y, miss = one - p;
    const auto never = y == zero, always = y == one;
    const W numerator = select(never, one, select(always, -one, p - y));
    const W denominator = select(never, miss, select(always, p, p * miss));
    return {any(~(never | always)) ? -(select(never, zero, y * log(p)) + select(always, zero, no * log1p(-p)))
                                   : -log_or_log1p(never, select(never, -p, p)),  // the same, for less
            numerator / denominator};
  }
  MLPKERN_INLINE W curvature(W p, W y) const {
    const W zero(0.0), one(1.0), miss = one - p;
    const auto never = y == zero, always = y == one;
    const W numerator = select(never | always, one, y * square(miss) + (one - y) * square(p));
    return numerator / square(select(never, miss, select(always, p, p * miss)));
  }
};

// The same cost of sigmoid(s), from the logit s:  max(s, 0) - s y + log(1 + exp(-|s|)), gradient
// sigmoid(s) - y. For s > 0 written as s (1 - y) + ... and (1 - y) - sigmoid(-s), for s <= 0 as
// -s y + ... and sigmoid(s) - y: nothing cancels, and a saturated sigmoid keeps its relative accuracy.
// One division for both the logarithm and the sigmoid, and four more products, took 2.06 ns and not 1.86.
template <class T>
struct BinaryCrossEntropyWithLogits : TargetsOnly {
  static constexpr const char* name = "BinaryCrossEntropyWithLogits";
  using W = Work<T>;
  BinaryCrossEntropyWithLogits(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W s, W y) const {
    const W zero(0.0), one(1.0), e = full_decay(-abs(s)), tail = e / (one + e);
    const auto positive = s > zero;
    const W wrong = select(positive, one - y, y);  // how much of the target lies on the other side
    return {select(wrong == zero, zero, abs(s) * wrong) + log1p_of_fraction(e, e - one),
            select(positive, wrong - tail, tail - wrong)};
  }
  MLPKERN_INLINE W curvature(W s, W y) const {  // sigmoid'(s)
    const W e = full_decay(-abs(s));
    return constant_curvature(y, e / square(W(1.0) + e));
  }
};

// LossKernels::evaluate of a loss that acts element by element.
template <template <class> class Loss, class T>
void evaluate(const T* p, const T* y, const std::int64_t* labels, Index rows, Index cols,
              const double* parameters, const double* factor, double* cost, T* gradient) {
  using W = Work<T>;
  if (cols == 0) return no_columns(rows, cost);
  const Loss<T> loss(parameters, cols);
  T targets[kPiece];
  double terms[kPiece];
  RowSums costs(cols, cost);
  ByElement factors(factor, gradient == nullptr ? 0 : rows, cols);
  for_each_piece(rows, cols, [&](Piece piece) {
    if (y == nullptr) one_hot(labels, piece, cols, targets);
    const double* f = gradient == nullptr ? nullptr : factors.of(piece);
    const T* pp = p + piece.first;
    const T* yy = y == nullptr ? targets : y + piece.first;
    const auto walk = [&]<bool with_cost>() {  // without, the compiler leaves the cost's terms out
      for_each_vector(piece.n, [&](Index i, auto... lanes) {
        const Terms<W> c = loss(load_work(pp + i, lanes...), load_work(yy + i, lanes...));
        if constexpr (with_cost) store(terms + i, to_double(c.cost), lanes...);
        if (gradient == nullptr) return;
        const W g = weighted(W(load(f + i, lanes...)), c.gradient);
        store_work(gradient + piece.first + i, g, lanes...);
      });
    };
    cost == nullptr ? walk.template operator()<false>() : walk.template operator()<true>();
    if (cost != nullptr) costs.add(terms, piece);
  });
}

// LossKernels::curvature of such a loss.
template <template <class> class Loss, class T>
void curvature(const T* p, const T* y, const std::int64_t* labels, Index rows, Index cols,
               const double* parameters, const double* factor, const T* v, T* out) {
  using W = Work<T>;
  if (cols == 0) return;
  const Loss<T> loss(parameters, cols);
  T targets[kPiece];
  ByElement factors(factor, rows, cols);
  for_each_piece(rows, cols, [&](Piece piece) {
    if (y == nullptr) one_hot(labels, piece, cols, targets);
    const double* f = factors.of(piece);
    const T* yy = y == nullptr ? targets : y + piece.first;
    for_each_vector(piece.n, [&, first = piece.first](Index i, auto... lanes) {
      const W d = loss.curvature(load_work(p + first + i, lanes...), load_work(yy + i, lanes...));
      const W product = weighted(W(load(f + i, lanes...)), d * load_work(v + first + i, lanes...));
      store_work(out + first + i, product, lanes...);
    });
  });
}

template <template <class> class Loss, class T>
constexpr LossKernels<T> loss_row() {
  LossKernels<T> row = {Loss<T>::name, {}, Loss<T>::takes_labels, nullptr, nullptr};
  if constexpr (requires { &Loss<T>::evaluate; }) {
    row.evaluate = Loss<T>::evaluate;
    row.curvature = Loss<T>::curvature;
  } else {
    row.evaluate = evaluate<Loss, T>;
    row.curvature = curvature<Loss, T>;
  }
  for (int i = 0; i < kMaxParameters; ++i) row.parameters[i] = Loss<T>::parameters[i];
  return row;
}

template <template <class> class... Loss>
struct LossList {
  template <class T>
  static constexpr LossKernels<T> rows[] = {loss_row<Loss, T>()...};
};

// Another loss is one more struct, and its place here.
using Losses =
    LossList<SquaredError, MeanSquaredError, AbsoluteError, Huber, Quantile, PoissonNLL, BinaryCrossEntropy,
             BinaryCrossEntropyWithLogits, CrossEntropy, CrossEntropyWithLogits>;

}  // namespace mlpkern::MLPKERN_ISA
