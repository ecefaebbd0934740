"""Networks from ONNX models: graphs of linear maps, activations and sums.

The graph is read from its output to its input: each value is an activation of another one
(`_onnx_patterns`), a linear map of it (Gemm; MatMul, and an Add behind it), or a sum of branches
that meet again at another value. Everything else is refused, by its node's name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

import mlpkern as mk
from mlpkern.formats._common import library
from mlpkern.formats._onnx_patterns import Array, Value, activation_of, shortest
from mlpkern.maps import Map
from mlpkern.persistence import StrPath, refusing

_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "And", "Not")


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
        return _Reader(onnx, model).network()
    except RecursionError:
        raise ValueError("from_onnx: the graph is nested too deeply") from None


def _refuse(node: Any, why: str) -> NoReturn:
    raise ValueError(f"from_onnx: node {node.name or node.output[0]!r} ({node.op_type}): {why}")


class _Reader:
    """The values of a graph, and the maps that they are made by."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self.onnx = onnx
        opsets = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        self.opset = max(opsets, default=1)
        self.values: dict[str, Any] = {}
        self.steps: dict[int, tuple[Map | None, Value]] = {}
        self.linears: dict[Any, mk.Linear] = {}
        graph = model.graph
        for tensor in graph.initializer:
            self.values[tensor.name] = self._array(tensor)
        if graph.sparse_initializer:
            raise ValueError("from_onnx: sparse initializers are not read")
        self.input = self._input([v for v in graph.input if v.name not in self.values])
        for node in graph.node:
            self._add(node)
        if len(graph.output) != 1:
            raise ValueError(f"from_onnx: the graph must have one output; got {len(graph.output)}")
        output = self.values.get(graph.output[0].name)
        if not isinstance(output, Value):
            raise ValueError("from_onnx: the output does not depend on the input")
        self.output = output

    def _input(self, inputs: Sequence[Any]) -> Value:
        if len(inputs) != 1:
            raise ValueError(f"from_onnx: the graph must have one input; got {len(inputs)}")
        tensor = inputs[0].type.tensor_type
        kinds: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 11: np.dtype(np.float64)}
        if tensor.elem_type not in kinds:
            name = self.onnx.TensorProto.DataType.Name(tensor.elem_type)
            raise ValueError(f"from_onnx: the input must be FLOAT or DOUBLE; got {name}")
        self.dtype: np.dtype[Any] = kinds[tensor.elem_type]
        self.dims = [d.dim_value for d in tensor.shape.dim] if tensor.HasField("shape") else None
        value = Value("input", [], {}, None)
        self.values[inputs[0].name] = value
        return value

    def _array(self, tensor: Any) -> Array:
        if self.onnx.external_data_helper.uses_external_data(tensor):
            raise ValueError(
                f"from_onnx: initializer {tensor.name!r} is in another file: give the model's path"
            )
        try:
            array: Array = self.onnx.numpy_helper.to_array(tensor)
        except (TypeError, ValueError) as error:
            raise ValueError(f"from_onnx: initializer {tensor.name!r}: {error}") from None
        return array

    # --- from nodes to values -------------------------------------------------------------------
    def _add(self, node: Any) -> None:
        """Gives each output of a node its value."""
        if node.domain not in ("", "ai.onnx"):
            _refuse(node, f"operators of {node.domain!r} are not read")
        inputs = [self._lookup(node, name) for name in node.input]
        attributes = self._attributes(node)
        value: Any = Value(node.op_type, inputs, attributes, node)
        if node.op_type == "Constant":
            value = self._constant(node)
        elif inputs and all(isinstance(v, np.ndarray) for v in inputs):
            value = self._folded(value)
        elif self._does_nothing(value):
            value = inputs[0]
        self.values[node.output[0]] = value

    def _lookup(self, node: Any, name: str) -> Any:
        if not name:
            return None
        if name not in self.values:
            _refuse(node, f"its input {name!r} is nothing that is known")
        return self.values[name]

    def _attributes(self, node: Any) -> dict[str, Any]:
        try:
            schema = self.onnx.defs.get_schema(node.op_type, self.opset, "")
        except self.onnx.defs.SchemaError:
            _refuse(node, f"opset {self.opset} has no such operator")
        get = self.onnx.helper.get_attribute_value
        defaults = {
            name: get(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if attribute.default_value.name
        }
        given = {**defaults, **{a.name: get(a) for a in node.attribute}}
        text = {k: v.decode(errors="replace") for k, v in given.items() if isinstance(v, bytes)}
        if given.get("axis") == 1 and self._rows() and node.op_type in ("Softmax", "LogSoftmax"):
            given["axis"] = -1
        return {**given, **text}

    def _constant(self, node: Any) -> Array:
        for a in node.attribute:
            if a.name == "value":
                return self._array(a.t)
            if a.name in ("value_float", "value_floats"):
                return np.asarray(self.onnx.helper.get_attribute_value(a), np.float32)
            if a.name in ("value_int", "value_ints"):
                return np.asarray(self.onnx.helper.get_attribute_value(a), np.int64)
        _refuse(node, "its value must be numbers")

    def _folded(self, value: Value) -> Any:
        """What an operator makes of constants, where it is a simple one."""
        array = value.inputs[0]
        if value.op == "Identity":
            return array
        if value.op == "Transpose":
            return np.transpose(array, value.attributes.get("perm"))
        if value.op == "Cast" and value.attributes.get("to") in (1, 11):
            return array.astype({1: np.float32, 11: np.float64}[value.attributes["to"]])
        return value

    def _does_nothing(self, value: Value) -> bool:
        """Whether a value is its first input: in inference, or because rows stay rows."""
        rest = value.inputs[1:]
        if not value.inputs or not isinstance(value.inputs[0], Value):
            return False
        if value.op == "Dropout":
            training = rest[1] if len(rest) > 1 else None
            return training is None or (isinstance(training, np.ndarray) and not training.any())
        if value.op == "Cast":
            same = {np.dtype(np.float32): 1, np.dtype(np.float64): 11}[self.dtype]
            to = value.attributes.get("to")
            return bool(to == (9 if value.inputs[0].op in _COMPARISONS else same))
        if value.op == "Flatten":
            ahead = value.inputs[0] is self.input or self._rows()
            return bool(value.attributes.get("axis") == 1) and ahead
        if value.op == "Reshape" and isinstance(rest[0], np.ndarray):
            return self._keeps_rows(value.inputs[0], rest[0].tolist())
        return False

    def _rows(self) -> bool:
        return self.dims is not None and len(self.dims) == 2

    def _keeps_rows(self, value: Value, shape: Any) -> bool:
        """Whether a reshape to (n, D) leaves rows, or makes them of the input."""
        if not isinstance(shape, list) or len(shape) != 2 or shape[0] not in (-1, 0):
            return False
        if shape[0] == 0 and shape[1] == -1:
            return value is self.input or self._rows()
        if value is not self.input or not self.dims:
            return False
        return bool(shape[1] == math.prod(self.dims[1:]) != 0)

    # --- from values to maps --------------------------------------------------------------------
    def network(self) -> Map:
        maps = self._maps(self._path(self.output)[:-1])
        try:
            net = mk.Chain(*maps[::-1]) if maps else mk.Chain(mk.Identity())
        except (TypeError, ValueError) as error:
            raise ValueError(f"from_onnx: {error}") from None
        return net

    def _path(self, value: Value) -> list[Value]:
        """The values from one back to the input, each a map of the next."""
        path = [value]
        while path[-1] is not self.input:
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
        return self.dims[-1] if self.dims else None

    def _step(self, value: Value) -> tuple[Map | None, Value]:
        """The map that makes a value, and of which value; None for no map."""
        if id(value) not in self.steps:
            try:
                found = activation_of(value)
            except ValueError as error:  # a parameter out of its range
                _refuse(value.node, str(error))
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
        if value.op == "Reshape" and isinstance(value.inputs[0], Value):
            x, shape = value.inputs
            rows = shape.tolist() if isinstance(shape, np.ndarray) else None
            if rows in ([-1, self._width(x)], [0, self._width(x)]):
                return None, x
        _refuse(value.node, "it is no part of a multilayer perceptron that mlpkern reads")

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
            _refuse(value.node, str(error))

    def _linear(self, value: Value, bias: Array | None) -> tuple[Map, Value]:
        node, (x, w, *c) = value.node, value.inputs
        a = value.attributes
        if not isinstance(x, Value) or not isinstance(w, np.ndarray) or w.ndim != 2:
            _refuse(node, "it must be a value times a constant matrix")
        if a.get("transA"):
            _refuse(node, "transA must be 0: mlpkern's samples are rows")
        if c and c[0] is not None:
            if not isinstance(c[0], np.ndarray):
                _refuse(node, "its bias must be a constant")
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
        if any(array.dtype != self.dtype for array in (w, bias) if array is not None):
            _refuse(node, f"its constants must be {self.dtype}, as the input is; got {w.dtype}")
        D, L = w.shape
        f = mk.Linear(D, L, bias is not None, self.dtype)
        f.w = w if alpha == 1 else w * self.dtype.type(alpha)
        if bias is not None:
            try:
                row = np.broadcast_to(bias, (1, L))[0]
            except ValueError:
                _refuse(node, f"its bias must have {L} numbers, one an output; got {bias.shape}")
            f.b = row if beta == 1 else row * self.dtype.type(beta)
        return f
