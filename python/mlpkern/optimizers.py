"""Optimizers: PyTorch's formulas and arguments, one pass over parameters, gradients and states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern import _core, maps
from mlpkern._arguments import flag, number
from mlpkern.maps import Map, aligned_zeros

__all__ = ["OPTIMIZERS", "SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop"]


class Hyperparameter:
    """An attribute of an optimizer: checked when it is set, in force from the next step on."""

    def __set_name__(self, owner: type[Optimizer], name: str) -> None:
        self._name = name

    def __get__(self, optimizer: Optimizer | None, owner: type[Optimizer]) -> Any:
        return self if optimizer is None else optimizer._values[self._name]

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        who, name = type(optimizer).__name__, self._name
        if name in optimizer._fixed:
            raise AttributeError(f"{who}: {name} is fixed when the optimizer is made")
        values = {**optimizer._values, name: _checked(who, name, value)}
        optimizer._check(values)
        optimizer._values[name] = values[name]
        optimizer._core.set_parameters(optimizer._numbers())


class Optimizer:
    """Moves a network's parameters against their gradients.

    Every hyperparameter is an attribute that may be set between steps: ``opt.lr = 0.01``.

    Attributes
    ----------
    net : Map
    steps : int
        Steps taken so far.
    states : dict of array
        Of the size of ``net.parameters``: moments and such, by PyTorch's names.
    """

    def __init__(self, net: Map, **values: Any) -> None:
        who = type(self).__name__
        if not isinstance(net, Map):
            raise TypeError(f"{who}: net must be a network; got {type(net).__name__}")
        self._values = {name: _checked(who, name, value) for name, value in values.items()}
        self._check(self._values)
        self.net = net
        parameters, gradients = net.parameters, net.gradients
        self.states: dict[str, NDArray[Any]] = {
            name: aligned_zeros(parameters.size, parameters.dtype)
            for name in _core.optimizer_states(who)
            if self._uses(name)
        }
        self._start()
        self._core = _core.Optimizer(
            who,
            self._numbers(),
            parameters,
            gradients,
            [self.states.get(name) for name in _core.optimizer_states(who)],
        )
        self._blocks = [f._block for f in net._linears()]
        self._moves = -1

    def _numbers(self) -> list[float]:
        return [float(v) for value in self._values.values() for v in np.atleast_1d(value)]

    def _uses(self, state: str) -> bool:
        return True

    def _check(self, values: dict[str, Any]) -> None:
        """Raises where hyperparameters do not fit together."""

    def _start(self) -> None:
        """Fills the states before the first step."""

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._core.steps

    _fixed: frozenset[str] = frozenset()  # hyperparameters that decide which states there are

    def zero_grad(self) -> None:
        """Sets the network's gradients to zero."""
        self.net.zero_grad()

    def step(self) -> None:
        """Moves each parameter against its gradient.

        Raises
        ------
        RuntimeError
            If another thread's call is using the network, or its parameters have moved.
        """
        self._check_place("step")
        compiled = self.net._own()
        if compiled is not None:
            compiled.core.step(self._core)

    def _check_place(self, who: str) -> None:
        """Raises where the parameters have moved since the optimizer was made."""
        if self._moves == maps.moves:
            return
        seen = maps.moves  # before looking
        here = [f._block for f in self.net._linears()]
        if len(here) != len(self._blocks) or any(
            a is not b for a, b in zip(here, self._blocks, strict=True)
        ):
            raise RuntimeError(
                f"{who}: the optimizer must be made after its network is complete; "
                "the network has become part of another one since: make a new optimizer"
            )
        self._moves = seen

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (type(self), self.net, dict(self._values), self.states, self.steps)
        return _remade, arguments

    def __copy__(self) -> Optimizer:
        return _remade(type(self), self.net, dict(self._values), self.states, self.steps)

    def __repr__(self) -> str:
        inside = "".join(f", {k}={v!r}" for k, v in self._values.items())
        return f"{type(self).__name__}(net{inside})"


