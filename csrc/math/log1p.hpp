// SPDX-License-Identifier: BSD-3-Clause
// log1p(x) = log(1 + x), with log's errors and limits, and so also next to x = 0.
#pragma once

#include "math/log.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class W>
MLPKERN_INLINE W log1p(W x) {
  const W sum = x + W(1.0);
  const Vec<double> k = exponent_from_sqrt_half(to_double(sum));
  // For k = 0 x itself, of which the sum may have lost the end.
  const W f = select(k == Vec<double>(0.0), x, mantissa(sum, k) - W(1.0));
  return log_limits(to_double(sum), log_of_near_one(f, k));
}

// log1p(e) for e in [0, 1], of which e - 1 is known also (expm1 gives it): no exponent to take apart.
template <class W>
MLPKERN_INLINE W log1p_of_fraction(W e, W minus_one) {
  const Mask<double> doubled = e > W(0.41421356237309503);              // sqrt(2) - 1
  const W f = select(doubled, scaled(minus_one, Vec<double>(0.5)), e);  // (1 + e)/2 - 1, or e
  return log_of_near_one(f, select(doubled, Vec<double>(1.0), Vec<double>(0.0)));
}

}  // namespace mlpkern::MLPKERN_ISA
