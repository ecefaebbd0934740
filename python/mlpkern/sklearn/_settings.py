"""The estimators' parameters, checked when fitting begins, as scikit-learn has it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern._arguments import flag, integer, number

STOCHASTIC = ("sgd", "adam", "adamw", "rmsprop", "adagrad")
CHOICES = {
    "solver": (*STOCHASTIC, "lbfgs"),
    "learning_rate": ("constant", "invscaling", "adaptive"),
}
FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "progress")
WHOLE = ("max_iter", "max_fun")
AT_LEAST_0 = ("alpha", "power_t", "tol")
ABOVE_0 = ("learning_rate_init", "epsilon")
SHARES = {  # name: whether 1 is one of them; 0 is
    "momentum": True,
    "validation_fraction": False,
    "beta_1": False,
    "beta_2": False,
}


def check(who: str, values: Mapping[str, Any]) -> None:
    """Raises where a parameter is none that the estimator can work with.

    Raises
    ------
    TypeError, ValueError
        ``MLPClassifier: alpha must be finite and at least 0; got -1.0``.
    """
    for name, choices in CHOICES.items():
        one_of(who, name, values[name], choices)
    for name in FLAGS:
        flag(who, name, values[name])
    for name in WHOLE:
        integer(who, name, values[name], 1)
    for name in AT_LEAST_0:
        number(who, name, values[name], 0.0)
    for name in ABOVE_0:
        number(who, name, values[name], 0.0, open_=True)
    for name, closed in SHARES.items():
        share(who, name, values[name], closed)
    if values["batch_size"] != "auto":
        integer(who, "batch_size", values["batch_size"], 1)
    if values["n_iter_no_change"] != math.inf:
        integer(who, "n_iter_no_change", values["n_iter_no_change"], 1)
    for callback in values["callbacks"] or ():
        if not callable(callback):
            raise TypeError(f"{who}: callbacks must be callable; got {type(callback).__name__}")


def one_of(who: str, name: str, value: Any, choices: Iterable[str]) -> None:
    """Raises where a parameter is none of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{who}: {name} must be one of {', '.join(choices)}; got {value!r}")


def share(who: str, name: str, value: Any, closed: bool) -> float:
    """A number from 0 to 1, less than 1 where not ``closed``."""
    result = number(who, name, value)
    if not 0 <= result <= 1 or (result == 1 and not closed):
        rule = "from 0 to 1" if closed else "at least 0 and less than 1"
        raise ValueError(f"{who}: {name} must be {rule}; got {result}")
    return result


def hidden_sizes(who: str, sizes: Any) -> list[int]:
    """``hidden_layer_sizes`` as a list: one number is one layer."""
    if isinstance(sizes, str):
        raise TypeError(f"{who}: hidden_layer_sizes must be integers; got {sizes!r}")
    several = list(sizes) if np.iterable(sizes) else [sizes]
    if any(isinstance(n, int | np.integer) and n <= 0 for n in several):
        raise ValueError(f"{who}: hidden_layer_sizes must be > 0, got {several}")
    return [integer(who, f"hidden_layer_sizes[{i}]", n, 1) for i, n in enumerate(several)]


def activations(who: str, chosen: Any, layers: int) -> list[mk.Activation]:
    """The activations of the hidden layers: of a name, an Activation, or a list of them."""
    if isinstance(chosen, list | tuple):
        if len(chosen) != layers:
            raise ValueError(
                f"{who}: activation must name {layers} activations, one a hidden layer; "
                f"got {len(chosen)}"
            )
        return [_activation(who, one) for one in chosen]
    return [_activation(who, chosen) for _ in range(layers)]


def _activation(who: str, chosen: Any) -> mk.Activation:
    if isinstance(chosen, mk.Activation):
        return chosen
    if not isinstance(chosen, str):
        raise TypeError(
            f"{who}: activation must be a name, an Activation or a list of them; "
            f"got {type(chosen).__name__}"
        )
    return mk.activation("sigmoid" if chosen == "logistic" else chosen)


def users_line() -> int:
    """The ``stacklevel`` with which a warning shows the line that called the estimator."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("mlpkern."):
        level, frame = level + 1, frame.f_back
    return level


def take(estimator: Any, arguments: dict[str, Any]) -> None:
    """Keeps the arguments of ``__init__`` as they came, under their names."""
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


def is_stochastic(estimator: Any) -> bool:
    """Whether there is a partial_fit."""
    if estimator.solver not in STOCHASTIC:
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True
