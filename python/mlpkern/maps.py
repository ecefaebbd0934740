"""Maps: what has a forward and a backward pass and may have parameters.

Parameters lie in blocks: one array of parameters and one of gradients. A linear map begins with a
block of its own; a composite of fresh maps lays them all in one new block and owns it.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core, pairs
from mlpkern.program import ProgramBuilder

if TYPE_CHECKING:
    from mlpkern.graph import Graph
    from mlpkern.layers import Linear
    from mlpkern.losses import Loss
    from mlpkern.trace import Trace


# Another number whenever parameters of any map have moved: what was found to be in place while it
# was the same still is, and a call need not look at every layer.
moves = 0
_numbers = itertools.count(1)


def parameters_moved() -> None:
    """Is called after parameters have taken another place."""
    global moves
    moves = next(_numbers)


def aligned_zeros(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros (size,) from the start of a cache line on: no register's width straddles two lines."""
    line = 64
    memory = np.zeros(size + line // dtype.itemsize, dtype)
    first = -memory.ctypes.data % line // dtype.itemsize
    return memory[first : first + size]


class Block:
    """One array of parameters and one of gradients, and the map that owns them."""

    def __init__(self, size: int, dtype: np.dtype[Any], owner: Map) -> None:
        self.parameters = aligned_zeros(size, dtype)
        self.gradients = aligned_zeros(size, dtype)
        self.owner = weakref.ref(owner)


class Compiled:
    """A core network, and what it was compiled for.

    The core's methods for small arrays are bound once: binding takes as long as checking a call.

    Attributes
    ----------
    training : Compiled
        The network as it is trained: another one where it has dropouts.
    """

    def __init__(self, dtype: str, net: Map, inputs: int, training: bool = False) -> None:
        builder = ProgramBuilder(inputs, training)
        builder.finish(net._emit(builder, 0))
        self.moves = -1
        self.blocks = [f._block for f in net._linears()]
        self.operations = builder.operations
        self.latest: weakref.ref[NDArray[Any]] | None = None  # the output of the last forward pass
        linears = builder.linears
        self.core = _core.Network(
            dtype=dtype,
            widths=builder.widths,
            operations=builder.operations,
            layers=[(f.inputs, f.outputs, f.bias) for f in linears],
            parameters=[(f.w, f.b) for f in linears],
            gradients=[(f.dw, f.db) for f in linears],
            usages=[f._usage for f in linears] + [f._usage for f in builder.dropouts],
            dropouts=[f._state for f in builder.dropouts],
        )
        self.training = self
        if builder.drops and not training:
            self.training = Compiled(dtype, net, inputs, training=True)
        self.predict, self.forward = self.core.predict, self.core.forward
        self.train_step = self.core.train_step
        self.paired = pairs.is_one(builder.operations[-1])

    def fits(self, net: Map) -> bool:
        """Whether the parameters still lie where they lay when the network was compiled."""
        if self.moves == moves:
            return True
        seen = moves  # before looking
        linears = net._linears()
        if len(linears) != len(self.blocks) or any(
            f._block is not block for f, block in zip(linears, self.blocks, strict=True)
        ):
            return False
        self.moves = seen
        return True


class Map:
    """A map x -> y. Maps are composed by :class:`Chain` and :class:`Sum`."""

    _compiled: Mapping[tuple[int, str], Compiled] = MappingProxyType({})  # by inputs and dtype
    _current: Compiled | None = None  # the only one, where parameters fix inputs and dtype
    _called: Compiled | None = None  # the one that keeps what backward needs
    _owns_block = False

    # --- what a kind of map says of itself ------------------------------------------------------
    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        """Adds this map's operations on a value to a program; the value that comes out."""
        raise NotImplementedError

    def _children(self) -> Sequence[Map]:
        return ()

    def config(self) -> dict[str, Any]:
        """The architecture as JSON-able data; :func:`mlpkern.from_config` rebuilds it."""
        raise NotImplementedError

    def _width(self, inputs: int | None) -> int | None:
        """The number of outputs for so many inputs, None where it is not known yet; checks them."""
        return inputs

    # --- structure ------------------------------------------------------------------------------
    def _linears(self) -> list[Linear]:
        """The linear maps inside, each once, in order of first use."""
        found: list[Linear] = []
        for child in self._children():
            found += [f for f in child._linears() if not any(f is g for g in found)]
        return found

    def _maps(self) -> Iterable[Map]:
        """This map and all maps inside."""
        yield self
        for child in self._children():
            yield from child._maps()

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The dtype of the parameters; None for a map without any."""
        linears = self._linears()
        return linears[0].w.dtype if linears else None

    @property
    def inputs(self) -> int | None:
        """The number of inputs D; None where any number will do."""
        return None

    def copy(self) -> Map:
        """A map like this one, with parameters of its own, equal to these."""
        raise NotImplementedError

    # --- flat arrays ----------------------------------------------------------------------------
    def _flat(self, what: str) -> NDArray[Any]:
        linears = self._linears()
        if not linears:
            return np.zeros(0, np.float32)
        block, first = linears[0]._block, linears[0]._offset
        offset = first
        for f in linears:
            if not self._owns_block or f._block is not block or f._offset != offset:
                raise ValueError(f"{what}: {self._ownership()}")
            offset += f._size()
        array: NDArray[Any] = getattr(block, what)
        return array[first:offset]

    def _ownership(self) -> str:
        belongs = ", ".join(
            f"{f!r} belongs to {f._block.owner() or 'a network that is gone'!r}"
            for f in self._linears()
        )
        return (
            "the maps of one flat array must belong to one network, in its order; "
            f"here {belongs}; copy() makes a map of one's own"
        )

    @property
    def parameters(self) -> NDArray[Any]:
        """All parameters, flat: layer by layer, w row by row, then b. The layers' arrays are views.

        Raises
        ------
        ValueError
            If maps inside belong to other networks; it says which.
        """
        return self._flat("parameters")

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        """Writes into them: ``net.parameters *= 0.5``."""
        self._assign("parameters", self._flat("parameters"), values)

    @property
    def gradients(self) -> NDArray[Any]:
        """All gradients, flat, in the order of :attr:`parameters`."""
        return self._flat("gradients")

    @gradients.setter
    def gradients(self, values: ArrayLike) -> None:
        """Writes into them."""
        self._assign("gradients", self._flat("gradients"), values)

    def _assign(self, name: str, into: NDArray[Any], value: ArrayLike) -> None:
        who = type(self).__name__
        array = _core.as_array(who, name, value)
        if array.shape != into.shape:
            raise ValueError(f"{who}: {name} must be {into.shape}; got {array.shape}")
        into[...] = array

    # --- passes ---------------------------------------------------------------------------------
    def _core_for(self, x: ArrayLike) -> Compiled:
        """The compiled network for inputs like x, made anew where the parameters have moved."""
        compiled = self._own()
        if compiled is not None:
            return compiled
        array = _core.as_array(type(self).__name__, "x", x)
        inputs = self.inputs or (array.shape[-1] if array.ndim else 0)
        return self._compile(inputs, self.dtype or array.dtype)

    def _own(self) -> Compiled | None:
        """The compiled network; None where parameters do not fix inputs and dtype."""
        compiled = self._current
        if compiled is None or compiled.moves != moves:
            inputs, dtype = self.inputs, self.dtype
            if inputs is None or dtype is None:
                return None
            self._current = compiled = self._compile(inputs, dtype)
        return compiled

    def _compile(self, inputs: int, like: np.dtype[Any]) -> Compiled:
        """The network for so many inputs, kept from call to call."""
        dtype = "float64" if like.newbyteorder("=") == np.float64 else "float32"
        compiled = self._compiled.get((inputs, dtype))
        if compiled is None or not compiled.fits(self):
            compiled = Compiled(dtype, self, inputs)
            self._compiled = {(inputs, dtype): compiled}
        return compiled

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """The output for x (..., D) or (D,); keeps what :meth:`backward` needs.

        A pass of training: a :class:`Dropout` draws its mask. :meth:`predict` has none.

        Raises
        ------
        TypeError, ValueError
            If x has another dtype than the parameters, or another number of columns than D.
        RuntimeError
            If another thread's call is using the network.
        """
        compiled = self._current
        if compiled is None or compiled.moves != moves:
            compiled = self._core_for(x)
        compiled = compiled.training
        y = compiled.forward(x)
        if compiled.paired:
            pairs.remember_output(compiled, y)
        self._called = compiled
        return y

    def predict(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The output for x (..., D) or (D,); keeps nothing. Any number of threads may call it."""
        compiled = self._current
        if compiled is None or compiled.moves != moves:
            compiled = self._core_for(x)
        return compiled.predict(x, out)

    def backward(self, dy: ArrayLike, *, need_dx: bool = True) -> NDArray[Any] | None:
        """From the cost's gradient by the output of the last call to its gradient by the input.

        Adds the gradients of the parameters to what :attr:`gradients` holds. The derivatives of
        tanh, sigmoid and exp are taken from the outputs that the call kept: right to one unit in
        the last place of 1, where ``vjp(s, g)`` is right to that of the derivative itself.

        Parameters
        ----------
        dy : array of the output's shape
        need_dx : bool
            False leaves dx out.

        Returns
        -------
        dx : array of the input's shape, or None
        """
        compiled = self._called
        if compiled is None or not compiled.fits(self):
            raise RuntimeError(
                "backward: the network must have been called first, as it is now: "
                "net(x) keeps what backward needs"
            )
        ds = pairs.gradient_before_last(compiled, dy) if compiled.paired else None
        if ds is not None:
            return compiled.core.backward(ds, need_dx, True, [])
        return compiled.core.backward(dy, need_dx, False, [])

    def zero_grad(self) -> None:
        """Sets the gradients to zero."""
        compiled = self._own()
        if compiled is not None:
            compiled.core.zero_grad()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it is made of and its parameters; gradients are left out."""
        from mlpkern.dropout import dropouts_in
        from mlpkern.models import unpickled

        linears = self._linears()
        flat = [part for f in linears for part in (f.w.ravel(), f.b) if part is not None]
        numbers = np.concatenate(flat) if flat else np.zeros(0, np.float32)
        return unpickled, (self.config(), numbers, [f.passes for f in dropouts_in(self)])

    # --- to look at -----------------------------------------------------------------------------
    def _repr_html_(self) -> str:
        """What a notebook shows: how it is made, its parameters, its graph."""
        from mlpkern.graph import html

        return html(self)

    def freeze(self) -> Frozen:
        """An immutable copy for serving, called like the network."""
        return Frozen(self)

    def trace(self, x: ArrayLike, y: ArrayLike, loss: Loss) -> Trace:
        """Every intermediate and every derivative of a pass, by its name; see :class:`Trace`."""
        from mlpkern.trace import trace

        return trace(self, x, y, loss)

    def graph(self) -> Graph:
        """The computation graph: DOT text, and a picture in a notebook."""
        from mlpkern.graph import graph

        return graph(self)


class Frozen:
    """An immutable copy of a network: predicts, from any number of threads.

    Large layers have their weights a second time, packed for products.
    """

    def __init__(self, net: Map) -> None:
        if not isinstance(net, Map):
            raise TypeError(f"Frozen: net must be a network; got {type(net).__name__}")
        self._net = net.copy()
        for f in self._net._linears():
            f._block.parameters.flags.writeable = False
        compiled = self._net._own()  # nobody else has this net: its parameters never move
        if compiled is not None:
            compiled.core.freeze()
        self._predict = self._net.predict if compiled is None else compiled.predict

    def __call__(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The output for x (..., D) or (D,)."""
        return self._predict(x, out)

    predict = __call__

    def __reduce__(self) -> tuple[Any, ...]:
        return Frozen, (self._net,)

    def __repr__(self) -> str:
        return f"Frozen({self._net!r})"
