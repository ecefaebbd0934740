"""Optimizers: PyTorch's formulas and arguments, one pass over parameters, gradients and states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlpkern.maps import Map
from mlpkern.optimizer import Groups, Hyperparameter, Optimizer, from_config
from mlpkern.parameter_groups import ParameterGroup

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "ParameterGroup",
    "RMSprop",
    "optimizer_from_config",
]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    ``g += weight_decay w``; the buffer is g at first, then ``momentum buffer + (1 - dampening) g``;
    ``w -= lr (g + momentum buffer if nesterov else buffer)``, or ``lr g`` without momentum.

    Parameters
    ----------
    net : Map
    lr : float, default 0.1
    momentum : float, default 0.0
        Fixed when the optimizer is made.
    dampening : float, default 0.0
        From 0 to 1.
    nesterov : bool, default False
        Needs a momentum and no dampening.
    weight_decay : float, default 0.0
    clip_norm, clip_value, groups
        As :class:`Optimizer` has them.
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
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            net,
            clip_norm,
            clip_value,
            groups,
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
    """Adam (Kingma and Ba, 2015), with bias correction.

    ``g += weight_decay w``; ``m = b1 m + (1 - b1) g``; ``v = b2 v + (1 - b2) g^2``;
    ``w -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)`` at step t = 1, 2, …

    Parameters
    ----------
    net : Map
    lr : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
        b1 and b2, from 0 to less than 1.
    eps : float, default 1e-8
    weight_decay : float, default 0.0
    clip_norm, clip_value, groups
        As :class:`Optimizer` has them.
    """

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
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            net,
            clip_norm,
            clip_value,
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )


class AdamW(Optimizer):
    """Adam with decoupled decay (Loshchilov and Hutter, 2019): ``w *= 1 - lr weight_decay``.

    Then Adam's step, from the gradient alone.

    Parameters
    ----------
    net : Map
    lr : float, default 1e-3
    betas : (float, float), default (0.9, 0.999)
        From 0 to less than 1.
    eps : float, default 1e-8
    weight_decay : float, default 0.01
    clip_norm, clip_value, groups
        As :class:`Optimizer` has them.
    """

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
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            net,
            clip_norm,
            clip_value,
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )


class RMSprop(Optimizer):
    """RMSprop: the gradient over the root of the running mean of its square.

    ``g += weight_decay w``; ``v = alpha v + (1 - alpha) g^2``; ``w -= lr g / (sqrt(v) + eps)``.
    Centered, v is less the square of the running mean of g; a variance that rounding made negative
    counts as 0. With a momentum, ``buffer = momentum buffer + g / (sqrt(v) + eps)`` and
    ``w -= lr buffer``.

    Parameters
    ----------
    net : Map
    lr : float, default 0.01
    alpha : float, default 0.99
        From 0 to 1.
    eps : float, default 1e-8
    weight_decay : float, default 0.0
    momentum : float, default 0.0
        Fixed when the optimizer is made.
    centered : bool, default False
        Fixed when the optimizer is made.
    clip_norm, clip_value, groups
        As :class:`Optimizer` has them.
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
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            net,
            clip_norm,
            clip_value,
            groups,
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
    """Adagrad (Duchi, Hazan, Singer, 2011): the gradient over the root of its summed squares.

    ``g += weight_decay w``; ``sum += g^2``;
    ``w -= lr / (1 + (t - 1) lr_decay) g / (sqrt(sum) + eps)`` at step t = 1, 2, …

    Parameters
    ----------
    net : Map
    lr : float, default 0.01
    lr_decay : float, default 0.0
    weight_decay : float, default 0.0
    initial_accumulator_value : float, default 0.0
        What the sum begins with.
    eps : float, default 1e-10
    clip_norm, clip_value, groups
        As :class:`Optimizer` has them.
    """

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
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Groups | None = None,
    ) -> None:
        super().__init__(
            net,
            clip_norm,
            clip_value,
            groups,
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


def optimizer_from_config(net: Map, config: Mapping[str, Any]) -> Optimizer:
    """The optimizer of a network that ``optimizer.config()`` described, before its first step.

    Raises
    ------
    ValueError
        If it describes no optimizer.
    """
    who = "optimizer_from_config"
    if not isinstance(config, Mapping) or config.get("type") not in OPTIMIZERS:
        raise ValueError(
            f"{who}: config must be a dict with an optimizer's type; got {config!r:.60}"
        )
    kind = config["type"]
    try:
        return from_config(OPTIMIZERS[kind], net, config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{who}: {kind} does not describe an optimizer: {error}") from None
