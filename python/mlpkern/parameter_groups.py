"""Groups of parameters with hyperparameters of their own, such as biases without decay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mlpkern.maps import Map


@dataclass(frozen=True)
class ParameterGroup:
    """Some of a network's parameters, and the hyperparameters in which they differ.

    Attributes
    ----------
    layers : tuple of int or None
        Which linear maps, counted in the order of ``net.parameters``; None for all.
    part : {"w", "b"} or None
        Their weights or their biases; None for both.
    values : dict
        Hyperparameters by name.
    """

    layers: tuple[int, ...] | None = None
    part: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def has(self, layer: int, part: str) -> bool:
        """Whether the weights or biases of a layer are in the group."""
        return (self.layers is None or layer in self.layers) and self.part in (None, part)

    def config(self) -> dict[str, Any]:
        """The group as JSON-able data, from which ``ParameterGroup(**config)`` is made again."""
        return asdict(self)


def read_groups(who: str, net: Map, groups: Any) -> list[ParameterGroup]:
    """What a user gave for ``groups``, as a list; the values are the optimizer's to check.

    Raises
    ------
    TypeError, ValueError
        ``Adam: a group must be chosen by "w", "b", a map of the network, …; got 'c'``.
    """
    if groups is None:
        return []
    if not isinstance(groups, Mapping | Sequence) or isinstance(groups, str):
        raise TypeError(
            f"{who}: groups must be a dict of hyperparameters by what they are for, or None; "
            f"got {type(groups).__name__}"
        )
    items = list(groups.items()) if isinstance(groups, Mapping) else list(groups)
    return [_read_group(who, net, item) for item in items]


def _read_group(who: str, net: Map, item: Any) -> ParameterGroup:
    if isinstance(item, ParameterGroup):
        selector: Any = (item.layers, item.part)
        layers, part, values = item.layers, item.part, item.values
        if part not in (None, "w", "b") or not (layers is None or _are_numbers(layers)):
            raise TypeError(
                f"{who}: a ParameterGroup must have layers, a tuple of integers or None, and part "
                f'"w", "b" or None; got {item!r}'
            )
    elif isinstance(item, tuple | list) and len(item) == 2:
        selector, values = item
        layers, part = _selected(who, net, selector)
    else:
        raise TypeError(f"{who}: a group must be a pair of a choice and a dict; got {item!r}")
    count = len(net._linears())
    if layers is not None and not all(0 <= i < count for i in layers):
        raise ValueError(
            f"{who}: a group must be of the network's {count} linear maps; got {selector!r}"
        )
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{who}: a group's hyperparameters must be a dict; got {type(values).__name__}"
        )
    return ParameterGroup(None if layers is None else tuple(layers), part, dict(values))


def _are_numbers(layers: Any) -> bool:
    return isinstance(layers, tuple | list) and all(type(i) is int for i in layers)


def _selected(who: str, net: Map, selector: Any) -> tuple[tuple[int, ...] | None, str | None]:
    """Layers and part of a choice: "w", "b", a map, the number of a linear map, or (map, "w")."""
    which, part = (
        selector if isinstance(selector, tuple) and len(selector) == 2 else (selector, None)
    )
    if isinstance(which, str) and part is None:
        which, part = None, which
    if part not in (None, "w", "b") or (which is None and part is None):
        which = object()  # which nothing below accepts
    if which is None:
        return None, part
    if isinstance(which, Map):
        all_linears = net._linears()
        inside = [i for i, f in enumerate(all_linears) if any(f is g for g in which._linears())]
        if len(inside) != len(which._linears()) or not inside:
            raise ValueError(f"{who}: a group's map must be part of the network; got {which!r}")
        return tuple(inside), part
    if isinstance(which, int) and not isinstance(which, bool):
        return (which,), part
    raise TypeError(
        f'{who}: a group must be chosen by "w", "b", a map of the network, the number of a linear '
        f'map, or one of the latter two with "w" or "b"; got {selector!r}'
    )


def segments(
    net: Map, groups: Sequence[ParameterGroup], numbers: Callable[[Mapping[str, Any]], list[float]]
) -> Iterator[tuple[int, int, list[float]]]:
    """The flat array in pieces of equal hyperparameters: (first, count, hyperparameters).

    Later groups prevail; neighbours that agree are one piece.
    """
    first, count, current = 0, 0, numbers({})
    for layer, f in enumerate(net._linears()):
        D, L = f.inputs, f.outputs
        for part, size in (("w", D * L), ("b", L if f.bias else 0)):
            values: dict[str, Any] = {}
            for group in groups:
                if group.has(layer, part):
                    values |= group.values
            here = numbers(values)
            if here != current and size > 0:
                if count > 0:
                    yield first, count, current
                first, count, current = first + count, 0, here
            count += size
    yield first, count, current
