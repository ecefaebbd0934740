// SPDX-License-Identifier: BSD-3-Clause
// The losses: one struct each.
//   p predictions, y targets, both (rows, cols);  C, one number a row, is the sum over the row of the
//   terms that the struct gives for each element;  gradient = factor[row] dC/dp.
// CrossEntropyWithLogits, which needs whole rows, is a class with an evaluate of its own.
//
// Terms are computed in Work<T> (double for float, pairs of doubles for double); those of C are rounded
// to double and added up in double, those of the gradient are multiplied by the factor and then rounded
// to T once. NaN propagates, infinity too; nothing is clamped. 0 log 0 = 0.
// The callers check ranges (labels, beta > 0, delta > 0).
#pragma once

#include <cstdint>

#include "dispatch/table.hpp"
#include "kernels/reductions.hpp"
#include "math/exp.hpp"
#include "math/log.hpp"
#include "math/log1p.hpp"
#include "math/work.hpp"
#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// What one prediction adds to C, and dC/dp.
template <class W>
struct Terms {
  W cost, gradient;
};

// factor d: exactly 0 for an ignored row (factor 0), even where d is infinite or NaN.
template <class W>
MLPKERN_INLINE W weighted(W factor, W d) {
  const W zero(0.0);
  return select(factor == zero, zero, factor * d);
}

// exp to both ends of double's range. Wide's own ends at ±700, far beyond float's range; but costs are
// doubles, and that of a certain prediction, exp(-infinity), is 0 and not 1e-304.
MLPKERN_INLINE Wide full_exp(Wide x) { return square(exp(x * Wide(0.5))); }
MLPKERN_INLINE Twofold full_exp(Twofold x) { return exp(x); }

struct TargetsOnly {  // neither parameters nor labels
  static constexpr ParameterSpec parameters[kMaxParameters] = {};
  static constexpr bool takes_labels = false;
};

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
};

// |p - y|;  the gradient is 0 at 0.
template <class T>
struct AbsoluteError : TargetsOnly {
  static constexpr const char* name = "AbsoluteError";
  using W = Work<T>;
  AbsoluteError(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W d = p - y, zero(0.0), one(1.0);
    return {abs(d), select(d > zero, one, select(d < zero, -one, d))};  // d itself: 0 or NaN
  }
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
};

// -[y log p + (1 - y) log(1 - p)], p a probability.
// Gradient (1 - y)/(1 - p) - y/p: without the first part where y = 1, without the second where y = 0,
// else over the common denominator, which does not cancel.
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
    return {-(select(never, zero, y * log(p)) + select(always, zero, no * log1p(-p))),
            numerator / denominator};
  }
};

// The same cost of sigmoid(s), from the logit s:  max(s, 0) - s y + log(1 + exp(-|s|)), gradient
// sigmoid(s) - y. For s > 0 written as s (1 - y) + ... and (1 - y) - sigmoid(-s), for s <= 0 as
// -s y + ... and sigmoid(s) - y: nothing cancels, and a saturated sigmoid keeps its relative accuracy.
template <class T>
struct BinaryCrossEntropyWithLogits : TargetsOnly {
  static constexpr const char* name = "BinaryCrossEntropyWithLogits";
  using W = Work<T>;
  BinaryCrossEntropyWithLogits(const double*, Index) {}
  MLPKERN_INLINE Terms<W> operator()(W s, W y) const {
    const W zero(0.0), one(1.0), e = full_exp(-abs(s)), tail = e / (one + e);
    const auto positive = s > zero;
    const W wrong = select(positive, one - y, y);  // how much of the target lies on the other side
    return {select(wrong == zero, zero, abs(s) * wrong) + log1p(e),
            select(positive, wrong - tail, tail - wrong)};
  }
};

// Labels or probabilities y as the target t = (1 - eps) y + eps / K.
template <class T>
struct SmoothedTarget {
  using W = Work<T>;
  W keep, eps, floor;
  SmoothedTarget(double smoothing, Index cols)
      : keep(W(1.0) - W(smoothing)), eps(smoothing), floor(eps / W(static_cast<double>(cols))) {}
  MLPKERN_INLINE W operator()(W y) const { return keep * y + floor; }
  // The sum of a row's targets, from the sum of its y: for labels exactly 1.
  MLPKERN_INLINE W sum(W sum_of_y) const { return keep * sum_of_y + eps; }
};

