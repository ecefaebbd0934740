"""Networks from ONNX models: graphs of linear maps, activations and sums.

The graph is read from its output to its input: each value is an activation of another one
(`_onnx_patterns`), a linear map of it (Gemm; MatMul, and an Add behind it), or a sum of branches
that meet again at another value. Everything else is refused, by its node's name.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern.formats._common import library, normalization
from mlpkern.formats._onnx_graph import Graph, refuse
from mlpkern.formats._onnx_patterns import Array, Value, activation_of, shortest
from mlpkern.maps import Map
from mlpkern.persistence import StrPath, refusing


def from_onnx(model: Any) -> Map:
    """Return the network of an ONNX model of a multilayer perceptron, a Chain.

    Parameters
    ----------
    model : onnx.ModelProto, or the path of a file
        One input, one output, float32 or float64. What is read: Gemm, MatMul, Add of a constant
        behind it, Add and Sum of branches, every activation that `to_onnx` writes and the forms
        that PyTorch's exporter gives them; Identity, Dropout (which does nothing here), and Flatten
        and Reshape where rows stay rows. A Flatten of the input is left out: give it rows.

    Raises
    ------
    ImportError
        onnx is not installed.
    TypeError
        `model` is neither a model nor a path.
    ValueError
        The file is no ONNX model, or the graph has something else; it names the node.
    """
    onnx = library("from_onnx", "onnx")
    if isinstance(model, onnx.ModelProto):
        return _network(onnx, model)
    if not isinstance(model, str | os.PathLike):
        raise TypeError(
            f"from_onnx: model must be an onnx.ModelProto or a path; got {type(model).__name__}"
        )
    return _from_file(onnx, model)


def _from_file(onnx: Any, path: StrPath) -> Map:
    with open(path, "rb"):  # what the system refuses is its own error
        pass
    with refusing(os.fspath(path)):
        return _network(onnx, onnx.load(os.fspath(path)))


def _network(onnx: Any, model: Any) -> Map:
    try:
        return _Reader(Graph(onnx, model)).network()
    except (MemoryError, ValueError):
        raise
    except RecursionError:
        raise ValueError("from_onnx: the graph is nested too deeply") from None
    except Exception as error:  # inputs and attributes that operators must have, and such
        raise ValueError(f"from_onnx: the model is malformed: {error!r}") from None


class _Reader:
    """The maps that make a graph's values."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: dict[int, tuple[Map | None, Value]] = {}
        self.linears: dict[Any, mk.Linear] = {}

    def network(self) -> Map:
        maps = self._maps(self._path(self.graph.output)[:-1])
        try:
            net = mk.Chain(*maps[::-1]) if maps else mk.Chain(mk.Identity())
        except (TypeError, ValueError) as error:
            raise ValueError(f"from_onnx: {error}") from None
        return net

    def _path(self, value: Value) -> list[Value]:
        """The values from one back to the input, each a map of the next."""
        path = [value]
        while path[-1] is not self.graph.input:
            path.append(self._step(path[-1])[1])
        return path

    def _maps(self, values: list[Value]) -> list[Map]:
        found = [self._step(value)[0] for value in values]
        return [f for f in found if f is not None]

    def _width(self, value: Value) -> int | None:
        """The number of columns, where it is known."""
        for v in self._path(value)[:-1]:
            f = self._step(v)[0]
            width = None if f is None else f._width(None)
            if width is not None:
                return width
        return self.graph.dims[-1] if self.graph.dims else None

    def _step(self, value: Value) -> tuple[Map | None, Value]:
        """The map that makes a value, and of which value; None for no map."""
        if id(value) not in self.steps:
            try:
                found = activation_of(value)
            except ValueError as error:  # a parameter out of its range
                refuse(value.node, str(error))
            self.steps[id(value)] = found or self._linear_or_sum(value)
        return self.steps[id(value)]

    def _linear_or_sum(self, value: Value) -> tuple[Map | None, Value]:
        if value.op in ("Gemm", "MatMul"):
            return self._linear(value, None)
        if value.op in ("Add", "Sum"):
            arrays = [v for v in value.inputs if isinstance(v, np.ndarray)]
            values = [v for v in value.inputs if isinstance(v, Value)]
            if not arrays:
                return self._sum(value, values)
            if len(arrays) == len(values) == 1 and values[0].op == "MatMul":
                return self._linear(values[0], arrays[0])
        if value.op == "BatchNormalization":
            return self._batch_norm(value)
        if value.op in ("Sub", "Div", "Mul") and len(value.inputs) == 2:
            x, numbers = value.inputs
            if value.op == "Mul" and isinstance(numbers, Value):
                x, numbers = numbers, x
            if isinstance(x, Value) and isinstance(numbers, np.ndarray):
                return self._standardize(value, x, numbers.astype(np.float64))
        if value.op == "Reshape" and isinstance(value.inputs[0], Value):
            x, shape = value.inputs
            rows = shape.tolist() if isinstance(shape, np.ndarray) else None
            if rows in ([-1, self._width(x)], [0, self._width(x)]):
                return None, x
        refuse(value.node, "it is no part of a multilayer perceptron that mlpkern reads")

    def _standardize(self, value: Value, x: Value, numbers: Array) -> tuple[Map, Value]:
        """(x - mean)/scale, or times its inverse, by constants; either part may be missing."""
        mean, scale = np.zeros(()), np.ones(())
        if value.op == "Sub":
            mean = numbers
        else:
            with np.errstate(divide="ignore"):
                scale = numbers if value.op == "Div" else 1 / numbers
            if x.op == "Sub" and isinstance(x.inputs[0], Value):
                x, mean = x.inputs
        try:
            shape = np.broadcast_shapes(mean.shape, scale.shape, (1, self._width(x) or 1))
            rows = [np.broadcast_to(v, shape).reshape(-1, shape[-1]) for v in (mean, scale)]
            if len(rows[0]) != 1:
                raise ValueError(f"its constants must be one for each column; got {shape}")
            return mk.Standardize(*(row[0] for row in rows)), x
        except (TypeError, ValueError) as error:
            refuse(value.node, str(error))

    def _batch_norm(self, value: Value) -> tuple[Map, Value]:
        x, *numbers = value.inputs
        if value.attributes.get("training_mode") or not isinstance(x, Value):
            refuse(value.node, "it must not be in training")
        if not all(isinstance(v, np.ndarray) for v in numbers):
            refuse(value.node, "its numbers must be constants")
        try:
            gamma, beta, mean, variance = numbers
            return normalization(gamma, beta, mean, variance, value.attributes["epsilon"]), x
        except ValueError as error:
            refuse(value.node, str(error))

    def _sum(self, value: Value, branches: list[Value]) -> tuple[Map, Value]:
        """The sum of branches, from the last value that all come from."""
        paths = [self._path(branch) for branch in branches]
        common = set.intersection(*({id(v) for v in path} for path in paths))
        base = next(v for v in paths[0] if id(v) in common)
        maps = []
        for path in paths:
            inside = self._maps(path[: [id(v) for v in path].index(id(base))])
            one = inside[0] if len(inside) == 1 else None
            maps.append(one or (mk.Chain(*inside[::-1]) if inside else mk.Identity()))
        try:
            return mk.Sum(*maps), base
        except (TypeError, ValueError) as error:
            refuse(value.node, str(error))

    def _linear(self, value: Value, bias: Array | None) -> tuple[Map, Value]:
        node, (x, w, *c) = value.node, value.inputs
        a = value.attributes
        if not isinstance(x, Value) or not isinstance(w, np.ndarray) or w.ndim != 2:
            refuse(node, "it must be a value times a constant matrix")
        if a.get("transA"):
            refuse(node, "transA must be 0: mlpkern's samples are rows")
        if c and c[0] is not None:
            if not isinstance(c[0], np.ndarray):
                refuse(node, "its bias must be a constant")
            bias = c[0]
        key = id(w), id(bias), a.get("transB"), a.get("alpha"), a.get("beta")
        if key not in self.linears:
            alpha, beta = (shortest(np.float32(a.get(k, 1.0))) for k in ("alpha", "beta"))
            w = w.T if a.get("transB") else w
            self.linears[key] = self._made(node, w, bias, alpha, beta)
        return self.linears[key], x

    def _made(
        self, node: Any, w: Array, bias: Array | None, alpha: float, beta: float
    ) -> mk.Linear:
        if any(array.dtype != self.graph.dtype for array in (w, bias) if array is not None):
            refuse(
                node, f"its constants must be {self.graph.dtype}, as the input is; got {w.dtype}"
            )
        self.graph.copying(node, w)
        D, L = w.shape
        f = mk.Linear(D, L, bias is not None, self.graph.dtype)
        f.w = w if alpha == 1 else w * self.graph.dtype.type(alpha)
        if bias is not None:
            try:
                row = np.broadcast_to(bias, (1, L))[0]
            except ValueError:
                refuse(node, f"its bias must have {L} numbers, one an output; got {bias.shape}")
            f.b = row if beta == 1 else row * self.graph.dtype.type(beta)
        return f
