"""Networks as ONNX models: `to_onnx`; `from_onnx` stands in `_onnx_import`.

A linear map is a Gemm (a MatMul without a bias) on (n, D), its arrays initializers named as in
safetensors files, ``layers.0.w`` (D, L) and ``layers.0.b``; a map that occurs twice has them once.
Sums are Sum nodes, activations what `_onnx_formulas` says. Random and training parts are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mlpkern as mk
from mlpkern import persistence
from mlpkern._arguments import integer
from mlpkern.activations import Activation
from mlpkern.formats._common import library, named_linears
from mlpkern.formats._onnx_formulas import formula_of
from mlpkern.formats._onnx_import import from_onnx
from mlpkern.maps import Map
from mlpkern.persistence import StrPath

__all__ = ["from_onnx", "to_onnx"]

FIRST_OPSET, DEFAULT_OPSET = 13, 17


def to_onnx(net: Map, path: StrPath | None = None, *, opset: int = DEFAULT_OPSET) -> Any:
    """Return the network as an onnx.ModelProto, checked; x (n, D) in, y (n, K) out, any n.

    Parameters
    ----------
    net : Map
        float32 or float64, as the model will be; a map without parameters gives float32.
    path : where to write it as well, whole or not at all
    opset : int
        Of the standard operators, 13 or more; files for older runtimes need older ones.

    Raises
    ------
    ImportError
        onnx is not installed.
    TypeError
        `net` is no network, or holds a map that has no form in ONNX; it says which.
    ValueError
        `opset` is out of range, or `net` has over 10,000 maps.
    """
    onnx = library("to_onnx", "onnx")
    if not isinstance(net, Map):
        raise TypeError(f"to_onnx: net must be a network; got {type(net).__name__}")
    newest = onnx.defs.onnx_opset_version()
    opset = integer("to_onnx", "opset", opset, 0)
    if not FIRST_OPSET <= opset <= newest:
        raise ValueError(
            f"to_onnx: opset must be from {FIRST_OPSET} to {newest}, onnx's newest; got {opset}"
        )
    persistence.count_parameters(net.config())
    graph = _Graph(onnx, net, opset)
    model = graph.model(graph.map(net, "x", ""))
    onnx.checker.check_model(model, full_check=True)
    if path is not None:
        persistence.write_whole(path, lambda file: file.write(model.SerializeToString()))
    return model


class _Graph:
    """The nodes and initializers so far; an operator's name as a method adds a node of it."""

    def __init__(self, onnx: Any, net: Map, opset: int) -> None:
        self.onnx, self.net, self.opset = onnx, net, opset
        self.dtype = net.dtype or np.dtype(np.float32)
        self.names = {id(f): name for name, f in named_linears(net)}
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.constants: dict[Any, str] = {}
        self.place = ""

    def __getattr__(self, operator: str) -> Any:
        def add(*inputs: str, **attributes: Any) -> str:
            output = f"{self.place}{operator}_{len(self.nodes)}"
            node = self.onnx.helper.make_node(operator, inputs, [output], name=output, **attributes)
            self.nodes.append(node)
            return output

        return add

    def number(self, value: Any) -> str:
        """The initializer of a number, or of an array of them, in the network's dtype."""
        return self._constant(np.asarray(value, self.dtype))

    def integers(self, value: Any) -> str:
        """The initializer of whole numbers."""
        return self._constant(np.asarray(value, np.int64))

    def _constant(self, array: Any) -> str:
        key = array.dtype.str, array.shape, array.tobytes()
        name = self.constants.setdefault(key, f"constant_{len(self.constants)}")
        self.initializers[name] = array
        return name

    def map(self, net: Map, x: str, place: str) -> str:
        """Adds a map's nodes on a value; the value that comes out."""
        self.place = place
        if isinstance(net, mk.Linear):
            return self._linear(net, x)
        if isinstance(net, Activation):
            formula = formula_of(net, self.dtype, self.opset)
            if formula is None:
                raise TypeError(f"to_onnx: {net!r} has no form in ONNX")
            value: str = formula(self, x, net._parameters)
            return value
        if isinstance(net, mk.Dropout):
            return x
        if isinstance(net, mk.Standardize):
            return self._standardize(net, x)
        if isinstance(net, mk.Sum):
            branches = [
                self.map(inner, x, f"{place}layers.{i}.") for i, inner in enumerate(net.layers)
            ]
            self.place = place
            total: str = self.Sum(*branches)
            return total
        if isinstance(net, mk.Chain):
            for i, inner in enumerate(net.layers):
                x = self.map(inner, x, f"{place}layers.{i}.")
            return x
        raise TypeError(f"to_onnx: {net!r} has no form in ONNX")

    def _linear(self, f: mk.Linear, x: str) -> str:
        name = self.names[id(f)]
        self.initializers[name + "w"] = f.w
        if f.b is None:
            product: str = self.MatMul(x, name + "w")
            return product
        self.initializers[name + "b"] = f.b
        value: str = self.Gemm(x, name + "w", name + "b")
        return value

    def _standardize(self, f: mk.Standardize, x: str) -> str:
        """(x - mean)/scale in float64, rounded once, as the map itself does it."""
        double, narrow = np.dtype(np.float64), self.dtype != np.float64
        kinds = [self.onnx.helper.np_dtype_to_tensor_dtype(d) for d in (double, self.dtype)]
        wide = self.Cast(x, to=kinds[0]) if narrow else x
        scaled: str = self.Div(self.Sub(wide, self._constant(f.mean)), self._constant(f.scale))
        rounded: str = self.Cast(scaled, to=kinds[1]) if narrow else scaled
        return rounded

    def model(self, output: str) -> Any:
        """The whole, whose output is a value's."""
        helper, net = self.onnx.helper, self.net
        if self.nodes:  # the last one makes what comes out
            self.nodes[-1].output[0] = "y"
        else:
            self.nodes.append(helper.make_node("Identity", [output], ["y"], name="y"))
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        inputs, outputs = net.inputs, net._width(net.inputs)
        D, K = "D" if inputs is None else inputs, "K" if outputs is None else outputs
        graph = helper.make_graph(
            self.nodes,
            "mlpkern",
            [helper.make_tensor_value_info("x", kind, ["n", D])],
            [helper.make_tensor_value_info("y", kind, ["n", K])],
            [self.onnx.numpy_helper.from_array(a, k) for k, a in self.initializers.items()],
        )
        opset = helper.make_opsetid("", self.opset)
        return helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=helper.find_min_ir_version_for([opset]),
            producer_name="mlpkern",
            producer_version=mk.__version__,
        )
