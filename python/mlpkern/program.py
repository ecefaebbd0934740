"""A network as the compiled core takes it: a list of operations on values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlpkern import _core

if TYPE_CHECKING:
    from mlpkern.dropout import Dropout
    from mlpkern.layers import Linear

__all__ = ["ProgramBuilder"]


class ProgramBuilder:
    """The list of operations of a network, as the compiled core takes it.

    One for training has its dropouts; in one for predictions and derivatives they are nothing.
    """

    def __init__(self, inputs: int, training: bool) -> None:
        self.training = training
        self.widths = [inputs]
        self.operations: list[_core.Operation] = []
        self.linears: list[Linear] = []
        self.dropouts: list[Dropout] = []
        self.drops = False  # whether there are dropouts, in use or not

    def _add(self, kind: str, inputs: list[int], width: int, *rest: Any) -> int:
        self.widths.append(width)
        output = len(self.widths) - 1
        layer, name, parameters = rest or (0, "", [])
        self.operations.append((kind, inputs, output, layer, name, parameters))
        return output

    def linear(self, value: int, layer: Linear) -> int:
        """``s = x w + b``."""
        return self._add("linear", [value], layer.outputs, _place(self.linears, layer), "", [])

    def activation(self, value: int, name: str, parameters: list[float]) -> int:
        """``a = f(s)``; the identity is no operation."""
        if name == "Identity":
            return value
        return self._add("activation", [value], self.widths[value], 0, name, parameters)

    def sum(self, values: list[int]) -> int:
        """The sum of values of one width."""
        return self._add("sum", values, self.widths[values[0]])

    def dropout(self, value: int, dropout: Dropout) -> int:
        """``a = m s``, m a mask of 0 and 1/(1 - p); the identity where one does not train."""
        if dropout.p < 2**-33:  # which drops no number of 32 bits
            return value
        self.drops = True
        if not self.training:
            return value
        place = _place(self.dropouts, dropout)
        return self._add("dropout", [value], self.widths[value], place, "", [])

    def standardize(self, value: int, numbers: list[float]) -> int:
        """``y = (x - mean) / scale``, the numbers D means and D scales."""
        return self._add("standardize", [value], self.widths[value], 0, "", numbers)

    def finish(self, output: int) -> None:
        """Makes sure that the output is a value of its own."""
        if not self.operations:
            self._add("activation", [output], self.widths[output], 0, "Identity", [])


def _place(parts: list[Any], part: Any) -> int:
    """Where a part stands in a list that has each once; it is added where it is new."""
    for i, other in enumerate(parts):
        if other is part:
            return i
    parts.append(part)
    return len(parts) - 1
