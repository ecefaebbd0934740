"""Activations found in a graph: the formulas of export, and those that other exporters write.

A pattern is a tree of operators over one unknown, the activation's input; it matches a value of the
graph where the operators, attributes and constants do, factors in either order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import mlpkern as mk
from mlpkern import _core
from mlpkern.formats._onnx_formulas import FORMULAS, NARROW, Formula, plain, softplus_by_operator

Array = np.ndarray[Any, Any]
COMMUTE = ("Add", "Mul", "Max", "Min", "Or")


class Value:
    """A value of the graph: an operator of values and constants (arrays); None is left out."""

    def __init__(self, op: str, inputs: list[Any], attributes: dict[str, Any], node: Any) -> None:
        self.op, self.inputs, self.attributes, self.node = op, inputs, attributes, node


class Unknown(NamedTuple):
    """The input of an activation."""


class Parameter(NamedTuple):
    """A number that becomes the activation's parameter, or its negative."""

    name: str
    sign: int = 1

    def __neg__(self) -> Parameter:
        return Parameter(self.name, -self.sign)


class Literal(NamedTuple):
    """A known constant."""

    array: Array


class Operator(NamedTuple):
    """An operator of patterns."""

    op: str
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]


class _Builder:
    """What formulas are given to write a pattern."""

    def __getattr__(self, op: str) -> Any:
        return lambda *inputs, **attributes: Operator(op, inputs, attributes)

    def number(self, value: Any) -> Any:
        return value if isinstance(value, Parameter) else Literal(np.asarray(value, np.float64))

    integers = number


Found = dict[str, Any]  # "" is the input


def match(pattern: Any, value: Any, found: Found) -> Iterator[Found]:
    """Every way in which a pattern fits a value or constant, added to what has been found."""
    if isinstance(pattern, Unknown):
        if isinstance(value, Value) and found.get("", value) is value:
            yield {**found, "": value}
    elif isinstance(pattern, Operator):
        if isinstance(value, Value) and value.op == pattern.op:
            yield from _match_operator(pattern, value, found)
    elif isinstance(value, np.ndarray):
        yield from _match_number(pattern, value, found)


def _match_operator(pattern: Operator, value: Value, found: Found) -> Iterator[Found]:
    inputs = value.inputs[: len(pattern.inputs)]
    if len(inputs) != len(pattern.inputs) or any(
        rest is not None for rest in value.inputs[len(inputs) :]
    ):
        return
    for name, expected in pattern.attributes.items():
        there = value.attributes.get(name)
        if isinstance(expected, str):
            fits = [found] if there == expected else []
        else:
            wanted = expected if isinstance(expected, Parameter) else Literal(np.asarray(expected))
            number = np.asarray(there if isinstance(there, int | float) else np.nan, np.float32)
            fits = list(_match_number(wanted, number, found))
        if not fits:
            return
        found = fits[0]
    orders = [inputs, inputs[::-1]] if pattern.op in COMMUTE else [inputs]
    for order in orders:
        yield from _match_all(pattern.inputs, order, found)


def _match_all(patterns: Any, values: Any, found: Found) -> Iterator[Found]:
    if not patterns:
        yield found
        return
    for first in match(patterns[0], values[0], found):
        yield from _match_all(patterns[1:], values[1:], first)


def _match_number(pattern: Any, array: Array, found: Found) -> Iterator[Found]:
    if isinstance(pattern, Literal):
        size = pattern.array.size
        same = array.shape == pattern.array.shape or (size == 1 and array.size == 1)
        tolerance = 1e-6 if array.dtype == np.float32 else 1e-13
        if same and np.allclose(array.ravel(), pattern.array.ravel(), tolerance, 0):
            yield found
    elif array.size == 1 and array.dtype.kind == "f":
        number = shortest(array.ravel()[0]) * pattern.sign
        if found.get(pattern.name, number) == number:
            yield {**found, pattern.name: number}


def shortest(number: Any) -> float:
    """The number that a person wrote: 0.01 where a float32 holds 0.009999999776."""
    return float(str(number))


def _erf_gate(g: Any, s: Any) -> Any:
    return g.Add(g.Erf(g.Div(s, g.number(np.sqrt(2)))), g.number(1))


def _tanh_gate(g: Any, s: Any) -> Any:
    cubes = g.Add(s, g.Mul(g.Mul(s, g.Mul(s, s)), g.number(0.044715)))
    return g.Add(g.Tanh(g.Mul(cubes, g.number(np.sqrt(2 / np.pi)))), g.number(1))


def _tanh_gate_by_power(g: Any, s: Any) -> Any:
    cubes = g.Add(s, g.Mul(g.Pow(s, g.number(3)), g.number(0.044715)))
    return g.Add(g.Tanh(g.Mul(cubes, g.number(np.sqrt(2 / np.pi)))), g.number(1))


