"""What the formats share: libraries imported when needed, and a name for every linear map."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern.layers import Linear
from mlpkern.maps import Map


def library(who: str, name: str) -> Any:
    """Return a module of an optional library, whose extra has the library's name."""
    extra = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != extra:  # it is there, and lacks another
            raise
        raise ImportError(
            f"{who} needs {extra}; install it with: pip install 'mlpkern[{extra}]'"
        ) from None


def normalization(
    gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float
) -> mk.Standardize:
    """Return ``gamma (x - mean)/sqrt(variance + epsilon) + beta`` as a Standardize.

    Raises
    ------
    ValueError
        If a gamma is 0, or something is not finite.
    """
    g, b, m, v = (np.asarray(a, np.float64) for a in (gamma, beta, mean, variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(v + epsilon) / g
        return mk.Standardize(m - b * scale, scale)


def named_linears(net: Map) -> list[tuple[str, Linear]]:
    """Return the linear maps, each once, by where they first occur.

    ``layers.0.`` is the first map of a chain, ``layers.2.layers.1.`` a map inside its third; the
    name of a network that is a linear map itself is empty.
    """
    found: list[tuple[str, Linear]] = []
    seen: set[int] = set()

    def visit(inner: Map, name: str) -> None:
        if isinstance(inner, Linear) and id(inner) not in seen:
            seen.add(id(inner))
            found.append((name, inner))
        for position, child in enumerate(inner._children()):
            visit(child, f"{name}layers.{position}.")

    visit(net, "")
    return found
