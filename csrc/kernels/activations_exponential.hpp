// SPDX-License-Identifier: BSD-3-Clause
// Activations made of exp and of the normal distribution. What a member may return, and why some results
// carry a scale, is explained in activations.hpp and activations_sigmoid.hpp.
#pragma once

#include "kernels/activations_sigmoid.hpp"
#include "math/normal.hpp"

namespace mlpkern::MLPKERN_ISA {

// slope exp(x), where s < 0; `right` elsewhere.
template <class W>
MLPKERN_INLINE Scaled<W> left_exponential(W s, W x, W slope, W right) {
  const auto e = exponential(x);
  const Mask<double> positive = s > W(0.0);
  return {select(positive, right, slope * e.x), scale_where(~positive, e.scale)};
}

// f(s) = s if s > 0 else alpha (exp(s) - 1);  f' = 1 or alpha exp(s);  f''(0) = f'''(0) = 0
struct ELU {
  static constexpr const char* name = "ELU";
  static constexpr ParameterSpec parameters[] = {{"alpha", 1.0}};
  double alpha;
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    return select(s >= W(0.0), s, expm1(s) * alpha);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return left_exponential(s, s, W(alpha), W(1.0));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return left_exponential(s, s, select(s == W(0.0), W(0.0), W(alpha)), W(0.0));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return second_derivative(s);
  }
};

// f(s) = scale (s if s > 0 else alpha (exp(s) - 1)), with PyTorch's constants;  f''(0) = f'''(0) = 0
struct SELU {
  static constexpr const char* name = "SELU";
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W pieces = select(s > W(0.0), s * W(kSeluScale), expm1(s) * W(kSeluScaleAlpha));
    return select(s == W(0.0), s, pieces);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return left_exponential(s, s, W(kSeluScaleAlpha), W(kSeluScale));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return left_exponential(s, s, select(s == W(0.0), W(0.0), W(kSeluScaleAlpha)), W(0.0));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return second_derivative(s);
  }
};

// f(s) = s if s > 0 else alpha (exp(s/alpha) - 1);  f' = 1 or exp(s/alpha);  f''(0) = f'''(0) = 0
struct CELU {
  static constexpr const char* name = "CELU";
  static constexpr ParameterSpec parameters[] = {{"alpha", 1.0}};
  double alpha;
  template <class W>
  MLPKERN_INLINE W inverse() const {  // divided once a call, not once an element
    return 1.0 / W(alpha);
  }
  template <class W>
  MLPKERN_INLINE W value(W s) const {
    const W x = s * inverse<W>();
    const Mask<double> straight = abs(x) < W(0x1p-110);  // s/alpha may be subnormal where s is not
    return select((s >= W(0.0)) | straight, s, expm1(x) * alpha);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return left_exponential(s, s * inverse<W>(), W(1.0), W(1.0));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W slope = select(s == W(0.0), W(0.0), inverse<W>());
    return left_exponential(s, s * inverse<W>(), slope, W(0.0));
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W slope = select(s == W(0.0), W(0.0), square(inverse<W>()));
    return left_exponential(s, s * inverse<W>(), slope, W(0.0));
  }
};

// f(s) = s Phi(s);  f' = Phi(s) + s phi(s), f'' = (2 - s^2) phi(s), f''' = s (s^2 - 4) phi(s);  see
// math/normal.hpp
struct GELU {
  static constexpr const char* name = "GELU";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    return gelu(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return gelu_derivative(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W kept = clamp(s, -kNormalEnd<W>, kNormalEnd<W>);
    const auto e = gaussian_half(kept);
    return {e.x * W(kInvSqrt2Pi) * (2.0 - square(kept)), e.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W kept = clamp(s, -kNormalEnd<W>, kNormalEnd<W>);
    const auto e = gaussian_half(kept);
    return {e.x * W(kInvSqrt2Pi) * (square(kept) - 4.0) * kept, e.scale};
  }
};

// f(s) = exp(-s^2);  f' = -2s f, f'' = (4s^2 - 2) f, f''' = 4s (3 - 2s^2) f
struct Gaussian {
  static constexpr const char* name = "Gaussian";
  template <class T>
  static constexpr int works_in_t = kHasFma && sizeof(T) == sizeof(double) ? kValue | kDerivative : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    return gaussian(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return gaussian_derivative(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    const W z = square(clamp(s, -32.0, 32.0));
    const auto e = decaying(-z);
    return {e.x * (z * 4.0 - 2.0), e.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    const W kept = clamp(s, -32.0, 32.0), z = square(kept);
    const auto e = decaying(-z);
    return {e.x * (12.0 - z * 8.0) * kept, e.scale};
  }
};

// f = f' = f'' = f''' = exp(s)
struct Exp {
  static constexpr const char* name = "Exp";
  template <class T>
  static constexpr int works_in_t = kHasFma ? kEveryOrder : 0;
  template <class W>
  MLPKERN_INLINE Scaled<W> value(W s) const {
    const auto e = exponential(s);
    return {e.x, e.scale};
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> derivative(W s) const {
    return value(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> second_derivative(W s) const {
    return value(s);
  }
  template <class W>
  MLPKERN_INLINE Scaled<W> third_derivative(W s) const {
    return value(s);
  }
  template <class W>
  MLPKERN_INLINE W derivative_from_output(W a) const {
    return a;
  }
  template <class W>
  MLPKERN_INLINE W second_from_output(W a) const {
    return a;
  }
  template <class W>
  MLPKERN_INLINE W third_from_output(W a) const {
    return a;
  }
};

}  // namespace mlpkern::MLPKERN_ISA
