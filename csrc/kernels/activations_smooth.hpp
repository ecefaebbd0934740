// SPDX-License-Identifier: BSD-3-Clause
// Activations made of tanh, a root or a sine. What a member may return, and why some results carry a
// scale, is explained in activations.hpp and activations_sigmoid.hpp.
#pragma once

#include "kernels/activations_sigmoid.hpp"
#include "math/sine.hpp"

namespace mlpkern::MLPKERN_ISA {

// f(s) = tanh(s);  f' = 4 sigma'(2s), f'' = -2 f f', f''' = 16 sigma'''(2s);  see math/logistic.hpp
struct Tanh {
  static constexpr const char* name = "Tanh";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    return tanh(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const Scaled<W> d = logistic_derivative(s + s);
    return {d.x * W(4.0), d.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return logistic_second_derivative(s + s, 8.0);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return logistic_third_derivative(s + s, 16.0);
  }
  template <class W>
  MLPKERN_INLINE W derivative_from_output(W a) const {
    return (W(1.0) - a) * (W(1.0) + a);
  }
  template <class W>
  MLPKERN_INLINE W second_from_output(W a) const {  // -2 a f'
    return a * W(-2.0) * derivative_from_output(a);
  }
  template <class W>
  MLPKERN_INLINE W third_from_output(W a) const {  // (6 a^2 - 2) f'
    return (a * a * W(6.0) - W(2.0)) * derivative_from_output(a);
  }
};

// s^3 P(s^2) = s - tanh(s) for |s| <= 1/4.
MLPKERN_INLINE Wide tanhshrink_near_zero(Wide s) {
  const Vec<double> z = s.v * s.v;
  return s.v * (z * polynomial(z, kTanhshrinkWide));
}
MLPKERN_INLINE Twofold tanhshrink_near_zero(Twofold s) {
  const Twofold z = square(s);
  return s * (z * polynomial<fast_two_sum>(z, kTanhshrinkLead, kTanhshrinkTail));
}

// f(s) = s - tanh(s);  f' = tanh^2(s), f'' and f''' those of -tanh(s)
struct Tanhshrink {
  static constexpr const char* name = "Tanhshrink";
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W magnitude =
        select(abs(s) <= W(0.25), tanhshrink_near_zero(abs(s)), abs(s) - Tanh{}.value(abs(s)));
    return with_sign(magnitude, s);
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return square(Tanh{}.value(s));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const Scaled<W> d = Tanh{}.second_derivative(s);
    return {-d.x, d.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const Scaled<W> d = Tanh{}.third_derivative(s);
    return {-d.x, d.scale};
  }
};

// f(s) = s/(1 + |s|);  f' = 1/(1 + |s|)^2, f'' = -2 sign(s)/(1 + |s|)^3, f''' = 6/(1 + |s|)^4;
// f'' and f''' are 0 at 0
struct Softsign {
  static constexpr const char* name = "Softsign";
  template <class W>
  static MLPKERN_INLINE W distance(W s) {  // beyond the end, f is 1 and f' 0
    return clamp(abs(s), 0.0, 0x1p540);
  }
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W t = distance(s);
    return with_sign(t / (t + 1.0), s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const W inverse = kHeadroom<W> / (distance(s) + 1.0);
    return {square(inverse), Vec<double>(1.0 / kHeadroom<W> / kHeadroom<W>)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W inverse = kHeadroom<W> / (distance(s) + 1.0);
    const W curve = with_sign(square(inverse) * inverse * 2.0, -s);
    return {select(s == W(0.0), W(0.0), curve),
            Vec<double>(1.0 / kHeadroom<W> / kHeadroom<W> / kHeadroom<W>)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W t = clamp(abs(s), 0.0, 0x1p280) + 1.0;  // beyond, f''' is 0
    const W curve = square(kHeadroom<W> / t) / square(t) * 6.0;
    return {select(s == W(0.0), W(0.0), curve), Vec<double>(1.0 / kHeadroom<W> / kHeadroom<W>)};
  }
};

// f(s) = (s + r)/2, r = sqrt(s^2 + b), or b/(2 (r - s)), which is the same, for s < 0
// f' = f/r, f'' = b/(2 r^3), f''' = -3 s f''/r^2.  Beyond 2^200, r is |s|.
struct Squareplus {
  static constexpr const char* name = "Squareplus";
  static constexpr ParameterSpec parameters[] = {{"b", 4.0}};
  double b;
  template <class W>
  MLPKERN_INLINE W root(W distance) const {
    return select(distance > W(0x1p200), distance, sqrt(square(distance) + b));
  }
  template <class W>
  MLPKERN_INLINE W left(W distance, W r) const {  // f(-distance)
    return 0.25 * b / (scaled(r, Vec<double>(0.5)) + scaled(distance, Vec<double>(0.5)));
  }
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W distance = abs(s), r = root(distance);
    const W right = scaled(r, Vec<double>(0.5)) + scaled(s, Vec<double>(0.5));
    return select(s < W(0.0), left(distance, r), right);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const W distance = clamp(abs(s), 0.0, 0x1p540), r = root(distance);  // 0 or 1 beyond
    const W right = scaled(r, Vec<double>(0.5)) + scaled(distance, Vec<double>(0.5));
    const W numerator = select(s < W(0.0), left(distance, r), right);
    return {numerator * kHeadroom<W> / r, Vec<double>(1.0 / kHeadroom<W>)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W r = root(clamp(abs(s), 0.0, 0x1p540));
    const W first = 0.5 * b / r * kHeadroom<W>;
    return {first / r * kHeadroom<W> / r, Vec<double>(1.0 / kHeadroom<W> / kHeadroom<W>)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W kept = clamp(s, -0x1p540, 0x1p540), r = root(abs(kept));
    const W first = -1.5 * b / r * kHeadroom<W>;
    return {first / r / r / r * kept / r, Vec<double>(1.0 / kHeadroom<W>)};
  }
};

// f(s) = sin(omega s);  f' = omega cos(omega s), f'' = -omega^2 sin(omega s), f''' = -omega^2 f';
// NaN at ±infinity
struct Sine {
  static constexpr const char* name = "Sine";
  static constexpr ParameterSpec parameters[] = {{"omega", 1.0}};
  double omega;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W zero = with_sign(W(0.0), omega < 0 ? -s : s);
    return select(s == W(0.0), zero, sine_of_product(s, omega, 0));
  }
  template <class W>
  MLPKERN_INLINE W derivative(W s) const {
    return sine_of_product(s, omega, 1) * omega;
  }
  template <class W>
  MLPKERN_INLINE W second_derivative(W s) const {
    return sine_of_product(s, omega, 2) * omega * omega;
  }
  template <class W>
  MLPKERN_INLINE W third_derivative(W s) const {
    return sine_of_product(s, omega, 3) * omega * omega * omega;
  }
};

}  // namespace mlpkern::MLPKERN_ISA
