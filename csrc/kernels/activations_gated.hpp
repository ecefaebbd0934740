// SPDX-License-Identifier: BSD-3-Clause
// Activations of the form s w(s), with a gate w from 0 to 1: SiLU, GELU's tanh approximation, Mish. What a
// member may return, and why some results carry a scale, is explained in activations.hpp and
// activations_sigmoid.hpp, whose e and m are used here too.
#pragma once

#include "kernels/activations_sigmoid.hpp"

namespace mlpkern::MLPKERN_ISA {

// x where s is positive, -x where it is negative.
template <class W>
MLPKERN_INLINE W odd(W x, W s) {
  return select(s < W(0.0), -x, x);
}

// f(s) = s sigma(s);  f' = sigma(s) (1 + s sigma(-s)), f'' = sigma'(s) (2 - s tanh(s/2)),
// f''' = 3 sigma'' + s sigma''', which is odd
struct SiLU {
  static constexpr const char* name = "SiLU";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const W kept = select(s < W(-kDecayed), W(-kDecayed), s);
    const Scaled<W> gate = logistic(kept);
    return {with_sign(abs(kept) * gate.x, s), gate.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const W kept = clamp(s, -kDecayed, kDecayed);
    return gated_derivative(kept, kept);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W distance = abs(clamp(s, -kDecayed, kDecayed));
    const auto e = decaying(-distance);
    const W sum = e.x + 1.0;
    const W numerator = scaled(sum, Vec<double>(2.0)) + distance * e.minus_one;
    return {e.x * numerator / (square(sum) * sum), e.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W distance = abs(clamp(s, -kDecayed, kDecayed));
    const auto e = decaying(-distance);
    const W sum = e.x + 1.0, bend = distance * logistic_bend(e.x) + e.minus_one * sum * 3.0;
    return {odd(e.x * bend / square(square(sum)), s), e.scale};
  }
};

// f(s) = s sigma(p), p = sqrt(8/pi) (s + 0.044715 s^3): s (1 + tanh(p/2))/2
// f' = sigma(p) (1 + s p' sigma(-p)), f'' = sigma'(p) (2 p' + s p'' - s p'^2 tanh(p/2)),
// f''' = sigma'(p) (4 p'' - 3 p' (p' + s p'') tanh(p/2)) + sigma'''(p) s p'^3, for s p''' is p''; odd
struct GELUTanh {
  static constexpr const char* name = "GELUTanh";
  template <class T>
  static constexpr int works_in_t =  // in pairs of floats the derivative took 1.1 times the time of a double
      !kHasFma                     ? 0
      : sizeof(T) == sizeof(float) ? kValue
                                   : kValue | kDerivative;
  static constexpr double end = 24.0;  // p is 1024 there
  // sqrt(8/pi) (1 + factor 0.044715 s^2): p/s of factor 1, p' of factor 3
  template <class W>
  static MLPKERN_INLINE W slope(W s, double factor) {
    return W(kSqrt8OverPi) * (W(kGeluCubic) * square(s) * factor + 1.0);
  }
  template <class T>
  static MLPKERN_INLINE Pair<T> slope(Vec<T> s, double factor) {
    const Vec<T> z = s * s, z_low = fma(s, s, -z), one(T(1));
    const Pair<T> cubic = pair_of<T>({kGeluCubic.hi * factor, kGeluCubic.lo * factor});
    const Vec<T> hi = fma(cubic.hi, z, one);  // 1 - hi is exact
    const Vec<T> lo = fma(cubic.hi, z, one - hi) + fma(cubic.hi, z_low, cubic.lo * z);
    return pair_product(pair_of<T>(kSqrt8OverPi), {hi, lo});
  }
  template <class W>
  static MLPKERN_INLINE W times(W s, W slope) {
    return s * slope;
  }
  template <class T>
  static MLPKERN_INLINE Pair<T> times(Vec<T> s, Pair<T> slope) {
    return pair_product(s, slope);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const W kept = clamp(s, -end, end);
    const Scaled<W> gate = logistic(times(kept, slope(kept, 1.0)));
    const W factor = select(s > W(0.0), s, kept);
    return {with_sign(abs(factor) * gate.x, s), gate.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const W kept = clamp(s, -end, end);
    return gated_derivative(times(kept, slope(kept, 1.0)), times(kept, slope(kept, 3.0)));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W kept = clamp(s, -end, end);
    const auto e = decaying(-abs(kept * slope(kept, 1.0)));
    const W sum = e.x + 1.0, dp = slope(kept, 3.0);
    const W curve = square(kept) * W(kSqrt8OverPi) * W(kGeluCubic) * 6.0;  // s p''
    const W bend = (scaled(dp, Vec<double>(2.0)) + curve) * sum + abs(kept) * square(dp) * e.minus_one;
    return {e.x * bend / (square(sum) * sum), e.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W distance = abs(clamp(s, -end, end)), curve = W(kSqrt8OverPi) * W(kGeluCubic) * 6.0;  // p''/s
    const auto e = decaying(-(distance * slope(distance, 1.0)));
    const W sum = e.x + 1.0, dp = slope(distance, 3.0), ddp = distance * curve;
    const W raised = distance * kHeadroom<W>, m = e.minus_one * kHeadroom<W>;  // both subnormal with s
    const W bend = square(sum) * raised * curve * 4.0 + m * sum * dp * (dp + distance * ddp) * 3.0 +
                   logistic_bend(e.x) * raised * dp * square(dp);
    return {odd(e.x * bend / square(square(sum)), s), e.scale * Vec<double>(1.0 / kHeadroom<W>)};
  }
};

// f(s) = s w, w = tanh(softplus(s)) = n/d with, for s <= 0, n = e (2 + e), d = 2 + 2e + e^2, and for
// s > 0, n = 1 + 2e, d = 1 + 2e + 2e^2
// f' = w + s w', w' = 4 g (1 + e)/d^2, g = e or, for s > 0, e^2
// f'' = w' (2 + s R), R = w''/w' = 1 + sigma(s) - 4 (e or 1)(1 + e)/d
// f''' = w' (3 R + s (R^2 + R'))
struct Mish {
  static constexpr const char* name = "Mish";
  template <class W>
  static MLPKERN_INLINE W numerator(Mask<double> positive, W e) {  // n, or n/e for s <= 0
    return select(positive, scaled(e, Vec<double>(2.0)) + 1.0, e + 2.0);
  }
  template <class W>
  static MLPKERN_INLINE W denominator(Mask<double> positive, W e) {
    const W twice = scaled(e, Vec<double>(2.0));
    return select(positive, W(1.0), W(2.0)) + e * (select(positive, twice, e) + 2.0);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const W kept = select(s < W(-kDecayed), W(-kDecayed), s);
    const auto e = decaying(-abs(kept));
    const Mask<double> positive = kept > W(0.0);
    const W gate = select(positive, W(1.0), e.x) * numerator(positive, e.x) / denominator(positive, e.x);
    return {with_sign(abs(kept) * gate, s), scale_where(~positive, e.scale)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    const W kept = clamp(s, -kDecayed, kDecayed);
    const auto e = decaying(-abs(kept));
    const Mask<double> positive = kept > W(0.0);
    const W d = denominator(positive, e.x);
    const W bend = kept * select(positive, square(e.x), W(1.0)) * (e.x + 1.0) * 4.0;
    const W sum = numerator(positive, e.x) * d + bend;
    return {select(positive, W(1.0), e.x) * sum / square(d), scale_where(~positive, e.scale)};
  }
  // w' g(R), of R = w''/w' and its derivative R' = sigma'(s) - 4 e (d + 2e)/d^2
  template <class W, class G>
  static MLPKERN_INLINE Scaled<W> times_slope(W kept, G g) {
    const auto e = decaying(-abs(kept));
    const Mask<double> positive = kept > W(0.0);
    const W d = denominator(positive, e.x), sum = e.x + 1.0;
    const W one_or_e = select(positive, W(1.0), e.x);
    const W ratio = 1.0 + one_or_e / sum - one_or_e * sum * 4.0 / d;
    const W change = e.x / square(sum) - e.x * (d + e.x + e.x) * 4.0 / square(d);
    const W small = scaled(e.x, Vec<double>(kHeadroom<W>)) * select(positive, e.x, W(1.0));
    const Vec<double> room(1.0 / kHeadroom<W>);
    return {small * sum * 4.0 / square(d) * g(ratio, change), select(positive, room, e.scale * room)};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W kept = clamp(s, -kDecayed, kDecayed);
    return times_slope(kept, [kept](W ratio, W) { return kept * ratio + 2.0; });
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W kept = clamp(s, -kDecayed, kDecayed);
    return times_slope(kept,
                       [kept](W ratio, W change) { return ratio * 3.0 + kept * (square(ratio) + change); });
  }
};

}  // namespace mlpkern::MLPKERN_ISA