// -t log p, p a probability; 0 where t = 0.
template <class T>
struct CrossEntropy {
  static constexpr const char* name = "CrossEntropy";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"label_smoothing", 0.0}};
  static constexpr bool takes_labels = true;
  using W = Work<T>;
  SmoothedTarget<T> target;
  CrossEntropy(const double* h, Index cols) : target(h[0], cols) {}
  MLPKERN_INLINE Terms<W> operator()(W p, W y) const {
    const W zero(0.0), t = target(y);
    const auto absent = (t == zero) & (p == p);
    return {-select(absent, zero, t * log(p)), -select(absent, zero, t / p)};
  }
};

// The cost of a row without columns: an empty sum.
inline void no_columns(Index rows, double* cost) {
  for (Index i = 0; cost != nullptr && i < rows; ++i) cost[i] = 0;
}

// The cross-entropy of softargmax_beta(p), p logits, against t. With `top` the place of the largest
// logit, z = beta p, rest = sum over k != top of exp(z_k - z_top), S = 1 + rest, total = sum of t
// = (1 - eps) (sum of y) + eps:
//   C = sum_k t_k (z_top - z_k) + total log1p(rest)          neither part is negative: no cancellation
//   dC/dp_k = beta (total exp(z_k - z_top) / S - t_k)
//   dC/dp_top = beta ((total - t_top) - total rest / S)
// The top's own 1 is left out of rest, so that the cost of a confident row, about rest, keeps its
// relative accuracy. A logit of -inf counts as probability 0; +inf, or nothing but -inf, is NaN.
// beta > 0. Sums run in double; labels are turned into a one-hot y.
template <class T>
class CrossEntropyWithLogits {
 public:
  static constexpr const char* name = "CrossEntropyWithLogits";
  static constexpr ParameterSpec parameters[kMaxParameters] = {{"label_smoothing", 0.0}, {"beta", 1.0}};
  static constexpr bool takes_labels = true;

  // As LossKernels has it.
  static void evaluate(const T* p, const T* y, const std::int64_t* labels, Index rows, Index cols,
                       const double* h, const double* factor, double* cost, T* gradient) {
    if (cols == 0) return no_columns(rows, cost);
    CrossEntropyWithLogits block(h, cols);
    const auto from = [](auto* array, Index first) { return array == nullptr ? array : array + first; };
    const Index step = rows_together(cols);
    for (Index row = 0; row < rows; row += step) {
      block(p + row * cols, from(y, row * cols), from(labels, row), min_index(step, rows - row),
            from(factor, row), from(cost, row), from(gradient, row * cols));
    }
  }

 private:
  using W = Work<T>;

  CrossEntropyWithLogits(const double* h, Index cols) : target_(h[0], cols), beta_(h[1]), cols_(cols) {}

  // The same for rows that are walked together, at most rows_together(cols) of them.
  void operator()(const T* p, const T* y, const std::int64_t* labels, Index rows, const double* factor,
                  double* cost, T* gradient) {
    RowSums rests(cols_, rest_), sums_of_y(cols_, total_), misfits(cols_, misfit_);
    find_largest(p, rows);
    for_each_piece(rows, cols_, [&](Piece piece) {
      exponentials(p, piece);
      at_top(piece, [this](Index i, Index) { e_[i] = e_[i] - 1; });  // 0, or the NaN of inf - inf
      rests.add(e_, piece);
      targets(p, y, labels, piece);
      sums_of_y.add(y_, piece);
      misfits.add(terms_, piece);
    });
    finish_rows(rows, cost);
    if (gradient == nullptr) return;
    for_each_piece(rows, cols_, [&](Piece piece) {
      if (cols_ > kPiece) {  // e and t hold the row's last piece
        exponentials(p, piece);
        targets(p, y, labels, piece);
      }
      gradients(factor, piece, gradient);
    });
  }

  SmoothedTarget<T> target_;
  W beta_;
  Index cols_;
  // By row.
  Index top_[kPiece];
  T largest_[kPiece];
  double rest_[kPiece], total_[kPiece], misfit_[kPiece], scale_[kPiece];
  // By element of a piece.
  double e_[kPiece], y_[kPiece], t_[kPiece], terms_[kPiece], factors_[kPiece];
  T one_hot_[kPiece], shift_[kPiece];

  template <class Visit>
  void at_top(Piece piece, Visit visit) {
    for_each_row(piece, cols_, [=, this](Index row, Index col, Index i, Index count) {
      const Index k = top_[row] - col;
      if (0 <= k && k < count) visit(i + k, row);
    });
  }

