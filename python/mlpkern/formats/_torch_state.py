"""Networks from PyTorch's state_dicts: weights (outputs, inputs) and biases by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern.activations import Activation
from mlpkern.maps import Map


def chain(maps: list[Map]) -> Map:
    """Return the composition of maps, or the identity."""
    try:
        return mk.Chain(*maps) if maps else mk.Chain(mk.Identity())
    except ValueError as error:
        raise ValueError(f"from_torch: {error}") from None


def linear(name: str, weight: Any, bias: Any) -> mk.Linear:
    """A linear map of PyTorch's weight (outputs, inputs) and bias, tensors or arrays."""
    w, b = (_array(f"{name}{what}", v) for what, v in (("weight", weight), ("bias", bias)))
    if w is None or w.ndim != 2:
        raise TypeError(
            f"from_torch: {name}weight must be (outputs, inputs); got {getattr(w, 'shape', None)}"
        )
    f = mk.Linear(w.shape[1], w.shape[0], b is not None, w.dtype)
    f.w = w.T
    if b is not None:
        if b.dtype != w.dtype or b.shape != w.shape[:1]:
            raise TypeError(
                f"from_torch: {name}bias must be {w.shape[:1]} and {w.dtype}, as its weight is; "
                f"got {b.shape}, {b.dtype}"
            )
        f.b = b
    return f


def _array(name: str, tensor: Any) -> Any:
    if tensor is None:
        return None
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ("float32", "float64"):
        raise TypeError(
            f"from_torch: {name} must be float32 or float64; got {dtype}: convert it with .float()"
        )
    return tensor if isinstance(tensor, np.ndarray) else tensor.detach().cpu().numpy()


def from_state(state: Mapping[str, Any], hidden: Any, output: Any) -> Map:
    """Return a state_dict's linear maps with activations behind them."""
    layers: dict[str, dict[str, Any]] = {}
    for key, tensor in state.items():
        place, _, what = str(key).rpartition(".")
        if what not in ("weight", "bias"):
            raise TypeError(f"from_torch: a state_dict must hold weights and biases; got {key!r}")
        layers.setdefault(place, {})[what] = tensor
    if not layers:
        raise ValueError("from_torch: the state_dict is empty")
    linears = [
        linear(f"{place}." if place else "", inside.get("weight"), inside.get("bias"))
        for place, inside in sorted(layers.items(), key=_order(layers))
    ]
    if hidden is None and len(linears) > 1:
        raise TypeError(
            "from_torch: a state_dict has no activations: give hidden=, such as hidden='relu'"
        )
    one = isinstance(hidden, str | Activation)
    chosen = [hidden] * (len(linears) - 1) if one else list(hidden or [])
    if len(chosen) != len(linears) - 1:
        raise ValueError(
            f"from_torch: hidden must name {len(linears) - 1} activations, one a hidden layer; "
            f"got {len(chosen)}"
        )
    behind = [f if isinstance(f, Activation) else mk.activation(f) for f in [*chosen, output]]
    return chain([m for pair in zip(linears, behind, strict=True) for m in pair])


def _order(layers: Mapping[str, Any]) -> Any:
    """By number, 2 before 10, where names differ in numbers only; else as they come."""
    split = {place: re.split(r"(\d+)", place) for place in layers}
    if len({tuple(parts[::2]) for parts in split.values()}) > 1:
        return lambda item: 0
    return lambda item: [int(number) for number in split[item[0]][1::2]]
