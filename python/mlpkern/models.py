"""Models: linear maps, chains, sums, multilayer perceptrons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mlpkern import _core
from mlpkern._arguments import flag, integer
from mlpkern.activations import Activation, activation
from mlpkern.maps import Block, Map, ProgramBuilder

__all__ = ["MLP", "Chain", "Linear", "Sum", "from_config"]


def _dtype(who: str, dtype: DTypeLike) -> np.dtype[Any]:
    if dtype is None:  # which NumPy takes for float64
        raise TypeError(f"{who}: dtype must be float32 or float64; got None")
    try:
        result = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{who}: dtype must be float32 or float64; got {dtype!r}") from None
    if result not in (np.float32, np.float64) or not result.isnative:
        raise TypeError(f"{who}: dtype must be float32 or float64; got {result}")
    return result


class Linear(Map):
    """``s = x w + b``.

    Parameters
    ----------
    D, L : int
        Numbers of inputs and outputs.
    bias : bool
        False leaves b out.
    dtype : {float32, float64}
    seed : int, sequence of int, numpy.random.Generator or None
        w and b are drawn uniformly from +-1/sqrt(D); None draws other numbers each time.

    Attributes
    ----------
    w, dw : array, shape (D, L)
        The weights and their gradient: views of flat arrays, which may move when the map is
        composed. Assigning to ``f.w`` or ``f.b`` writes into them.
    b, db : array, shape (L,), or None without a bias
    """

    def __init__(
        self,
        D: int,
        L: int,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        seed: Any = 0,
    ) -> None:
        self._shape = integer("Linear", "D", D, 0), integer("Linear", "L", L, 0)
        self.bias = flag("Linear", "bias", bias)
        self._usage = _core.Usage()
        self._owns_block = True
        generator = np.random.default_rng(seed)
        self._move(Block(self._size(), _dtype("Linear", dtype), self), 0)
        bound = 1 / math.sqrt(max(self.inputs, 1))
        self.parameters[...] = generator.uniform(-bound, bound, self._size())

    def _size(self) -> int:
        D, L = self._shape
        return D * L + (L if self.bias else 0)

    def _move(self, block: Block, offset: int) -> None:
        """Takes a place in a block; its contents are the caller's to copy."""
        D, L = self._shape
        self._block, self._offset = block, offset
        w, b = slice(offset, offset + D * L), slice(offset + D * L, offset + self._size())
        self._w = block.parameters[w].reshape(D, L)
        self._dw = block.gradients[w].reshape(D, L)
        self._b = block.parameters[b] if self.bias else None
        self._db = block.gradients[b] if self.bias else None

    @property
    def inputs(self) -> int:
        """D."""
        return self._shape[0]

    @property
    def outputs(self) -> int:
        """L."""
        return self._shape[1]

    @property
    def w(self) -> NDArray[Any]:
        """The weights, shape (D, L)."""
        return self._w

    @w.setter
    def w(self, value: ArrayLike) -> None:
        self._assign("w", self._w, value)

    @property
    def b(self) -> NDArray[Any] | None:
        """The bias, shape (L,), or None."""
        return self._b

    @b.setter
    def b(self, value: ArrayLike) -> None:
        if self._b is None:
            raise ValueError("Linear: b does not exist: the map was made with bias=False")
        self._assign("b", self._b, value)

    @property
    def dw(self) -> NDArray[Any]:
        """The gradient by w, shape (D, L)."""
        return self._dw

    @property
    def db(self) -> NDArray[Any] | None:
        """The gradient by b, shape (L,), or None."""
        return self._db

    @staticmethod
    def _assign(name: str, into: NDArray[Any], value: ArrayLike) -> None:
        array = np.asarray(value)
        if array.shape != into.shape:
            raise ValueError(f"Linear: {name} must be {into.shape}; got {array.shape}")
        into[...] = array

    def copy(self) -> Linear:
        """A linear map with parameters of its own, equal to these; its gradients are 0."""
        D, L = self._shape
        other = Linear(D, L, self.bias, self.w.dtype)
        other.w = self.w
        if self.b is not None:
            other.b = self.b
        return other

    def config(self) -> dict[str, Any]:
        """``{"type": "Linear", "inputs": D, "outputs": L, "bias": True}``."""
        D, L = self._shape
        return {"type": "Linear", "inputs": D, "outputs": L, "bias": self.bias}

    def __repr__(self) -> str:
        return f"Linear({self.inputs}, {self.outputs}{'' if self.bias else ', bias=False'})"

    def _linears(self) -> list[Linear]:
        return [self]

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        return builder.linear(value, self)

    def _width(self, inputs: int | None) -> int:
        if inputs is not None and inputs != self.inputs:
            raise ValueError(f"{self!r} must be given {self.inputs} columns; got {inputs}")
        return self.outputs


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
        Of the initial parameters, see :class:`Linear`.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        hidden: str | Activation | Sequence[str | Activation] = "tanh",
        output: str | Activation = "identity",
        dtype: DTypeLike = np.float32,
        seed: Any = 0,
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
        seeds = np.random.SeedSequence(seed).spawn(inner + 1)
        maps: list[Map] = []
        behind = [*chosen, output]
        for (D, L), f, s in zip(itertools.pairwise(sizes), behind, seeds, strict=True):
            maps += [Linear(D, L, dtype=dtype, seed=s), _activation(f)]
        super().__init__(*maps)


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
    if not isinstance(net, Activation):
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
    return _from_config(config, _dtype("from_config", dtype), [])


def unpickled(config: dict[str, Any], numbers: NDArray[Any]) -> Map:
    """The map of that architecture with those parameters: what pickle calls."""
    net = from_config(config, numbers.dtype)
    offset = 0
    for f in net._linears():
        f._block.parameters[f._offset : f._offset + f._size()] = numbers[offset:][: f._size()]
        offset += f._size()
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
        if kind in ("Chain", "Sum"):
            place = len(seen)
            seen.append(None)
            inner = [_from_config(c, dtype, seen) for c in rest["maps"]]
            made = Sum(*inner) if kind == "Sum" else Chain(*inner)
            seen[place] = made
            return made
        return activation(kind, **rest)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        text = str(error).removeprefix("from_config: ")
        raise ValueError(f"from_config: {kind} does not describe a map: {text}") from None
