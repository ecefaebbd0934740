// SPDX-License-Identifier: BSD-3-Clause
// What the losses share. Terms are computed in Work<T> (double for float, pairs of doubles for double);
// those of C are rounded to double and added up in double, those of the gradient are multiplied by the
// factor and then rounded to T once. NaN propagates, infinity too; nothing is clamped. 0 log 0 = 0.
// The callers check ranges (labels, beta > 0, delta > 0).
#pragma once

#include <cstdint>

#include "dispatch/table.hpp"
#include "kernels/row_sums.hpp"
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
// The same for x <= 0, for less.
MLPKERN_INLINE Wide full_decay(Wide x) { return square(decaying(x * Wide(0.5)).value()); }
MLPKERN_INLINE Twofold full_decay(Twofold x) { return decaying(x).value(); }

// log(1 + x) where plus_one is set, elsewhere log(x): the bits of log1p(x) and log(x) for the price of one.
template <class W>
MLPKERN_INLINE W log_or_log1p(Mask<double> plus_one, W x) {
  const W sum = select(plus_one, x + W(1.0), x);
  const Mask<double> tiny = to_double(sum) < Vec<double>(0x1p-1022);
  const W normal = select(tiny, scaled(sum, Vec<double>(0x1p54)), sum);
  const Vec<double> k = exponent_from_sqrt_half(to_double(normal));
  const W f = select(plus_one & (k == Vec<double>(0.0)), x, mantissa(normal, k) - W(1.0));
  const Vec<double> whole_k = select(tiny, k - Vec<double>(54.0), k);
  return log_limits(to_double(sum), log_of_near_one(f, whole_k));
}

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

struct TargetsOnly {  // neither parameters nor labels
  static constexpr ParameterSpec parameters[kMaxParameters] = {};
  static constexpr bool takes_labels = false;
};

// A second derivative that depends on d = p - y through NaN alone.
template <class W>
MLPKERN_INLINE W constant_curvature(W d, W value) {
  return select(d == d, value, d);
}

// The cost of a row without columns: an empty sum.
inline void no_columns(Index rows, double* cost) {
  for (Index i = 0; cost != nullptr && i < rows; ++i) cost[i] = 0;
}

}  // namespace mlpkern::MLPKERN_ISA
