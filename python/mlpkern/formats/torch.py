"""Networks as PyTorch's modules: `to_torch`; `from_torch` stands in `_torch_import`.

PyTorch's Linear holds w transposed, (outputs, inputs).
"""

from __future__ import annotations

from typing import Any

import mlpkern as mk
from mlpkern.activations import Activation
from mlpkern.formats._common import library
from mlpkern.formats._torch_import import NAMES, from_torch
from mlpkern.maps import Map

__all__ = ["from_torch", "to_torch"]


def to_torch(net: Map) -> Any:
    """Return a network as a torch.nn.Sequential with copies of its weights.

    A Sum becomes a small module of its own, as do the activations that PyTorch lacks (Squareplus,
    Sine, Gaussian, Exp, ReLU with a scale, Softargmax with a beta). A map that occurs twice is one
    module that occurs twice.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError
        `net` is no network, or holds a map that has no form in PyTorch.
    """
    torch = library("to_torch", "torch")
    if not isinstance(net, Map):
        raise TypeError(f"to_torch: net must be a network; got {type(net).__name__}")
    module = _Writer(torch).module(net)
    whole = isinstance(module, torch.nn.Sequential)
    return module if whole else torch.nn.Sequential(module)


class _Writer:
    """Maps to modules; a map that occurs twice is one module."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.nn = torch, torch.nn
        self.made: dict[int, Any] = {}

    def module(self, net: Map) -> Any:
        if id(net) not in self.made:
            self.made[id(net)] = self._new(net)
        return self.made[id(net)]

    def _new(self, net: Map) -> Any:
        from mlpkern.formats import _torch_modules as own

        if isinstance(net, mk.Linear):
            return self._linear(net)
        if isinstance(net, Activation):
            return self._activation(net)
        if isinstance(net, mk.Standardize):
            return own.Standardize(net.mean.tolist(), net.scale.tolist())
        if isinstance(net, mk.Sum):
            return own.Sum(*(self.module(inner) for inner in net.layers))
        if isinstance(net, mk.Chain):
            return self.nn.Sequential(*(self.module(inner) for inner in net.layers))
        if type(net).__name__ == "Dropout":
            return self.nn.Dropout(net.config()["p"])
        raise TypeError(f"to_torch: {net!r} has no form in PyTorch")

    def _linear(self, f: mk.Linear) -> Any:
        torch = self.torch
        dtype = getattr(torch, str(f.w.dtype))
        module = self.nn.utils.skip_init(
            self.nn.Linear, f.inputs, f.outputs, bias=f.bias, dtype=dtype
        )
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(f.w.T.copy()))
            if f.b is not None:
                module.bias.copy_(torch.from_numpy(f.b.copy()))
        return module

    def _activation(self, f: Activation) -> Any:
        from mlpkern.formats import _torch_modules as own

        config = f.config()
        kind = config.pop("type")
        if kind in ("ReLU", "Softargmax") and set(config.values()) == {1.0}:
            return self.nn.ReLU() if kind == "ReLU" else self.nn.Softmax(dim=-1)
        if kind == "LogSoftargmax":
            return self.nn.LogSoftmax(dim=-1)
        if kind == "Softplus":  # where exp(-threshold) is below a rounding
            return self.nn.Softplus(config["beta"], threshold=40)
        if hasattr(own, kind):
            return getattr(own, kind)(**config)
        if kind in NAMES:
            return getattr(self.nn, kind)(**config)
        raise TypeError(f"to_torch: {f!r} has no form in PyTorch")