  void find_largest(const T* p, Index rows) {
    for (Index row = 0; row < rows; ++row, p += cols_) {
      Index top = 0;
      T largest = p[0];
      for (Index k = 1; k < cols_; ++k) {
        if (p[k] > largest) largest = p[top = k];
      }
      top_[row] = top;
      largest_[row] = largest;
    }
  }

  // e = exp(z - z_top)
  void exponentials(const T* p, Piece piece) {
    spread(largest_, piece, cols_, shift_);
    for_each_vector(piece.n, [this, p = p + piece.first](Index i, auto... lanes) {
      const W z = beta_ * (load_work(p + i, lanes...) - load_work(shift_ + i, lanes...));
      store(e_ + i, to_double(full_exp(z)), lanes...);
    });
  }

  // y, t, and the terms t (z_top - z), 0 where t is 0
  void targets(const T* p, const T* y, const std::int64_t* labels, Piece piece) {
    if (y == nullptr) one_hot(labels, piece, cols_, one_hot_);
    const T* source = y == nullptr ? one_hot_ : y + piece.first;
    for_each_vector(piece.n, [this, source, p = p + piece.first](Index i, auto... lanes) {
      const W zero(0.0), here = load_work(source + i, lanes...), t = target_(here);
      const W z = beta_ * (load_work(shift_ + i, lanes...) - load_work(p + i, lanes...));
      store(y_ + i, to_double(here), lanes...);
      store(t_ + i, to_double(t), lanes...);
      store(terms_ + i, to_double(select(t == zero, zero, t * z)), lanes...);
    });
  }

  // What is left to do once a row: total, total / S and C.
  void finish_rows(Index rows, double* cost) {
    for_each_vector(rows, [this, cost](Index i, auto... lanes) {
      const W rest(load(rest_ + i, lanes...)), misfit(load(misfit_ + i, lanes...));
      const W total = target_.sum(W(load(total_ + i, lanes...)));
      store(total_ + i, to_double(total), lanes...);
      store(scale_ + i, to_double(total / (W(1.0) + rest)), lanes...);
      if (cost != nullptr) store(cost + i, to_double(misfit + total * log1p(rest)), lanes...);
    });
  }

  // Into terms_ goes what multiplies e: total / S, spread over the row.
  void gradients(const double* factor, Piece piece, T* gradient) {
    at_top(piece, [this](Index i, Index row) {
      e_[i] = -rest_[row];
      t_[i] = t_[i] - total_[row];
    });
    spread(scale_, piece, cols_, terms_);
    spread(factor, piece, cols_, factors_);
    for_each_vector(piece.n, [this, g = gradient + piece.first](Index i, auto... lanes) {
      const W q = W(load(e_ + i, lanes...)) * W(load(terms_ + i, lanes...));
      const W d = beta_ * (q - W(load(t_ + i, lanes...)));
      store_work(g + i, weighted(W(load(factors_ + i, lanes...)), d), lanes...);
    });
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
  double terms[kPiece], factors[kPiece];
  RowSums costs(cols, cost);
  for_each_piece(rows, cols, [&](Piece piece) {
    if (y == nullptr) one_hot(labels, piece, cols, targets);
    if (gradient != nullptr) spread(factor, piece, cols, factors);
    const T* pp = p + piece.first;
    const T* yy = y == nullptr ? targets : y + piece.first;
    for_each_vector(piece.n, [&](Index i, auto... lanes) {
      const Terms<W> c = loss(load_work(pp + i, lanes...), load_work(yy + i, lanes...));
      if (cost != nullptr) store(terms + i, to_double(c.cost), lanes...);
      if (gradient != nullptr) {
        const W g = weighted(W(load(factors + i, lanes...)), c.gradient);
        store_work(gradient + piece.first + i, g, lanes...);
      }
    });
    if (cost != nullptr) costs.add(terms, piece);
  });
}

template <template <class> class Loss, class T>
constexpr LossKernels<T> loss_row() {
  LossKernels<T> row = {Loss<T>::name, {}, Loss<T>::takes_labels, nullptr};
  if constexpr (requires { &Loss<T>::evaluate; }) {
    row.evaluate = Loss<T>::evaluate;
  } else {
    row.evaluate = evaluate<Loss, T>;
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
    LossList<SquaredError, MeanSquaredError, AbsoluteError, Huber, PoissonNLL, BinaryCrossEntropy,
             BinaryCrossEntropyWithLogits, CrossEntropy, CrossEntropyWithLogits>;

}  // namespace mlpkern::MLPKERN_ISA
