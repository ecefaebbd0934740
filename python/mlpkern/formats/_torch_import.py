"""Networks from PyTorch's modules and state_dicts: weights are copied, transposed, bit for bit.

PyTorch's Linear holds w transposed, (outputs, inputs). What a module does beside calling its
children in order cannot be seen from outside: a module that is no Sequential is run on a few rows,
and refused where its own output differs from theirs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

import mlpkern as mk
from mlpkern.activations import Activation
from mlpkern.formats._common import library, normalization
from mlpkern.formats._torch_state import chain, from_state, linear
from mlpkern.maps import Map

Activations = str | Activation | Sequence[str | Activation]

# mlpkern's activation by PyTorch's module, and the parameters that have one name in both.
NAMES = {
    "Identity": ("Identity", ()),
    "ReLU": ("ReLU", ()),
    "LeakyReLU": ("LeakyReLU", ("negative_slope",)),
    "ReLU6": ("ReLU6", ()),
    "ELU": ("ELU", ("alpha",)),
    "SELU": ("SELU", ()),
    "CELU": ("CELU", ("alpha",)),
    "GELU": ("GELU", ("approximate",)),
    "Sigmoid": ("Sigmoid", ()),
    "LogSigmoid": ("LogSigmoid", ()),
    "Tanh": ("Tanh", ()),
    "Softplus": ("Softplus", ("beta",)),
    "Softsign": ("Softsign", ()),
    "SiLU": ("SiLU", ()),
    "Mish": ("Mish", ()),
    "Hardsigmoid": ("Hardsigmoid", ()),
    "Hardswish": ("Hardswish", ()),
    "Hardtanh": ("Hardtanh", ("min_val", "max_val")),
    "Tanhshrink": ("Tanhshrink", ()),
    "Softshrink": ("Softshrink", ("lambd",)),
    "Hardshrink": ("Hardshrink", ("lambd",)),
    "Softmax": ("Softargmax", ()),
    "LogSoftmax": ("LogSoftargmax", ()),
}
_LEAST_THRESHOLD = 20  # of Softplus: above it PyTorch takes the straight line, mlpkern never


def from_torch(
    module: Any,
    *,
    hidden: Activations | None = None,
    output: str | Activation | None = None,
) -> Map:
    """Return the network of a PyTorch module or of a state_dict, with copies of its weights.

    Parameters
    ----------
    module : torch.nn.Module, or a state_dict
        Linear, activations and Dropout; Sequential of these, nested as you like; and any other
        module that calls its children in order, each once. Flatten is left out: give rows. A
        state_dict may hold NumPy arrays: ``"fc1.weight"`` (outputs, inputs), ``"fc1.bias"``.
    hidden : str, Activation, or a list of them
        With a state_dict, which has no activations: behind each linear map but the last.
    output : str or Activation, default "identity"
        With a state_dict: behind the last linear map.

    Raises
    ------
    ImportError
        PyTorch is not installed (a state_dict of NumPy arrays does without).
    TypeError
        Something inside is no part of a multilayer perceptron, or no float32 or float64; it says
        which module.
    ValueError
        The shapes do not fit each other.
    """
    if isinstance(module, Mapping):
        return from_state(module, hidden, "identity" if output is None else output)
    torch = library("from_torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            "from_torch: module must be a torch.nn.Module or a state_dict; "
            f"got {type(module).__name__}"
        )
    if hidden is not None or output is not None:
        raise TypeError("from_torch: hidden and output go with a state_dict; a module has its own")
    return chain(_Reader(torch).maps(module, ""))


class _Reader:
    """Modules to maps; a module that occurs twice is one map."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.nn = torch, torch.nn
        self.linears: dict[int, mk.Linear] = {}

    def maps(self, module: Any, name: str) -> list[Map]:
        """The maps that a module applies, in order."""
        from mlpkern.formats import _torch_modules as own

        nn, kind = self.nn, type(module)
        if module._forward_hooks or module._forward_pre_hooks:
            self._refuse(module, name, "it has hooks")
        if isinstance(module, nn.Linear) and kind.forward is nn.Linear.forward:
            if id(module) not in self.linears:
                place = f"{name}." if name else ""
                self.linears[id(module)] = linear(place, module.weight, module.bias)
            return [self.linears[id(module)]]
        if isinstance(module, own.Elementary):
            return [module.activation()]
        if isinstance(module, own.Standardize):
            return [mk.Standardize(module.mean.numpy(), module.scale.numpy())]
        if isinstance(module, own.Sum):
            return [mk.Sum(*(self._one(m, f"{name}.{i}") for i, m in enumerate(module.layers)))]
        if kind is getattr(nn, kind.__name__, None):  # PyTorch's own, not something of its name
            return self._standard(module, name)
        return self._composed(module, name)

    def _one(self, module: Any, name: str) -> Map:
        maps = self.maps(module, name)
        return maps[0] if len(maps) == 1 else chain(maps)

    def _standard(self, module: Any, name: str) -> list[Map]:
        """The maps of a module that is PyTorch's."""
        kind = type(module).__name__
        if kind == "Sequential":
            return self._children(module, name)
        if kind == "Dropout":
            return [mk.Dropout(module.p)]
        if kind == "BatchNorm1d":
            return [self._batch_norm(module, name)]
        if kind == "Flatten":
            if (module.start_dim, module.end_dim) != (1, -1):
                self._refuse(module, name, "rows must stay rows")
            return []
        if kind in ("Softmax", "LogSoftmax") and module.dim not in (-1, 1):
            self._refuse(module, name, "its dim must be -1, or 1 for rows")
        if kind == "Softplus" and module.threshold < _LEAST_THRESHOLD:
            self._refuse(module, name, f"its threshold must be {_LEAST_THRESHOLD} or more")
        if kind not in NAMES:
            self._refuse(module, name, "it is no part of a multilayer perceptron")
        theirs, parameters = NAMES[kind]
        return [mk.activation(theirs, **{p: getattr(module, p) for p in parameters})]

    def _batch_norm(self, module: Any, name: str) -> Map:
        """What it does in evaluation: a standardization with fixed numbers."""
        if module.training or module.running_mean is None:
            self._refuse(module, name, "it takes each batch's own numbers: call .eval() first")
        ones, zeros = np.ones(module.num_features), np.zeros(module.num_features)
        gamma = ones if module.weight is None else module.weight.detach().cpu().numpy()
        beta = zeros if module.bias is None else module.bias.detach().cpu().numpy()
        mean, variance = (v.cpu().numpy() for v in (module.running_mean, module.running_var))
        try:
            return normalization(gamma, beta, mean, variance, module.eps)
        except ValueError as error:
            self._refuse(module, name, str(error))

    def _children(self, module: Any, name: str) -> list[Map]:
        below = f"{name}." if name else ""
        found = [self.maps(child, below + place) for place, child in module._modules.items()]
        return list(itertools.chain.from_iterable(found))

    def _composed(self, module: Any, name: str) -> list[Map]:
        """The maps of a module's children, where it calls them in order and does nothing else."""
        if not module._modules:
            self._refuse(module, name, "it is no part of a multilayer perceptron")
        maps = self._children(module, name)
        net = chain(maps).copy()
        torch, D = self.torch, 3 if net.inputs is None else net.inputs
        dtype = getattr(torch, str(net.dtype or np.dtype(np.float32)))
        x = 3 * torch.randn(64, D, dtype=dtype, generator=torch.Generator().manual_seed(0))
        modes = {m: m.training for m in module.modules()}
        try:
            module.eval()
            with torch.no_grad():
                theirs = module(x)
        except Exception as error:
            self._refuse(module, name, f"it cannot be called on rows to see what it does: {error}")
        finally:
            for m, mode in modes.items():
                m.training = mode
        ours = torch.from_numpy(net.predict(x.numpy()))
        same = isinstance(theirs, torch.Tensor) and theirs.shape == ours.shape
        if not same or not torch.allclose(theirs, ours, 1e-4, 1e-5, equal_nan=True):
            self._refuse(
                module,
                name,
                "its forward does not only call its children in order (activations must be "
                "modules); its state_dict() goes with hidden=",
            )
        return maps

    def _refuse(self, module: Any, name: str, why: str) -> NoReturn:
        where = f"module {name!r} ({type(module).__name__})" if name else type(module).__name__
        raise TypeError(f"from_torch: {where} cannot be read: {why}")
