// SPDX-License-Identifier: BSD-3-Clause
// Activations made of the logistic function sigma(s) = 1/(1 + exp(-s)) and of its kin. All are written in
//   e = exp(-|s|) in [0, 1], and m = e - 1 = expm1(-|s|), which keeps its accuracy next to s = 0:
// nothing overflows, and nothing cancels except next to a zero of a derivative. Where a result decays, e
// is a factor of it, and carries its scale (Scaled, in math/work.hpp) down to the subnormals. A member
// may clamp s where the result has long reached its limit; a sum 1 + e needs no scale, e being nothing there.
#pragma once

#include "kernels/activations_piecewise.hpp"
#include "math/exp.hpp"
#include "math/log1p.hpp"
#include "math/logistic.hpp"

namespace mlpkern::MLPKERN_ISA {

// Past this, exp(-|s|) and its products with powers of s are below the smallest subnormal.
constexpr double kDecayed = 1000.0;

// sigma, sigma', sigma'': see math/logistic.hpp
struct Sigmoid {
  static constexpr const char* name = "Sigmoid";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    return logistic(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic_derivative(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return logistic_second_derivative(s, 1.0);
  }
  template <class W>
  MLPKERN_INLINE W derivative_from_output(W a) const {
    return a * (W(1.0) - a);
  }
  template <class W>
  MLPKERN_INLINE W second_from_output(W a) const {  // (1 - 2 a) f'
    return ((W(1.0) - a) - a) * derivative_from_output(a);
  }
  template <class W>
  MLPKERN_INLINE W third_from_output(W a) const {  // (1 - 6 f') f'
    const W d = derivative_from_output(a);
    return (W(1.0) - d * W(6.0)) * d;
  }
};

// f(s) = log(1 + exp(beta s))/beta = max(s, 0) + log1p(exp(-|beta s|))/beta, without a threshold;
// f' = sigma(beta s), f'' = beta sigma'(beta s)
struct Softplus {
  static constexpr const char* name = "Softplus";
  static constexpr ParameterSpec parameters[] = {{"beta", 1.0}};
  template <class T>
  static constexpr int works_in_t = kHasFma && sizeof(T) == sizeof(double) ? kValue | kDerivative : 0;
  double beta;
  // Where 1/beta lifts what exp's end has cut off into sight, the value is a wider number's work.
  MLPKERN_INLINE bool value_is_wide() const { return beta < 0x1p-20; }
  template <class W>
  MLPKERN_INLINE W logit(W s) const {
    return product<W>(to_double(s), Vec<double>(beta));
  }
  MLPKERN_INLINE Pair<double> logit(Vec<double> s) const {
    const Pair<double> x = pair_product(s, pair_of<double>({beta, 0.0}));
    // Where exp has long reached its end, the rest would count as much as the whole, and infinity has none.
    return {x.hi, select(abs(x.hi) < Vec<double>(1024.0), x.lo, Vec<double>(0.0))};
  }
  // x/beta; the reciprocal is taken once a call, not once an element
  template <class W>
  MLPKERN_INLINE W over_beta(W x) const {
    return x * (1.0 / W(beta));
  }
  MLPKERN_INLINE Vec<double> over_beta(Pair<double> x) const {
    const Vec<double> b(beta), one(1.0), inverse = one / b;
    return rounded_product(x, {inverse, fma(-inverse, b, one) * inverse});
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const auto tail = log1p_of_decay(logit(s));
    return {select(s > W(0.0), s, W(0.0)) + over_beta(tail.x), tail.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic(logit(s));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const Scaled<W> d = logistic_derivative(logit(s));
    return {d.x * beta, d.scale};
  }
};

// f(s) = log sigma(s) = -softplus(-s);  f' = sigma(-s), f'' = -sigma'(s)
struct LogSigmoid {
  static constexpr const char* name = "LogSigmoid";
  template <class T>
  static constexpr int works_in_t = Softplus::works_in_t<T>;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const Scaled<W> softplus = Softplus{1.0}.value(-s);
    return {-softplus.x, softplus.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return logistic(-s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const Scaled<W> d = logistic_derivative(s);
    return {-d.x, d.scale};
  }
};

// f(s) = s sigma(s);  f' = sigma(s) (1 + s sigma(-s)), f'' = sigma'(s) (2 - s tanh(s/2))
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
};

// f(s) = s sigma(p), p = sqrt(8/pi) (s + 0.044715 s^3): s (1 + tanh(p/2))/2
// f' = sigma(p) (1 + s p' sigma(-p)), f'' = sigma'(p) (2 p' + s p'' - s p'^2 tanh(p/2))
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
};

// f(s) = s w, w = tanh(softplus(s)) = n/d with, for s <= 0, n = e (2 + e), d = 2 + 2e + e^2, and for
// s > 0, n = 1 + 2e, d = 1 + 2e + 2e^2
// f' = w + s w', w' = 4 g (1 + e)/d^2, g = e or, for s > 0, e^2
// f'' = w' (2 + s w''/w'), w''/w' = 1 + sigma(s) - 4 (e or 1)(1 + e)/d
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
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W kept = clamp(s, -kDecayed, kDecayed);
    const auto e = decaying(-abs(kept));
    const Mask<double> positive = kept > W(0.0);
    const W d = denominator(positive, e.x), sum = e.x + 1.0;
    const W one_or_e = select(positive, W(1.0), e.x);
    const W ratio = 1.0 + one_or_e / sum - one_or_e * sum * 4.0 / d;
    const W small = scaled(e.x, Vec<double>(kHeadroom<W>)) * select(positive, e.x, W(1.0));
    const Vec<double> room(1.0 / kHeadroom<W>);
    return {small * sum * 4.0 / square(d) * (kept * ratio + 2.0), select(positive, room, e.scale * room)};
  }
};

}  // namespace mlpkern::MLPKERN_ISA
