// SPDX-License-Identifier: BSD-3-Clause
// Activations made of straight or quadratic pieces: value, derivative and second derivative of one
// element. At a kink the derivative is the one that PyTorch's autograd returns; a struct without a second
// derivative is made of straight pieces, and has 0. NaN gives NaN. What a member takes and returns
// is explained in activations.hpp.
#pragma once

#include "dispatch/table.hpp"
#include "math/coefficients.hpp"
#include "math/work.hpp"

namespace mlpkern::MLPKERN_ISA {

// Which of an activation's functions a struct's works_in_t says to be evaluated in T itself.
enum Order : int { kValue = 1, kDerivative = 2, kSecondDerivative = 4, kEveryOrder = 7 };

// A constant where s is a number, NaN where s is NaN.
template <class V>
MLPKERN_INLINE V unless_nan(V s, V constant) {
  return select(s == s, constant, s);
}

// s c, as if rounded once though c is no float: the rest of c is added as a second product, which without
// fma is worth less than the wider number.
template <class T>
constexpr bool times_is_exact = kHasFma || sizeof(T) == sizeof(double);
template <class T>
MLPKERN_INLINE Vec<T> finite(Vec<T> s, T largest) {
  return min(Vec<T>(largest), max(Vec<T>(-largest), s));
}
template <class W>
MLPKERN_INLINE W times(W s, double c) {  // a slope of 0 makes 0 of infinity too
  return (c == 0 ? clamp(s, -0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023) : s) * W(c);
}
MLPKERN_INLINE Vec<double> times(Vec<double> s, double c) {
  return (c == 0 ? finite(s, 0x1.fffffffffffffp1023) : s) * Vec<double>(c);
}
MLPKERN_INLINE Vec<float> times(Vec<float> s, double c) {
  const float upper = static_cast<float>(c);
  const float lower = static_cast<float>(c - static_cast<double>(upper));
  const Vec<float> kept = finite(s, 0x1.fffffep127f);  // infinity times 0 would be NaN
  return fma(upper == 0 ? kept : s, Vec<float>(upper), kept * Vec<float>(lower));
}

// f(s) = s
struct Identity {
  static constexpr const char* name = "Identity";
  template <class T>
  static constexpr int works_in_t = kEveryOrder;
  template <class V>
  MLPKERN_INLINE V value(V s) const {
    return s;
  }
  template <class V>
  MLPKERN_INLINE V derivative(V s) const {
    return unless_nan(s, V(1.0));
  }
};

// f(s) = scale max(s, 0);  f(-0) = +0, f'(0) = 0
struct ReLU {
  static constexpr const char* name = "ReLU";
  template <class T>
  static constexpr int works_in_t = times_is_exact<T> ? kEveryOrder : 0;
  static constexpr ParameterSpec parameters[] = {{"scale", 1.0}};
  double scale;
  template <class V>
  MLPKERN_INLINE V value(V s) const {
    return select(s > V(0.0), times(s, scale), unless_nan(s, V(0.0)));
  }
  template <class V>
  MLPKERN_INLINE V derivative(V s) const {
    return select(s > V(0.0), V(scale), unless_nan(s, V(0.0)));
  }
};

// f(s) = s if s > 0 else negative_slope s;  f'(0) = negative_slope
struct LeakyReLU {
  static constexpr const char* name = "LeakyReLU";
  template <class T>
  static constexpr int works_in_t = times_is_exact<T> ? kEveryOrder : 0;
  static constexpr ParameterSpec parameters[] = {{"negative_slope", 0.01}};
  double negative_slope;
  template <class V>
  MLPKERN_INLINE V value(V s) const {
    return select(s > V(0.0), s, times(s, negative_slope));
  }
  template <class V>
  MLPKERN_INLINE V derivative(V s) const {
    return select(s > V(0.0), V(1.0), unless_nan(s, V(negative_slope)));
  }
};

// f(s) = min(max(s, 0), 6);  f' is 1 strictly inside
struct ReLU6 {
  static constexpr const char* name = "ReLU6";
  template <class T>
  static constexpr int works_in_t = kEveryOrder;
  template <class V>
  MLPKERN_INLINE V value(V s) const {
    return min(V(6.0), max(V(0.0), s) + V(0.0));
  }
  template <class V>
  MLPKERN_INLINE V derivative(V s) const {
    return select((s > V(0.0)) & (s < V(6.0)), V(1.0), unless_nan(s, V(0.0)));
  }
};

// f(s) = s kept in [min_val, max_val];  f' is 1 strictly inside
struct Hardtanh {
  static constexpr const char* name = "Hardtanh";
  static constexpr ParameterSpec parameters[] = {{"min_val", -1.0}, {"max_val", 1.0}};
  double min_val, max_val;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    return clamp(s, min_val, max_val);
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return select((s > W(min_val)) & (s < W(max_val)), W(1.0), unless_nan(s, W(0.0)));
  }
};

// f(s) = min(max(s + 3, 0), 6)/6;  f' is 1/6 strictly inside
struct Hardsigmoid {
  static constexpr const char* name = "Hardsigmoid";
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    return clamp(s + 3.0, 0.0, 6.0) * W(kSixth);
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return select(abs(s) < W(3.0), W(kSixth), unless_nan(s, W(0.0)));
  }
};

// f(s) = s min(max(s + 3, 0), 6)/6;  f' = 0 for s <= -3, s/3 + 1/2 for s < 3, else 1
struct Hardswish {
  static constexpr const char* name = "Hardswish";
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W low = clamp(s, -3.0, 3.0);
    const W inside = with_sign(abs(low) * (low + 3.0) * W(kSixth), s);
    return select(s >= W(3.0), s, inside);
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    const W inside = s * W(kThird) + 0.5;
    return select(s <= W(-3.0), W(0.0), select(s >= W(3.0), W(1.0), inside));
  }
  template <class W>
  MLPKERN_INLINE W second_derivative(W s) const {
    return select(abs(s) < W(3.0), W(kThird), unless_nan(s, W(0.0)));
  }
};

// f(s) = s - lambd if s > lambd, s + lambd if s < -lambd, else 0;  f' = 1, 1, 0
struct Softshrink {
  static constexpr const char* name = "Softshrink";
  static constexpr ParameterSpec parameters[] = {{"lambd", 0.5}};
  double lambd;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W inside = unless_nan(s, W(0.0));
    return select(s > W(lambd), s - lambd, select(s < W(-lambd), s + lambd, inside));
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return select(abs(s) > W(lambd), W(1.0), unless_nan(s, W(0.0)));
  }
};

// f(s) = s if |s| > lambd else 0;  f' = 1, 0
struct Hardshrink {
  static constexpr const char* name = "Hardshrink";
  static constexpr ParameterSpec parameters[] = {{"lambd", 0.5}};
  double lambd;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    return select(abs(s) > W(lambd), s, unless_nan(s, W(0.0)));
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return select(abs(s) > W(lambd), W(1.0), unless_nan(s, W(0.0)));
  }
};

}  // namespace mlpkern::MLPKERN_ISA
