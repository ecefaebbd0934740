"""Activations as ONNX operators, and as patterns that are found again in a graph.

A formula is a function f(g, s, p): g.Mul(a, b) adds a node, g.number(v) a constant, p has the
activation's parameters. It is read twice: the exporter's g writes nodes, the importer's g writes a
pattern in which a parameter stands for any number. Nothing overflows for finite s but what must.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlpkern.activations import Activation

# A Gauss-Legendre rule on [0, 1]: erf(z) = 2 z/sqrt(pi) times the integral of exp(-z^2 t^2) there,
# right to 1e-14 for |z| <= 6, and erf(6) is 1.
_NODES = 28

Formula = Callable[[Any, Any, Mapping[str, Any]], Any]


def _scaled(g: Any, s: Any, factor: Any) -> Any:
    return s if factor == 1 else g.Mul(s, g.number(factor))


def _expm1(g: Any, z: Any) -> Any:
    """exp(z) - 1 = 2 t/(1 - t) with t = tanh(z/2): no cancellation next to 0."""
    t = g.Tanh(g.Mul(z, g.number(0.5)))
    return g.Div(g.Add(t, t), g.Sub(g.number(1), t))


def _softplus(g: Any, z: Any) -> Any:
    """log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))."""
    return g.Add(g.Relu(z), g.Log(g.Add(g.Exp(g.Neg(g.Abs(z))), g.number(1))))


def _erf(g: Any, z: Any) -> Any:
    t, weights = np.polynomial.legendre.leggauss(_NODES)
    t, weights = (t + 1) / 2, weights / np.sqrt(np.pi)
    z = g.Clip(z, g.number(-6), g.number(6))
    column = g.Unsqueeze(g.Mul(z, z), g.integers([-1]))
    integral = g.MatMul(g.Exp(g.Mul(column, g.number(-t * t))), g.number(weights[:, None]))
    return g.Mul(z, g.Squeeze(integral, g.integers([-1])))


def _half_gate(g: Any, s: Any, erf: Any) -> Any:
    return g.Mul(g.Mul(s, g.number(0.5)), g.Add(erf, g.number(1)))


def relu(g: Any, s: Any, p: Any) -> Any:
    return _scaled(g, g.Relu(s), p["scale"])


def leaky_relu(g: Any, s: Any, p: Any) -> Any:
    return g.Add(g.Relu(s), g.Mul(g.Min(s, g.number(0)), g.number(p["negative_slope"])))


def elu(g: Any, s: Any, p: Any) -> Any:
    below = _expm1(g, g.Min(s, g.number(0)))
    return g.Add(g.Relu(s), g.Mul(below, g.number(p["alpha"])))


def selu(g: Any, s: Any, p: Any) -> Any:
    below = _expm1(g, g.Min(s, g.number(0)))
    inside = g.Add(g.Relu(s), g.Mul(below, g.number(1.6732632423543772848)))
    return g.Mul(inside, g.number(1.0507009873554804935))


def celu(g: Any, s: Any, p: Any) -> Any:
    alpha = g.number(p["alpha"])
    below = _expm1(g, g.Div(g.Min(s, g.number(0)), alpha))
    return g.Add(g.Relu(s), g.Mul(below, alpha))


def gelu(g: Any, s: Any, p: Any) -> Any:
    return _half_gate(g, s, g.Erf(g.Mul(s, g.number(np.sqrt(0.5)))))


def gelu_wide(g: Any, s: Any, p: Any) -> Any:
    return _half_gate(g, s, _erf(g, g.Mul(s, g.number(np.sqrt(0.5)))))


def gelu_tanh(g: Any, s: Any, p: Any) -> Any:
    cubic = g.Add(s, g.Mul(g.Mul(s, g.Mul(s, s)), g.number(0.044715)))
    return g.Mul(s, g.Sigmoid(g.Mul(cubic, g.number(np.sqrt(8 / np.pi)))))


def log_sigmoid(g: Any, s: Any, p: Any) -> Any:
    return g.Neg(_softplus(g, g.Neg(s)))


def softplus(g: Any, s: Any, p: Any) -> Any:
    beta = p["beta"]
    if beta == 1:
        return _softplus(g, s)
    return g.Div(_softplus(g, g.Mul(s, g.number(beta))), g.number(beta))


def softplus_by_operator(g: Any, s: Any, p: Any) -> Any:
    beta = p["beta"]
    if beta == 1:
        return g.Softplus(s)
    return g.Div(g.Softplus(g.Mul(s, g.number(beta))), g.number(beta))


def softsign(g: Any, s: Any, p: Any) -> Any:
    return g.Div(s, g.Add(g.Abs(s), g.number(1)))


def silu(g: Any, s: Any, p: Any) -> Any:
    return g.Mul(s, g.Sigmoid(s))


def mish(g: Any, s: Any, p: Any) -> Any:
    return g.Mul(s, g.Tanh(_softplus(g, s)))


def hardsigmoid(g: Any, s: Any, p: Any) -> Any:
    six = g.number(6)
    return g.Div(g.Clip(g.Add(s, g.number(3)), g.number(0), six), six)


def hardswish(g: Any, s: Any, p: Any) -> Any:
    return g.Mul(s, hardsigmoid(g, s, p))


def hardtanh(g: Any, s: Any, p: Any) -> Any:
    return g.Clip(s, g.number(p["min_val"]), g.number(p["max_val"]))


def tanhshrink(g: Any, s: Any, p: Any) -> Any:
    return g.Sub(s, g.Tanh(s))


def softshrink(g: Any, s: Any, p: Any) -> Any:
    lambd = g.number(p["lambd"])
    return g.Sub(g.Relu(g.Sub(s, lambd)), g.Relu(g.Sub(g.Neg(s), lambd)))


def hardshrink(g: Any, s: Any, p: Any) -> Any:
    return g.Where(g.LessOrEqual(g.Abs(s), g.number(p["lambd"])), g.number(0), s)


def squareplus(g: Any, s: Any, p: Any) -> Any:
    """(s + r)/2 with r = sqrt(s^2 + b), as max(s, 0) + b/(2 (r + |s|))."""
    b = g.number(p["b"])
    sum_ = g.Add(g.Sqrt(g.Add(g.Mul(s, s), b)), g.Abs(s))
    return g.Add(g.Relu(s), g.Div(b, g.Add(sum_, sum_)))


def sine(g: Any, s: Any, p: Any) -> Any:
    return g.Sin(_scaled(g, s, p["omega"]))


def gaussian(g: Any, s: Any, p: Any) -> Any:
    return g.Exp(g.Neg(g.Mul(s, s)))


def softargmax(g: Any, s: Any, p: Any) -> Any:
    return g.Softmax(_scaled(g, s, p["beta"]), axis=-1)


def plain(operator: str, **attributes: Any) -> Formula:
    """A formula of one operator; attributes that are names stand for parameters."""

    def formula(g: Any, s: Any, p: Any) -> Any:
        values = {k: p.get(v, v) for k, v in attributes.items()}
        return getattr(g, operator)(s, **values)

    return formula


# By the activation's name in the compiled table, by operators that ONNX Runtime has in float64 too.
FORMULAS: dict[str, Formula] = {
    "Identity": plain("Identity"),
    "ReLU": relu,
    "LeakyReLU": leaky_relu,
    "ReLU6": lambda g, s, p: g.Clip(s, g.number(0), g.number(6)),
    "ELU": elu,
    "SELU": selu,
    "CELU": celu,
    "GELU": gelu_wide,
    "GELUTanh": gelu_tanh,
    "Sigmoid": plain("Sigmoid"),
    "LogSigmoid": log_sigmoid,
    "Tanh": plain("Tanh"),
    "Softplus": softplus,
    "Softsign": softsign,
    "SiLU": silu,
    "Mish": mish,
    "Hardsigmoid": hardsigmoid,
    "Hardswish": hardswish,
    "Hardtanh": hardtanh,
    "Tanhshrink": tanhshrink,
    "Softshrink": softshrink,
    "Hardshrink": hardshrink,
    "Squareplus": squareplus,
    "Sine": sine,
    "Gaussian": gaussian,
    "Exp": plain("Exp"),
    "Softargmax": softargmax,
    "LogSoftargmax": plain("LogSoftmax", axis=-1),
}

# In float32, from an opset on: the operators that are made for it. Their attributes are float32
# always, so that float64 does without.
NARROW: list[tuple[str, int, Formula]] = [
    ("LeakyReLU", 13, plain("LeakyRelu", alpha="negative_slope")),
    ("ELU", 13, plain("Elu", alpha="alpha")),
    ("SELU", 13, plain("Selu", alpha=1.6732632423543772848, gamma=1.0507009873554804935)),
    ("CELU", 13, plain("Celu", alpha="alpha")),
    ("GELU", 13, gelu),
    ("GELU", 20, plain("Gelu", approximate="none")),
    ("GELUTanh", 20, plain("Gelu", approximate="tanh")),
    ("LogSigmoid", 13, lambda g, s, p: g.Neg(g.Softplus(g.Neg(s)))),
    ("Softplus", 13, softplus_by_operator),
    ("Softsign", 13, plain("Softsign")),
    ("Mish", 13, lambda g, s, p: g.Mul(s, g.Tanh(g.Softplus(s)))),
    ("Mish", 18, plain("Mish")),
    ("Hardsigmoid", 13, plain("HardSigmoid", alpha=1 / 6, beta=0.5)),
    ("Hardswish", 14, plain("HardSwish")),
]


def formula_of(f: Activation, dtype: np.dtype[Any], opset: int) -> Formula | None:
    """Return how an activation is written; None where it cannot be."""
    fitting = [
        formula
        for name, since, formula in NARROW
        if name == f._name and dtype == np.float32 and opset >= since
    ]
    return fitting[-1] if fitting else FORMULAS.get(f._name)
