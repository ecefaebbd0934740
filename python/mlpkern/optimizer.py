"""What all optimizers are: hyperparameters, groups of them, clipping, states, steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpkern import _core, maps
from mlpkern._arguments import flag, number
from mlpkern.maps import Map, aligned_zeros
from mlpkern.parameter_groups import ParameterGroup, read_groups, segments

Groups = Mapping[Any, Mapping[str, Any]] | Sequence[tuple[Any, Mapping[str, Any]] | ParameterGroup]


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
        optimizer._set_values(optimizer._values | {name: _checked(who, name, value)})


class Optimizer:
    """Moves a network's parameters against their gradients.

    Every hyperparameter is an attribute that may be set between steps: ``opt.lr = 0.01``.

    Parameters
    ----------
    net : Map
    clip_norm : float, optional
        A step first makes the gradients smaller by one factor, such that their Euclidean norm is
        at most this: ``net.gradients`` themselves. A norm that is NaN or infinite changes nothing.
    clip_value : float, optional
        A step first takes each element of the gradients into ``[-clip_value, clip_value]``; with
        ``clip_norm`` too, this comes before it.
    groups : dict, optional
        Hyperparameters in which some parameters differ, by what they are for: ``"w"`` (all
        weights), ``"b"`` (all biases), a map of the network, the number of a linear map, or one of
        these two with a part, ``(net.layers[0], "b")``. Later ones prevail. So
        ``groups={"b": {"weight_decay": 0.0}, net.layers[0]: {"lr": 1e-4}}``.

    Attributes
    ----------
    net : Map
    steps : int
        Steps taken so far.
    states : dict of array
        Of the size of ``net.parameters``: moments and such, by PyTorch's names.
    groups : list of ParameterGroup
    """

    def __init__(
        self,
        net: Map,
        clip_norm: Any = None,
        clip_value: Any = None,
        groups: Any = None,
        **values: Any,
    ) -> None:
        who = type(self).__name__
        if not isinstance(net, Map):
            raise TypeError(f"{who}: net must be a network; got {type(net).__name__}")
        self.net = net
        self._values = {name: _checked(who, name, value) for name, value in values.items()}
        self._groups = self._checked_groups(self._values, groups)
        self._clipping = {
            "clip_norm": _bound(who, "clip_norm", clip_norm),
            "clip_value": _bound(who, "clip_value", clip_value),
        }
        parameters, gradients = net.parameters, net.gradients
        self.states: dict[str, NDArray[Any]] = {
            name: aligned_zeros(parameters.size, parameters.dtype)
            for name in _core.optimizer_states(who)
            if self._uses(name)
        }
        self._start()
        self._core = _core.Optimizer(
            who,
            self._segments(self._values, self._groups),
            parameters,
            gradients,
            [self.states.get(name) for name in _core.optimizer_states(who)],
            [f._usage for f in net._linears()],
        )
        self._clip()
        self._blocks = [f._block for f in net._linears()]
        self._moves = -1

    def _checked_groups(self, values: dict[str, Any], groups: Any) -> list[ParameterGroup]:
        """The groups, each of whose hyperparameters fit together with the others'."""
        who = type(self).__name__
        self._check(values)
        read = read_groups(who, self.net, groups)
        checked = []
        for group in read:
            for name in group.values:
                if name not in values or name in self._fixed:
                    open_ = ", ".join(key for key in values if key not in self._fixed)
                    raise ValueError(
                        f"{who}: a group's hyperparameters must be among {open_}; got {name!r}"
                    )
            own = {name: _checked(who, name, value) for name, value in group.values.items()}
            self._check(values | own)
            checked.append(ParameterGroup(group.layers, group.part, own))
        return checked

    def _segments(
        self, values: dict[str, Any], groups: list[ParameterGroup]
    ) -> list[tuple[int, int, list[float]]]:
        def numbers(own: Mapping[str, Any]) -> list[float]:
            return [float(v) for value in {**values, **own}.values() for v in np.atleast_1d(value)]

        return list(segments(self.net, groups, numbers))

    def _set_values(self, values: dict[str, Any]) -> None:
        """Takes other hyperparameters, once they are seen to fit."""
        groups = self._checked_groups(values, self._groups)
        self._core.set_groups(self._segments(values, groups))
        self._values = values

    @property
    def groups(self) -> list[ParameterGroup]:
        """The parameters that differ in their hyperparameters; may be set as in the call."""
        return [replace(group, values=dict(group.values)) for group in self._groups]

    @groups.setter
    def groups(self, groups: Any) -> None:
        checked = self._checked_groups(self._values, groups)
        self._core.set_groups(self._segments(self._values, checked))
        self._groups = checked

    def _clip(self) -> None:
        norm, value = (math.inf if bound is None else bound for bound in self._clipping.values())
        self._core.set_clipping(norm, value)

    @property
    def clip_norm(self) -> float | None:
        """The largest norm of the gradients that a step uses; may be set."""
        return self._clipping["clip_norm"]

    @clip_norm.setter
    def clip_norm(self, bound: float | None) -> None:
        self._clipping["clip_norm"] = _bound(type(self).__name__, "clip_norm", bound)
        self._clip()

    @property
    def clip_value(self) -> float | None:
        """The largest size of an element of the gradients that a step uses; may be set."""
        return self._clipping["clip_value"]

    @clip_value.setter
    def clip_value(self, bound: float | None) -> None:
        self._clipping["clip_value"] = _bound(type(self).__name__, "clip_value", bound)
        self._clip()

    @property
    def gradient_norm(self) -> float:
        """The norm that ``clip_norm`` met in the last step; NaN where there was none."""
        return self._core.gradient_norm

    def config(self) -> dict[str, Any]:
        """JSON-able data from which :func:`mlpkern.optimizer_from_config` makes the like of it."""
        return {
            "type": type(self).__name__,
            **{k: list(v) if isinstance(v, tuple) else v for k, v in self._values.items()},
            **self._clipping,
            "groups": [group.config() for group in self._groups],
        }

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
        return _remade, (type(self), self.net, self.config(), self.states, self.steps)

    def __copy__(self) -> Optimizer:
        return _remade(type(self), self.net, self.config(), self.states, self.steps)

    def __repr__(self) -> str:
        given: dict[str, Any] = {k: v for k, v in self._clipping.items() if v is not None}
        if self._groups:
            given["groups"] = self._groups
        inside = "".join(f", {k}={v!r}" for k, v in (self._values | given).items())
        return f"{type(self).__name__}(net{inside})"


def from_config(cls: type[Optimizer], net: Map, config: Mapping[str, Any]) -> Optimizer:
    """An optimizer of that class with a configuration's hyperparameters."""
    rest = {key: value for key, value in config.items() if key not in ("type", "groups")}
    groups = [ParameterGroup(**group) for group in config.get("groups", [])]
    return cls(net, **rest, groups=groups)


def _remade(
    cls: type[Optimizer],
    net: Map,
    config: Mapping[str, Any],
    states: dict[str, NDArray[Any]],
    steps: int,
) -> Optimizer:
    """An optimizer like another one, in the middle of its steps: what pickle calls."""
    optimizer = from_config(cls, net, config)
    for name, state in states.items():
        optimizer.states[name][...] = state
    optimizer._core.steps = steps
    return optimizer


def _bound(who: str, name: str, value: Any) -> float | None:
    return None if value is None else number(who, name, value, 0.0, open_=True)


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
