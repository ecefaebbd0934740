// SPDX-License-Identifier: BSD-3-Clause
// The list of elementwise activations. An activation is one struct:
//
//   name, parameters             as the table has them; the parameters are its members, in that order
//   value, derivative,           templates over the number that they are computed in: Work<T>, or Vec<T>
//   second_derivative            the second, and the third, are left out where they are 0 everywhere
//   works_in_t<T>                those of them that Vec<T> is good enough for, and faster; optional. Either
//                                rounding has nothing to spoil there, or math/ has overloads for Vec<T>
//                                that keep what it would (math/native.hpp, math/logistic.hpp)
//   third_derivative             as the second, but over Work<T> alone
//   derivative_from_output,      f', f'' and f''' from a = f(s), in Vec<T>: f' right to an ulp of 1, the
//   second_from_output,          others to as many as they multiply the rounding of a by, up to 2 and 4;
//   third_from_output            all three or none
//
// A member returns such a number, or a Scaled one where the result may be subnormal (math/work.hpp).
// Promise, which tests/accuracy.py measures: 1 ULP in float32, 2 where a row there says so, 2 ULP in float64;
// where a derivative passes through zero, 2 units in the last place of 1 there. NaN gives NaN; at ±infinity
// the limit.
#pragma once

#include "kernels/activations_exponential.hpp"
#include "kernels/activations_gated.hpp"
#include "kernels/activations_piecewise.hpp"
#include "kernels/activations_sigmoid.hpp"
#include "kernels/activations_smooth.hpp"

namespace mlpkern::MLPKERN_ISA {

template <class... Types>
struct List {};

using Activations = List<Identity, ReLU, LeakyReLU, ReLU6, ELU, SELU, CELU, GELU, GELUTanh, Sigmoid,
                         LogSigmoid, Tanh, Softplus, Softsign, SiLU, Mish, Hardsigmoid, Hardswish, Hardtanh,
                         Tanhshrink, Softshrink, Hardshrink, Squareplus, Sine, Gaussian, Exp>;

}  // namespace mlpkern::MLPKERN_ISA
