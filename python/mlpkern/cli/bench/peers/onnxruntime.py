"""ONNX Runtime: inference, NumPy arrays in and out."""

from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..problems import Problem
from . import Prepared

_threads = 1


def start(threads: int) -> str:
    """Keep the number of threads for the sessions; return the version."""
    global _threads
    _threads = threads
    return str(onnxruntime.__version__)


def _model(data: Problem) -> bytes:
    """Return the network as an ONNX file."""
    case = data.case
    kind = TensorProto.DOUBLE if case.dtype == "float64" else TensorProto.FLOAT
    hidden = {"tanh": "Tanh", "relu": "Relu"}[case.hidden]
    behind = [hidden] * (len(case.sizes) - 2) + ["Softmax"]
    nodes: list[Any] = []
    weights: list[Any] = []
    for i, (w, b) in enumerate(data.layers):
        weights += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        source = f"a{i - 1}" if i else "x"
        nodes.append(helper.make_node("Gemm", [source, f"w{i}", f"b{i}"], [f"s{i}"]))
        nodes.append(helper.make_node(behind[i], [f"s{i}"], [f"a{i}"]))
    last = f"a{len(data.layers) - 1}"
    if case.output == "identity":
        nodes.pop()
        last = f"s{len(data.layers) - 1}"
    x = helper.make_tensor_value_info("x", kind, ["n", case.sizes[0]])
    y = helper.make_tensor_value_info(last, kind, ["n", case.sizes[-1]])
    graph = helper.make_graph(nodes, "mlp", [x], [y], weights)
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def inference(data: Problem) -> Prepared:
    """A run of a session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _model(data), options, providers=["CPUExecutionProvider"]
    )
    return Prepared(partial(session.run, None, {"x": np.ascontiguousarray(data.x)}), lambda y: y)


memory = call = inference
