// SPDX-License-Identifier: BSD-3-Clause
// The categorical cross-entropy, of probabilities element by element, and of logits by whole rows.
#pragma once

#include "kernels/cross_entropy_curvature.hpp"
#include "kernels/loss_terms.hpp"

namespace mlpkern::MLPKERN_ISA {

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
  MLPKERN_INLINE W curvature(W p, W y) const {
    const W zero(0.0), t = target(y);
    return select((t == zero) & (p == p), zero, t / square(p));
  }
};

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
  static constexpr auto curvature = cross_entropy_curvature<T>;

 private:
  using W = Work<T>;

  CrossEntropyWithLogits(const double* h, Index cols)
      : target_(h[0], cols), beta_(h[1]), cols_(cols), smoothed_(h[0] != 0) {}

  // The same for rows that are walked together, at most rows_together(cols) of them.
  void operator()(const T* p, const T* y, const std::int64_t* labels, Index rows, const double* factor,
                  double* cost, T* gradient) {
    RowSums rests(cols_, rest_), sums_of_y(cols_, total_), misfits(cols_, misfit_);
    const bool one_term = y == nullptr && !smoothed_;  // a row: t is 1 at the label, 0 elsewhere
    find_largest(p, rows);
    if (one_term) label_terms(p, labels, rows);
    for_each_piece(rows, cols_, [&](Piece piece) {
      exponentials(p, piece);
      for_each_place(top_, piece, cols_,
                     [this](Index i, Index) { e_[i] = e_[i] - 1; });  // 0, or the NaN of inf - inf
      rests.add(e_, piece);
      if (one_term) return;
      targets(p, y, labels, piece);
      sums_of_y.add(y_, piece);
      misfits.add(terms_, piece);
    });
    finish_rows(rows, cost);
    if (gradient == nullptr) return;
    ByElement factors(factor, rows, cols_);
    for_each_piece(rows, cols_, [&](Piece piece) {
      if (cols_ > kPiece) {  // e and t hold the row's last piece
        exponentials(p, piece);
        if (!one_term) targets(p, y, labels, piece);
      }
      if (one_term) one_hot(labels, piece, cols_, t_);
      gradients(factors.of(piece), piece, gradient);
    });
  }

  SmoothedTarget<T> target_;
  W beta_;
  Index cols_;
  bool smoothed_;
  // By row.
  Index top_[kPiece];
  T largest_[kPiece], at_label_[kPiece];
  double rest_[kPiece], total_[kPiece], misfit_[kPiece], scale_[kPiece];
  // By element of a piece.
  double e_[kPiece], y_[kPiece], t_[kPiece], terms_[kSpread<double>];
  T one_hot_[kPiece], shift_[kSpread<T>];

  // Without a branch: which entry is the largest is nothing that a processor could foresee. Rows of a
  // register or more in two steps, the number and then its place.
  void find_largest(const T* p, Index rows) {
    for (Index row = 0; row < rows; ++row, p += cols_) {
      Index top = 0;
      T largest = -static_cast<T>(__builtin_inf());
      if (cols_ >= Vec<T>::width) {
        largest = largest_of(p);
        while (top < cols_ && !(p[top] == largest)) ++top;
        if (top == cols_) top = 0;  // nothing but NaN
      } else {
#pragma GCC unroll 4
        for (Index k = 0; k < cols_; ++k) {
          const bool larger = p[k] > largest;
          top = larger ? k : top;
          largest = larger ? p[k] : largest;
        }
      }
      top_[row] = top;
      largest_[row] = largest;
    }
  }

  // NaN apart. The last register may overlap the one before.
  T largest_of(const T* p) const {
    constexpr Index width = Vec<T>::width;
    Vec<T> most(-static_cast<T>(__builtin_inf()));
    for (Index k = 0; k + width <= cols_; k += width) most = max(load(p + k), most);
    most = max(load(p + cols_ - width), most);
    T lanes[width];
    store(lanes, most);
    for (Index half = width / 2; half > 0; half /= 2) {
      for (Index j = 0; j < half; ++j) lanes[j] = lanes[j] > lanes[j + half] ? lanes[j] : lanes[j + half];
    }
    return lanes[0];
  }

  // e = exp(z - z_top)
  void exponentials(const T* p, Piece piece) {
    spread(largest_, piece, cols_, shift_);
    for_each_vector(piece.n, [this, p = p + piece.first](Index i, auto... lanes) {
      const W z = beta_ * (load_work(p + i, lanes...) - load_work(shift_ + i, lanes...));
      store(e_ + i, to_double(full_decay(z)), lanes...);
    });
  }

  // The one term of rows with labels, z_top - z_label, and their total, 1.
  void label_terms(const T* p, const std::int64_t* labels, Index rows) {
    for (Index row = 0; row < rows; ++row) at_label_[row] = p[row * cols_ + static_cast<Index>(labels[row])];
    for_each_vector(rows, [this](Index i, auto... lanes) {
      const W z = beta_ * (load_work(largest_ + i, lanes...) - load_work(at_label_ + i, lanes...));
      store(misfit_ + i, to_double(z), lanes...);
      store(total_ + i, Vec<double>(1.0), lanes...);
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
  void gradients(const double* factors, Piece piece, T* gradient) {
    for_each_place(top_, piece, cols_, [this](Index i, Index row) {
      e_[i] = -rest_[row];
      t_[i] = t_[i] - total_[row];
    });
    spread(scale_, piece, cols_, terms_);
    for_each_vector(piece.n, [this, factors, g = gradient + piece.first](Index i, auto... lanes) {
      const W q = W(load(e_ + i, lanes...)) * W(load(terms_ + i, lanes...));
      const W d = beta_ * (q - W(load(t_ + i, lanes...)));
      store_work(g + i, weighted(W(load(factors + i, lanes...)), d), lanes...);
    });
  }
};

}  // namespace mlpkern::MLPKERN_ISA
