"""The linear map, the one map that has parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mlpkern import _core
from mlpkern._arguments import flag, integer
from mlpkern.maps import Block, Map, parameters_moved
from mlpkern.program import ProgramBuilder

__all__ = ["Linear"]


def checked_dtype(who: str, dtype: DTypeLike) -> np.dtype[Any]:
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
        self._move(Block(self._size(), checked_dtype("Linear", dtype), self), 0)
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
        parameters_moved()

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