def _halved(gate: Any) -> list[Formula]:
    """s gate/2, however it is put together."""
    return [
        lambda g, s, p: g.Mul(g.Mul(s, gate(g, s)), g.number(0.5)),
        lambda g, s, p: g.Mul(g.Mul(s, g.number(0.5)), gate(g, s)),
        lambda g, s, p: g.Mul(s, g.Mul(gate(g, s), g.number(0.5))),
    ]


def _softshrink(g: Any, s: Any, p: Any) -> Any:
    lambd, zero = p["lambd"], g.number(0)
    above = g.Where(g.Greater(s, g.number(lambd)), g.Sub(s, g.number(lambd)), zero)
    return g.Add(above, g.Where(g.Less(s, g.number(-lambd)), g.Add(s, g.number(lambd)), zero))


def _softshrink_by_sign(g: Any, s: Any, p: Any) -> Any:
    lambd = p["lambd"]
    outside = g.Greater(g.Abs(s), g.number(lambd))
    shrunk = g.Sub(s, g.Mul(g.Sign(s), g.number(lambd)))
    return g.Where(outside, shrunk, g.Mul(s, g.number(0)))


def _softplus_to_a_line(g: Any, s: Any, p: Any) -> Any:
    """The straight line from 20 on, where the difference is 2e-9."""
    scaled = s if p["beta"] == 1 else g.Mul(s, g.number(p["beta"]))
    return g.Where(g.Greater(scaled, g.number(20)), s, softplus_by_operator(g, s, p))


def _hardshrink(g: Any, s: Any, p: Any) -> Any:
    lambd = p["lambd"]
    outside = g.Or(g.Greater(s, g.number(lambd)), g.Less(s, g.number(-lambd)))
    return g.Where(outside, s, g.number(0))


def _relu6_of_shifted(g: Any, s: Any) -> Any:
    return g.Clip(g.Add(s, g.number(3)), g.number(0), g.number(6))


# What PyTorch, Keras and scikit-learn's exporters write.
FOREIGN: list[tuple[str, Formula]] = [
    ("ReLU", lambda g, s, p: g.Max(s, g.number(0))),
    ("LeakyReLU", lambda g, s, p: g.PRelu(s, g.number(p["negative_slope"]))),
    *(("GELU", formula) for formula in _halved(_erf_gate)),
    *(("GELUTanh", formula) for formula in _halved(_tanh_gate)),
    *(("GELUTanh", formula) for formula in _halved(_tanh_gate_by_power)),
    ("SiLU", plain("Swish", alpha=1.0)),
    ("LogSigmoid", lambda g, s, p: g.Log(g.Sigmoid(s))),
    ("LogSoftargmax", lambda g, s, p: g.Log(g.Softmax(s, axis=-1))),
    ("Gaussian", lambda g, s, p: g.Exp(g.Neg(g.Pow(s, g.number(2))))),
    ("Hardswish", lambda g, s, p: g.Mul(s, g.HardSigmoid(s, alpha=1 / 6, beta=0.5))),
    ("Hardswish", lambda g, s, p: g.Div(g.Mul(s, _relu6_of_shifted(g, s)), g.number(6))),
    ("Softshrink", plain("Shrink", lambd="lambd", bias="lambd")),
    ("Softshrink", _softshrink),
    ("Softshrink", _softshrink_by_sign),
    ("Softplus", _softplus_to_a_line),
    ("Hardshrink", plain("Shrink", lambd="lambd", bias=0.0)),
    ("Hardshrink", _hardshrink),
]


def _patterns() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every formula with its parameters open, and as it is where they are 1."""
    specs = dict(_core.activation_specs())
    own = [*FORMULAS.items(), *((name, formula) for name, _, formula in NARROW)]
    for name, formula in [*own, *FOREIGN]:
        named = [parameter for parameter, _ in specs[name]]
        for p in ({n: Parameter(n) for n in named}, dict.fromkeys(named, 1.0)):
            pattern = formula(_Builder(), Unknown(), p)
            if all(isinstance(v, float) or v in _parts(pattern) for v in p.values()):
                yield name, p, pattern


def _parts(pattern: Any) -> list[Any]:
    """Everything that a pattern is made of."""
    if not isinstance(pattern, Operator):
        return [pattern] if isinstance(pattern, Parameter) else []
    inside = [*pattern.inputs, *pattern.attributes.values()]
    return [part for value in inside for part in _parts(value)]


def activation_of(value: Value) -> tuple[Any, Value] | None:
    """Return the activation that ends in a value, and its input; None where there is none."""
    for name, p, pattern in _by_operator().get(value.op, []):
        for found in itertools.islice(match(pattern, value, {}), 1):
            numbers = {n: found.get(n, given) for n, given in p.items()}
            if name == "GELUTanh":
                return mk.GELU(approximate="tanh"), found[""]
            return mk.activation(name, **numbers), found[""]
    return None


_table: dict[str, list[tuple[str, dict[str, Any], Any]]] = {}


def _by_operator() -> dict[str, list[tuple[str, dict[str, Any], Any]]]:
    if not _table:
        for row in _patterns():
            _table.setdefault(row[2].op, []).append(row)
    return _table