def _remade(
    cls: type[Optimizer],
    net: Map,
    values: dict[str, Any],
    states: dict[str, NDArray[Any]],
    steps: int,
) -> Optimizer:
    """An optimizer like another one, in the middle of its steps: what pickle calls."""
    optimizer = cls(net, **values)
    for name, state in states.items():
        optimizer.states[name][...] = state
    optimizer._core.steps = steps
    return optimizer


def _checked(who: str, name: str, value: Any) -> Any:
    if name == "betas":
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise TypeError(f"{who}: betas must be a pair of numbers; got {value!r}")
        return tuple(_checked(who, f"betas[{i}]", b) for i, b in enumerate(value))
    if name in ("nesterov", "centered"):
        return flag(who, name, value)
    below_one = name.startswith("betas") or name in ("alpha", "dampening")
    result = number(who, name, value, -math.inf if below_one else 0.0)
    if below_one and not 0 <= result <= 1:
        raise ValueError(f"{who}: {name} must be from 0 to 1; got {result}")
    if name.startswith("betas") and result == 1:
        raise ValueError(f"{who}: {name} must be less than 1; got {result}")
    return result


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    ``g += weight_decay w``; the buffer is g at first, then ``momentum buffer + (1 - dampening) g``;
    ``w -= lr (g + momentum buffer if nesterov else buffer)``, or ``lr g`` without momentum.
    """

    lr = Hyperparameter()
    momentum = Hyperparameter()
    dampening = Hyperparameter()
    nesterov = Hyperparameter()
    weight_decay = Hyperparameter()
    _fixed = frozenset({"momentum"})

    def __init__(
        self,
        net: Map,
        lr: float = 0.1,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            net,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )

    def _uses(self, state: str) -> bool:
        return bool(self._values["momentum"] != 0)

    def _check(self, values: dict[str, Any]) -> None:
        if values["nesterov"] and (values["momentum"] == 0 or values["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs a momentum and no dampening; "
                f"got momentum={values['momentum']}, dampening={values['dampening']}"
            )


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), with bias correction; weight decay is added to the gradient."""

    lr = Hyperparameter()
    betas = Hyperparameter()
    eps = Hyperparameter()
    weight_decay = Hyperparameter()

    def __init__(
        self,
        net: Map,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(net, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class AdamW(Optimizer):
    """Adam with decoupled decay (Loshchilov and Hutter, 2019): ``w *= 1 - lr weight_decay``."""

    lr = Hyperparameter()
    betas = Hyperparameter()
    eps = Hyperparameter()
    weight_decay = Hyperparameter()

    def __init__(
        self,
        net: Map,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(net, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """RMSprop: the gradient over the root of the running mean of its square.

    Centered, a variance that rounding made negative counts as 0.
    """

    lr = Hyperparameter()
    alpha = Hyperparameter()
    eps = Hyperparameter()
    weight_decay = Hyperparameter()
    momentum = Hyperparameter()
    centered = Hyperparameter()
    _fixed = frozenset({"momentum", "centered"})

    def __init__(
        self,
        net: Map,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            net,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def _uses(self, state: str) -> bool:
        needs = {"momentum_buffer": "momentum", "grad_avg": "centered"}
        return state not in needs or bool(self._values[needs[state]])


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan, Singer, 2011): the gradient over the root of its summed squares."""

    lr = Hyperparameter()
    lr_decay = Hyperparameter()
    weight_decay = Hyperparameter()
    initial_accumulator_value = Hyperparameter()
    eps = Hyperparameter()

    def __init__(
        self,
        net: Map,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            net,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def _start(self) -> None:
        self.states["sum"][...] = self._values["initial_accumulator_value"]


# Class by name: the list that tests and documentation follow.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.__name__: cls for cls in (SGD, Adam, AdamW, RMSprop, Adagrad)
}
