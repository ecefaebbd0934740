// SPDX-License-Identifier: BSD-3-Clause
// Adam's bias corrections, 1 - beta^t: once a step, in scalars.
#pragma once

#include <cstdint>

#include "simd/vec.hpp"

namespace mlpkern::MLPKERN_ISA {

// A double in two parts, high + low.
struct Parts {
  double high, low;
};

// a b - p, for p next to a b: exact, with an fma, or else from halves (Dekker).
inline double product_error(double a, double b, double p) {
  if constexpr (kHasFma) {
    return __builtin_fma(a, b, -p);
  } else {
    const auto split = [](double x) {
      const double c = 134217729.0 * x;  // 2^27 + 1
      const double high = c - (c - x);
      return Parts{high, x - high};
    };
    const Parts x = split(a), y = split(b);
    return ((x.high * y.high - p) + x.high * y.low + x.low * y.high) + x.low * y.low;
  }
}

struct Two {
  double first, second;
};

// 1 - base^n for two bases, by repeated squaring in double-double, rounded once: the error of squaring
// doubles each time, and in double alone it would reach 1e-13 of Adam's bias correction. No libm: every
// machine has the same bits. Side by side, because a chain of squarings leaves the processor idle: one after
// the other took 1.6 times as long.  0 <= base < 1, n >= 0.
inline Two one_minus_powers(Two bases, std::int64_t n) {
  constexpr double kNothing = 0x1p-60;  // beside 1
  const auto product = [](Parts a, Parts b) {
    const double p = a.high * b.high;
    const double low = product_error(a.high, b.high, p) + (a.high * b.low + a.low * b.high);
    const double high = p + low;
    return Parts{high, low - (high - p)};
  };
  Parts result[2] = {{1.0, 0.0}, {1.0, 0.0}}, square[2] = {{bases.first, 0.0}, {bases.second, 0.0}};
  for (; n > 0; n >>= 1) {
    for (Parts& s : square) s = s.high < kNothing ? Parts{0.0, 0.0} : s;
    if (square[0].high == 0 && square[1].high == 0) return {1.0, 1.0};  // factors of what would come
    if (n & 1) {
      for (int j = 0; j < 2; ++j) result[j] = product(result[j], square[j]);
    }
    for (Parts& s : square) s = product(s, s);
  }
  return {(1.0 - result[0].high) - result[0].low, (1.0 - result[1].high) - result[1].low};
}

}  // namespace mlpkern::MLPKERN_ISA
