"""Models: chains, sums, multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlpkern._arguments import integer, number
from mlpkern.activations import Activation, activation
from mlpkern.dropout import Dropout, dropouts_in
from mlpkern.layers import Linear, checked_dtype
from mlpkern.maps import Block, Map
from mlpkern.program import ProgramBuilder
from mlpkern.standardize import Standardize

__all__ = ["MLP", "Chain", "Linear", "Standardize", "Sum", "from_config"]


class _Composite(Map):
    """What Chain and Sum share: maps inside, and one block for their parameters."""

    def __init__(self, maps: Sequence[Any]) -> None:
        name = type(self).__name__
        for position, inner in enumerate(maps):
            if not isinstance(inner, Map):
                raise TypeError(
                    f"{name}: must be made of maps (Linear, activations, Chain, Sum); "
                    f"got {type(inner).__name__} as number {position + 1}"
                )
        if not maps:
            raise ValueError(f"{name}: must be made of at least one map; got none")
        self._inner: list[Map] = list(maps)
        dtypes = {f.w.dtype for f in self._linears()}
        if len(dtypes) > 1:
            raise TypeError(
                f"{name}: maps must be all float32 or all float64; got "
                + ", ".join(f"{f!r} {f.w.dtype}" for f in self._linears())
            )
        try:
            self._width(None)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        self._take_ownership()

    def _take_ownership(self) -> None:
        """Lays the parameters in one block, unless another network owns some of them."""
        linears = self._linears()
        inside = {id(inner) for inner in self._maps()}
        owners = (f._block.owner() for f in linears)  # None where the owner is gone
        if any(owner is not None and id(owner) not in inside for owner in owners):
            return
        self._owns_block = True
        if not linears:
            return
        block = Block(sum(f._size() for f in linears), linears[0].w.dtype, self)
        offset = 0
        for f in linears:
            end = offset + f._size()
            here = slice(f._offset, f._offset + f._size())
            block.parameters[offset:end] = f._block.parameters[here]
            block.gradients[offset:end] = f._block.gradients[here]
            f._move(block, offset)
            offset = end

    def _children(self) -> Sequence[Map]:
        return self._inner

    @property
    def layers(self) -> list[Map]:
        """The maps inside, in order."""
        return list(self._inner)

    def copy(self) -> Map:
        """A map like this one, with parameters of its own, equal to these."""
        return _copy(self, {})

    def config(self) -> dict[str, Any]:
        """The architecture, with maps that occur again as ``{"type": "Shared", "index": i}``."""
        return _config(self, [])

    def __repr__(self) -> str:
        kind = "Sum" if isinstance(self, Sum) else "Chain"  # a call that makes the like of it
        return f"{kind}({', '.join(map(repr, self._inner))})"


class Chain(_Composite):
    """The composition of maps, the first one applied first: ``Chain(f, g)(x) = g(f(x))``."""

    def __init__(self, *maps: Map) -> None:
        super().__init__(maps)

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, index: int) -> Map:
        return self._inner[index]

    @property
    def inputs(self) -> int | None:
        """The number of inputs D; None where any number will do."""
        return next((m.inputs for m in self._inner if m.inputs is not None), None)

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        for inner in self._inner:
            value = inner._emit(builder, value)
        return value

    def _width(self, inputs: int | None) -> int | None:
        for inner in self._inner:
            inputs = inner._width(inputs)
        return inputs


class Sum(_Composite):
    """The sum of maps of one input: ``Sum(f, g)(x) = f(x) + g(x)``."""

    def __init__(self, *maps: Map) -> None:
        super().__init__(maps)

    @property
    def inputs(self) -> int | None:
        """The number of inputs D; None where any number will do."""
        return next((m.inputs for m in self._inner if m.inputs is not None), None)

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        return builder.sum([inner._emit(builder, value) for inner in self._inner])

    def _width(self, inputs: int | None) -> int | None:
        inputs = self.inputs if inputs is None else inputs
        widths = {inner._width(inputs) for inner in self._inner}
        if len(widths) > 1:
            raise ValueError(
                "branches must have equally many outputs; got "
                + ", ".join(f"{m!r} {m._width(inputs)}" for m in self._inner)
            )
        return widths.pop()


class MLP(Chain):
    """A multilayer perceptron: linear maps of the given sizes with activations behind them.

    Parameters
    ----------
    sizes : sequence of int
        ``[D, L, …, K]``: inputs, hidden units, outputs.
    hidden : str, Activation, or a list of them
        Behind each linear map but the last; a list names one a layer.
    output : str or Activation
        Behind the last linear map.
    dtype : {float32, float64}
    seed : int or None
        Of the initial parameters, see :class:`Linear`, and of what is dropped.
    dropout : float
        From 0 to 1: the probability that a training pass drops an element behind a hidden
        activation, by a :class:`Dropout` that follows it. At 0 there is none.

    Examples
    --------
    >>> import mlpkern as mk
    >>> mk.MLP([4, 8, 2], dropout=0.2)
    Chain(Linear(4, 8), Tanh(), Dropout(0.2), Linear(8, 2), Identity())
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Activation | Sequence[str | Activation] = "tanh",
        output: str | Activation = "identity",
        dtype: DTypeLike = np.float32,
        seed: Any = 0,
        *,
        dropout: float = 0.0,
    ) -> None:
        if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray):
            raise TypeError(f"MLP: sizes must be a list of integers; got {type(sizes).__name__}")
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes must be [D, …, K], two or more; got {list(sizes)}")
        sizes = [integer("MLP", f"sizes[{i}]", size, 0) for i, size in enumerate(sizes)]
        inner = len(sizes) - 2
        if not isinstance(hidden, str | Activation | list | tuple):
            raise TypeError(
                "MLP: hidden must be a name, an Activation or a list of them; "
                f"got {type(hidden).__name__}"
            )
        chosen = [hidden] * inner if isinstance(hidden, str | Activation) else list(hidden)
        if len(chosen) != inner:
            raise ValueError(
                f"MLP: hidden must name {inner} activations, one a hidden layer; got {len(chosen)}"
            )
        p = number("MLP", "dropout", dropout, 0.0)
        if p > 1:
            raise ValueError(f"MLP: dropout must be from 0 to 1; got {p}")
        root = np.random.SeedSequence(seed)
        seeds = root.spawn(inner + 1)
        maps: list[Map] = []
        behind = [*chosen, output]
        for (D, L), f, s in zip(itertools.pairwise(sizes), behind, seeds, strict=True):
            if p > 0 and maps:
                maps.append(Dropout(p, _dropout_seed(seed, root)))
            maps += [Linear(D, L, dtype=dtype, seed=s), _activation(f)]
        super().__init__(*maps)


