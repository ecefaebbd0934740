// SPDX-License-Identifier: BSD-3-Clause
// Softargmax, its logarithm, log-sum-exp, and their Jacobian products, row by row:
//   m = max e,  E_k = exp(beta (e_k - m)),  y = E/sum E,  log y = beta (e - m) - log sum E
//   logsumexp = m + log(sum E)/beta
// Everything is computed in Work<T>; outputs are right to 2 ULP. An entry equal to m counts 1, and the
// others are summed apart (`rest`), so that a logarithm next to 0 keeps its relative accuracy. Sums run in
// 8 virtual lanes, lane j over the elements j, j + 8, … in order, and one tree: their bits depend neither
// on the ISA nor on where the row stands.
// Specials: -inf has weight 0; a row of -inf, or with +inf or NaN, gives NaN, but logsumexp of a row of
// -inf, or of none, is -inf, and with +inf it is +inf. In place is allowed.
#pragma once

#include "dispatch/table.hpp"
#include "math/exp.hpp"
#include "math/log1p.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

constexpr Index kVirtualLanes = 8;

// Mask of the lanes 0..n-1.
MLPKERN_INLINE Mask<double> lanes_below(Index n) {
  alignas(64) static constexpr double lane[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  return load(lane) < Vec<double>(static_cast<double>(n));
}

// Up to a register of elements, `absent` past the n-th.
template <class T>
MLPKERN_INLINE Work<T> load_or(const T* p, Index n, double absent) {
  if (n >= Vec<double>::width) return load_work(p);
  return select(lanes_below(n), load_work(p, n), Work<T>(absent));
}
template <class T, class W>
MLPKERN_INLINE void store_up_to(T* p, W x, Index n) {
  if (n >= Vec<double>::width) {
    store_work(p, x);
  } else {
    store_work(p, x, n);
  }
}

MLPKERN_INLINE Wide broadcast(Wide x, Index lane) { return Vec<double>(x.v.v[lane]); }
MLPKERN_INLINE Twofold broadcast(Twofold x, Index lane) {
  return {Vec<double>(x.hi.v[lane]), Vec<double>(x.lo.v[lane])};
}

// sum over i of term(i, n), which gives the terms i..i+n-1 and 0 in the lanes past them; in all lanes.
template <class W, class Term>
MLPKERN_INLINE W row_sum(Index cols, Term term) {
  constexpr Index width = Vec<double>::width, parts = kVirtualLanes / width;
  W sums[parts];
  for (Index part = 0; part < parts; ++part) sums[part] = W(0.0);
  for (Index i = 0; i < cols; i += kVirtualLanes) {
    for (Index part = 0; part < parts; ++part) {
      const Index start = i + part * width;
      if (start < cols) sums[part] = sums[part] + term(start, cols - start);
    }
  }
  W lane[kVirtualLanes];
  for (Index j = 0; j < kVirtualLanes; ++j) lane[j] = broadcast(sums[j / width], j % width);
  for (Index half = kVirtualLanes / 2; half > 0; half /= 2) {
    for (Index j = 0; j < half; ++j) lane[j] = lane[j] + lane[j + half];
  }
  return lane[0];
}

// The largest entry; NaN if there is one; -infinity if there is none.
template <class T>
T row_max(const T* e, Index cols) {
  Vec<double> largest(-__builtin_inf()), nan(0.0);
  for (Index i = 0; i < cols; i += Vec<double>::width) {
    const Vec<double> x = to_double(load_or(e + i, cols - i, -__builtin_inf()));
    nan = select(is_nan(x), x, nan);
    largest = max(x, largest);
  }
  double result = -__builtin_inf();
  for (Index j = 0; j < Vec<double>::width; ++j) {
    if (nan.v[j] != nan.v[j]) return static_cast<T>(nan.v[j]);
    if (largest.v[j] > result) result = largest.v[j];
  }
  return static_cast<T>(result);
}

// The weights E of a row. Those of the first 512 elements are kept, the rest is computed again when asked
// for, to the same bits: 4 KiB (float) or 8 KiB of the stack, which stay in L1.
template <class T>
class Weights {
 public:
  using W = Work<T>;
  W rest;      // sum E - 1
  double top;  // m

  Weights(const T* row, Index n, double b) : top(double{row_max(row, n)}), e(row), cols(n), beta(b) {
    Vec<double> tops(0.0);
    rest = row_sum<W>(cols, [&](Index i, Index left) {
      const W x = load_or(e + i, left, -__builtin_inf());
      const Mask<double> is_top = x == W(top);
      tops = tops + select(is_top, Vec<double>(1.0), Vec<double>(0.0));
      const W weight = select(is_top, W(0.0), decaying(exponent(x)).value());
      if (i < kKept) kept[i / Vec<double>::width] = select(is_top, W(1.0), weight);
      return weight;
    });
    double count = -1.0 + (top - top);  // NaN where m is infinite
    for (Index j = 0; j < Vec<double>::width; ++j) count += tops.v[j];
    rest = rest + count;
  }
  MLPKERN_INLINE W exponent(W x) const { return (x - top) * beta; }
  MLPKERN_INLINE W inverse_sum() const { return 1.0 / (rest + 1.0); }
  // E from i on.
  MLPKERN_INLINE W operator()(Index i, Index left) const {
    if (i < kKept) return kept[i / Vec<double>::width];
    return decaying(exponent(load_or(e + i, left, -__builtin_inf()))).value();
  }
  // Where the first of the largest entries stands.
  Index first_top() const {
    Index i = 0;
    while (i + 1 < cols && !(double{e[i]} == top)) ++i;
    return i;
  }

 private:
  static constexpr Index kKept = 512;
  const T* e;
  Index cols;
  double beta;
  W kept[kKept / Vec<double>::width];
};

template <class T, class F>
MLPKERN_INLINE void for_each_register(Index cols, F f) {
  for (Index i = 0; i < cols; i += Vec<double>::width) f(i, cols - i);
}

// sum_k y_k (v_k - v_t), with t the largest y: a constant added to v does not change y (v - <y, v>), and
// this one spares it the cancellation where y_t is next to 1.
template <class W, class T, class Y>
MLPKERN_INLINE W centred_mean(const T* v, T v_top, Index cols, Y y) {
  return row_sum<W>(cols, [&](Index i, Index left) {
    return y(i, left) * (load_or(v + i, left, double{v_top}) - double{v_top});
  });
}

// beta y (v - <y, v>)
template <class T, class Y>
MLPKERN_INLINE void softargmax_product(const T* v, T v_top, T* out, Index cols, double beta, Y y) {
  using W = Work<T>;
  const W mean = centred_mean<W>(v, v_top, cols, y);
  for_each_register<T>(cols, [&](Index i, Index left) {
    const W difference = load_or(v + i, left, 0.0) - double{v_top} - mean;
    store_up_to(out + i, y(i, left) * beta * difference, left);
  });
}

// g - y sum(g)
template <class T, class Y>
MLPKERN_INLINE void log_softargmax_vjp(const T* g, T* out, Index cols, Y y) {
  using W = Work<T>;
  const W sum = row_sum<W>(cols, [&](Index i, Index left) { return load_or(g + i, left, 0.0); });
  for_each_register<T>(cols, [&](Index i, Index left) {
    store_up_to(out + i, load_or(g + i, left, 0.0) - y(i, left) * sum, left);
  });
}

struct Softargmax {
  static constexpr const char* name = "Softargmax";
  static constexpr ParameterSpec parameters[] = {{"beta", 1.0}};

  template <class T>
  static void value(const T* s, T* out, Index rows, Index cols, const double* p) {
    for (Index row = 0; row < rows; ++row, s += cols, out += cols) {
      const Weights<T> weights(s, cols, p[0]);
      const Work<T> inverse = weights.inverse_sum();
      for_each_register<T>(
          cols, [&](Index i, Index left) { store_up_to(out + i, weights(i, left) * inverse, left); });
    }
  }
  // The Jacobian is symmetric: this is the vjp too.
  template <class T>
  static void jvp(const T* s, const T* v, T* out, Index rows, Index cols, const double* p) {
    for (Index row = 0; row < rows && cols > 0; ++row, s += cols, v += cols, out += cols) {
      const Weights<T> weights(s, cols, p[0]);
      const Work<T> inverse = weights.inverse_sum();
      softargmax_product(v, v[weights.first_top()], out, cols, p[0],
                         [&](Index i, Index left) { return weights(i, left) * inverse; });
    }
  }
  template <class T>
  static void backward(const T*, const T* a, const T* da, T* ds, Index rows, Index cols, const double* p) {
    for (Index row = 0; row < rows && cols > 0; ++row, a += cols, da += cols, ds += cols) {
      Index top = 0;
      for (Index i = 1; i < cols; ++i) top = a[i] > a[top] ? i : top;
      softargmax_product(da, da[top], ds, cols, p[0],
                         [&](Index i, Index left) { return load_or(a + i, left, 0.0); });
    }
  }
};

struct LogSoftargmax {
  static constexpr const char* name = "LogSoftargmax";

  template <class T>
  static void value(const T* s, T* out, Index rows, Index cols, const double*) {
    for (Index row = 0; row < rows; ++row, s += cols, out += cols) {
      const Weights<T> weights(s, cols, 1.0);
      const Work<T> log_sum = log1p(weights.rest);
      for_each_register<T>(cols, [&](Index i, Index left) {
        store_up_to(out + i, weights.exponent(load_or(s + i, left, 0.0)) - log_sum, left);
      });
    }
  }
  // v - <y, v>
  template <class T>
  static void jvp(const T* s, const T* v, T* out, Index rows, Index cols, const double*) {
    using W = Work<T>;
    for (Index row = 0; row < rows && cols > 0; ++row, s += cols, v += cols, out += cols) {
      const Weights<T> weights(s, cols, 1.0);
      const W inverse = weights.inverse_sum();
      const T v_top = v[weights.first_top()];
      const W mean =
          centred_mean<W>(v, v_top, cols, [&](Index i, Index left) { return weights(i, left) * inverse; });
      for_each_register<T>(cols, [&](Index i, Index left) {
        store_up_to(out + i, load_or(v + i, left, 0.0) - double{v_top} - mean, left);
      });
    }
  }
  template <class T>
  static void vjp(const T* s, const T* g, T* out, Index rows, Index cols, const double*) {
    for (Index row = 0; row < rows; ++row, s += cols, g += cols, out += cols) {
      const Weights<T> weights(s, cols, 1.0);
      const Work<T> inverse = weights.inverse_sum();
      log_softargmax_vjp(g, out, cols, [&](Index i, Index left) { return weights(i, left) * inverse; });
    }
  }
  template <class T>
  static void backward(const T*, const T* a, const T* da, T* ds, Index rows, Index cols, const double*) {
    for (Index row = 0; row < rows; ++row, a += cols, da += cols, ds += cols) {
      log_softargmax_vjp(da, ds, cols,
                         [&](Index i, Index left) { return exp(load_or(a + i, left, -__builtin_inf())); });
    }
  }
};

// m + log(sum E)/beta; where m is infinite or NaN, m.
template <class T>
void logsumexp(const T* e, T* m, Index rows, Index cols, double beta) {
  for (Index row = 0; row < rows; ++row, e += cols) {
    const Weights<T> weights(e, cols, beta);
    const Work<T> sum = log1p(weights.rest) / Work<T>(beta) + weights.top;
    const bool finite = weights.top - weights.top == 0.0;
    store_up_to(m + row, finite ? sum : Work<T>(weights.top), 1);
  }
}

}  // namespace mlpkern::MLPKERN_ISA
