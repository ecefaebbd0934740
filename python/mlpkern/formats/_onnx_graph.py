"""ONNX graphs as values: each an operator of other values and of constants, arrays.

Constants are folded where that is a matter of layout; what does nothing to rows is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from mlpkern.formats._onnx_patterns import Array, Value

_MOST_NODES = 100_000
_MOST_USES = 16  # of a constant's memory: a small file may name one a million times
_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Or", "And", "Not")


def refuse(node: Any, why: str) -> NoReturn:
    raise ValueError(f"from_onnx: node {node.name or node.output[0]!r} ({node.op_type}): {why}")


class Graph:
    """The values of a graph, from its one input to its one output."""

    def __init__(self, onnx: Any, model: Any) -> None:
        self.onnx = onnx
        opsets = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        self.opset = max(opsets, default=1)
        self.values: dict[str, Any] = {}
        self.memory = 2**20  # bytes that may still be copied
        graph = model.graph
        if len(graph.node) > _MOST_NODES:
            raise ValueError(
                f"from_onnx: the graph must have {_MOST_NODES} nodes at most; got {len(graph.node)}"
            )
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
        self.memory += _MOST_USES * array.nbytes
        return array

    def copying(self, node: Any, array: Array) -> None:
        self.memory -= array.nbytes
        if self.memory < 0:
            refuse(node, "the graph's constants are used too often")

    def _add(self, node: Any) -> None:
        """Gives each output of a node its value."""
        if node.domain not in ("", "ai.onnx"):
            refuse(node, f"operators of {node.domain!r} are not read")
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
            refuse(node, f"its input {name!r} is nothing that is known")
        return self.values[name]

    def _attributes(self, node: Any) -> dict[str, Any]:
        try:
            schema = self.onnx.defs.get_schema(node.op_type, self.opset, "")
        except self.onnx.defs.SchemaError:
            refuse(node, f"opset {self.opset} has no such operator")
        get = self.onnx.helper.get_attribute_value
        defaults = {
            name: get(attribute.default_value)
            for name, attribute in schema.attributes.items()
            if attribute.default_value.name
        }
        given = {**defaults, **{a.name: get(a) for a in node.attribute}}
        text = {k: v.decode(errors="replace") for k, v in given.items() if isinstance(v, bytes)}
        if given.get("axis") == 1 and self.has_rows() and node.op_type in ("Softmax", "LogSoftmax"):
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
        refuse(node, "its value must be numbers")

    def _folded(self, value: Value) -> Any:
        """What an operator makes of constants, where it is a simple one."""
        array = value.inputs[0]
        if value.op == "Identity":
            return array
        if value.op == "Transpose":
            return np.transpose(array, value.attributes.get("perm"))
        if value.op == "Cast" and value.attributes.get("to") in (1, 11):
            self.copying(value.node, array)
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
            kinds = (9,) if value.inputs[0].op in _COMPARISONS else (1, 11)
            return value.attributes.get("to") in kinds
        if value.op == "Flatten":
            ahead = value.inputs[0] is self.input or self.has_rows()
            return bool(value.attributes.get("axis") == 1) and ahead
        if value.op == "Reshape" and isinstance(rest[0], np.ndarray):
            return self._keeps_rows(value.inputs[0], rest[0].tolist())
        return False

    def has_rows(self) -> bool:
        return self.dims is not None and len(self.dims) == 2

    def _keeps_rows(self, value: Value, shape: Any) -> bool:
        """Whether a reshape to (n, D) leaves rows, or makes them of the input."""
        if not isinstance(shape, list) or len(shape) != 2 or shape[0] not in (-1, 0):
            return False
        if shape[0] == 0 and shape[1] == -1:
            return value is self.input or self.has_rows()
        if value is not self.input or not self.dims:
            return False
        return bool(shape[1] == math.prod(self.dims[1:]) != 0)