def _dropout_seed(seed: Any, root: np.random.SeedSequence) -> int:
    """The seed itself where a Dropout takes it, and otherwise one drawn from it."""
    if isinstance(seed, int | np.integer) and seed < 2**64:
        return int(seed)
    return int(root.generate_state(1, np.uint64)[0])


def _activation(chosen: Any) -> Activation:
    if isinstance(chosen, Activation):
        return chosen
    if isinstance(chosen, str):
        return activation(chosen)
    raise TypeError(f"MLP: an activation must be a name or an Activation; got {chosen!r}")


def _rebuilt(like: _Composite, maps: list[Map]) -> Map:
    return Sum(*maps) if isinstance(like, Sum) else Chain(*maps)


def _copy(net: Map, made: dict[int, Map]) -> Map:
    """A copy in which a map that occurs twice is still one map."""
    if id(net) not in made:
        if isinstance(net, _Composite):
            made[id(net)] = _rebuilt(net, [_copy(inner, made) for inner in net._inner])
        else:
            made[id(net)] = net.copy()
    return made[id(net)]


def _config(net: Map, seen: list[Map]) -> dict[str, Any]:
    index = next((i for i, other in enumerate(seen) if other is net), None)
    if index is not None:
        return {"type": "Shared", "index": index}
    if not isinstance(net, Activation | Standardize):  # which are immutable
        seen.append(net)
    if isinstance(net, _Composite):
        kind = "Sum" if isinstance(net, Sum) else "Chain"
        return {"type": kind, "maps": [_config(inner, seen) for inner in net._inner]}
    return net.config()


def from_config(config: dict[str, Any], dtype: DTypeLike = np.float32) -> Map:
    """The map that ``config()`` described, with new parameters.

    Raises
    ------
    ValueError
        If it describes no map.
    """
    return _from_config(config, checked_dtype("from_config", dtype), [])


def unpickled(config: dict[str, Any], numbers: NDArray[Any], passes: Sequence[int] = ()) -> Map:
    """The map of that architecture with those parameters, and its dropouts' passes, for pickle."""
    net = from_config(config, numbers.dtype)
    offset = 0
    for f in net._linears():
        f._block.parameters[f._offset : f._offset + f._size()] = numbers[offset:][: f._size()]
        offset += f._size()
    for dropout, count in zip(dropouts_in(net), passes, strict=True):
        dropout.passes = count
    return net


def _from_config(config: Any, dtype: np.dtype[Any], seen: list[Map | None]) -> Map:
    if not isinstance(config, dict) or not isinstance(config.get("type"), str):
        raise ValueError(f"from_config: config must be a dict with a type; got {config!r:.60}")
    rest = {key: value for key, value in config.items() if key != "type"}
    kind = config["type"]
    try:
        if kind == "Shared":
            shared: Map | None = seen[rest["index"]] if rest["index"] >= 0 else None
            if shared is None:
                raise ValueError("a map cannot contain itself")
            return shared
        if kind == "Linear":
            seen.append(Linear(rest["inputs"], rest["outputs"], rest["bias"], dtype))
            return seen[-1]  # type: ignore[return-value]
        if kind == "Dropout":
            seen.append(Dropout(**rest))
            return seen[-1]  # type: ignore[return-value]
        if kind in ("Chain", "Sum"):
            place = len(seen)
            seen.append(None)
            inner = [_from_config(c, dtype, seen) for c in rest["maps"]]
            made = Sum(*inner) if kind == "Sum" else Chain(*inner)
            seen[place] = made
            return made
        if kind == "Standardize":
            return Standardize(**rest)
        return activation(kind, **rest)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        text = str(error).removeprefix("from_config: ")
        raise ValueError(f"from_config: {kind} does not describe a map: {text}") from None
