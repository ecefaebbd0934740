"""Activations: one class for each row of the compiled table.

The table (``csrc/kernels``) holds the formulas, names and parameters; the classes here and their
signatures follow from it, their docstrings are the oracles', and ``tests/make_stubs.py`` writes the
stub ``activations.pyi``.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core
from mlpkern._arguments import number
from mlpkern.maps import Map
from mlpkern.program import ProgramBuilder


class Activation(Map):
    """A function applied to s, element by element or row by row. Activations are immutable.

    Called, it gives a = f(s), into ``out`` where that is given (s itself is allowed). float32 in,
    float32 out; float64 in, float64 out; any shape. By rows, as softargmax, the last axis is a row.

    Raises
    ------
    TypeError
        By any method, if an array is neither float32 nor float64 or they are not alike; by the
        derivatives of an activation by rows, which has a Jacobian instead.
    ValueError
        If shapes differ, or ``out`` does not fit or overlaps an input otherwise than element by
        element.
    """

    _name: str  # the row of the table
    _parameters: dict[str, float]
    by_rows = False

    def __init__(self) -> None:
        self._kernel = _core.Activation(self._name, list(self._parameters.values()))
        self._value = self._kernel.value  # bound once: binding takes as long as checking a call

    def __call__(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """``a = f(s)``, of the shape of s."""
        return self._value(s, out)

    def predict(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The same as calling it: an activation keeps nothing."""
        return self._value(x, out)

    def backward(self, dy: ArrayLike, *, need_dx: bool = True) -> NDArray[Any] | None:
        """Not by itself: inside a network, or as ``vjp(s, g)``."""
        raise TypeError(f"{type(self).__name__}: an activation keeps nothing; use vjp(s, g)")

    def derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """``f'(s)``, the diagonal of the Jacobian, of the shape of s."""
        self._refuse_by_rows("derivative")
        return self._kernel.derivative(s, out)

    def second_derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """``f''(s)``, of the shape of s; 0 where f is piecewise linear."""
        self._refuse_by_rows("second_derivative")
        return self._kernel.second_derivative(s, out)

    def third_derivative(self, s: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """``f'''(s)``, of the shape of s; 0 at kinks, and where f is piecewise quadratic."""
        self._refuse_by_rows("third_derivative")
        return self._kernel.third_derivative(s, out)

    def jvp(self, s: ArrayLike, v: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The Jacobian at s times a tangent v; v and the result have the shape of s."""
        return self._kernel.jvp(s, v, out)

    def vjp(self, s: ArrayLike, g: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """A cotangent g times the Jacobian at s; g and the result have the shape of s."""
        return self._kernel.vjp(s, g, out)

    def jacobian(self, s: ArrayLike) -> NDArray[Any]:
        """The dense Jacobian ``da/ds``, shape (..., L, L) for s of shape (..., L): to look at."""
        self._kernel.value(s)  # refuses what is no array of floats
        s = _core.as_array(type(self).__name__, "s", s)
        if s.ndim == 0:
            raise ValueError(f"{type(self).__name__}: s must be (..., L); got ()")
        L = s.shape[-1]
        tangents = np.broadcast_to(np.eye(L, dtype=s.dtype), (*s.shape[:-1], L, L))
        rows = np.broadcast_to(s[..., None, :], tangents.shape)
        return np.swapaxes(self._kernel.jvp(rows, tangents), -1, -2)

    def copy(self) -> Activation:
        """Itself: it cannot change."""
        return self

    def config(self) -> dict[str, Any]:
        """``{"type": "ELU", "alpha": 1.0}``: what :func:`mlpkern.from_config` rebuilds."""
        return {"type": type(self).__name__, **self._parameters}

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self._parameters.items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Activation) and self.config() == other.config()

    def __hash__(self) -> int:
        return hash(tuple(self.config().items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._parameters.values())

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        return builder.activation(value, self._name, list(self._parameters.values()))

    def _refuse_by_rows(self, what: str) -> None:
        if self.by_rows:
            raise TypeError(
                f"{type(self).__name__}: {what} needs an elementwise activation; this one works "
                "row by row: use jacobian, jvp or vjp"
            )


# The rules that parameters obey; all must be finite.
_POSITIVE = {("Softplus", "beta"), ("CELU", "alpha"), ("Squareplus", "b"), ("Softargmax", "beta")}
_NOT_NEGATIVE = {("Softshrink", "lambd"), ("Hardshrink", "lambd")}


def _checked(name: str, parameter: str, value: Any) -> float:
    positive = (name, parameter) in _POSITIVE
    least = 0.0 if positive or (name, parameter) in _NOT_NEGATIVE else -math.inf
    return number(name, parameter, value, least, open_=positive)


def _rule(name: str, parameter: str) -> str:
    if (name, parameter) in _POSITIVE:
        return "Greater than 0."
    return "0 or greater." if (name, parameter) in _NOT_NEGATIVE else "Any finite number."


class _OracleDoc:
    """The docstring of a class: its oracle's, and the parameters; read when somebody asks."""

    def __get__(self, instance: object, owner: type[Activation]) -> str:
        from mlpkern import reference

        doc = inspect.getdoc(getattr(reference, owner.__name__)) or ""
        lines = [
            f"{p.name} : float, default {p.default}\n    {_rule(owner.__name__, p.name)}"
            for p in inspect.signature(owner).parameters.values()
        ]
        return "\n".join([doc, "", "Parameters", "----------", *lines]) if lines else doc


def _make_class(name: str, parameters: list[tuple[str, float]]) -> type[Activation]:
    signature = inspect.Signature(
        [
            inspect.Parameter(p, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
            for p, default in parameters
        ]
    )

    def __init__(self: Activation, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: takes {signature}; {error}") from None
        bound.apply_defaults()
        self._parameters = {p: _checked(name, p, v) for p, v in bound.arguments.items()}
        if name == "Hardtanh" and self._parameters["min_val"] > self._parameters["max_val"]:
            raise ValueError(
                f"Hardtanh: min_val must not exceed max_val; got {self._parameters['min_val']}, "
                f"{self._parameters['max_val']}"
            )
        Activation.__init__(self)

    return type(
        name,
        (Activation,),
        {
            "__init__": __init__,
            "__signature__": signature,
            "__doc__": _OracleDoc(),
            "__module__": __name__,
            "_name": name,
            "by_rows": _core.by_rows(name),
        },
    )


_classes = {name: _make_class(name, parameters) for name, parameters in _core.activation_specs()}
_GELUTanh = _classes.pop("GELUTanh")


class GELU(_classes["GELU"]):
    """``f(s) = s Phi(s)`` with the normal distribution Phi, or its tanh approximation.

    Exact: ``f' = Phi + s phi``, ``f'' = (2 - s^2) phi`` with ``phi = Phi'``. Approximate:
    ``f(s) = s (1 + tanh(p/2))/2`` with ``p = sqrt(8/pi) (s + 0.044715 s^3)``.

    Parameters
    ----------
    approximate : {"none", "tanh"}, default "none"
        "none" is exact, by erf.
    """

    __signature__ = inspect.Signature(
        [inspect.Parameter("approximate", inspect.Parameter.POSITIONAL_OR_KEYWORD, default="none")]
    )

    def __init__(self, approximate: str = "none") -> None:
        if not isinstance(approximate, str):
            raise TypeError(f"GELU: approximate must be a string; got {type(approximate).__name__}")
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh'; got {approximate!r}")
        self.approximate = approximate
        self._name = "GELU" if approximate == "none" else "GELUTanh"
        self._parameters = {}
        Activation.__init__(self)

    def config(self) -> dict[str, Any]:
        """``{"type": "GELU", "approximate": "none"}``."""
        return {"type": "GELU", "approximate": self.approximate}

    def __repr__(self) -> str:
        return f"GELU(approximate={self.approximate!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return GELU, (self.approximate,)


_classes["GELU"] = GELU
globals().update(_classes)
Softmax = _classes["Softargmax"]
LogSoftmax = _classes["LogSoftargmax"]

# Class by name, as the classes are spelled: the list that plots, tests and documentation follow.
ACTIVATIONS: dict[str, type[Activation]] = _classes


def _key(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


_by_key = {
    **{_key(name): cls for name, cls in _classes.items()},
    "softmax": Softmax,
    "logsoftmax": LogSoftmax,
    "swish": _classes["SiLU"],
}


def activation(name: str, **parameters: Any) -> Activation:
    """The activation of that name: ``activation("relu", scale=3.0)``, ``activation("leaky_relu")``.

    Case, underscores, spaces and hyphens in the name do not matter.

    Raises
    ------
    ValueError
        If there is none of that name.
    TypeError
        If it has no such parameter.
    """
    if not isinstance(name, str):
        raise TypeError(f"activation: name must be a string; got {type(name).__name__}")
    cls = _by_key.get(_key(name))
    if cls is None:
        raise ValueError(
            f"activation: name must be one of {', '.join(sorted(_by_key))}; got {name!r}"
        )
    return cls(**parameters)


__all__ = ["ACTIVATIONS", "Activation", "LogSoftmax", "Softmax", "activation", *_classes]
