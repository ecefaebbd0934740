"""Calls with bad input: the type and text of each error, and that nothing was written before it.

In the texts, `*` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import mlpkern as mk


class World:
    """Maps, arrays and optimizers for bad calls; every array in it must survive them."""

    def __init__(self) -> None:
        def ones(*shape: int, dtype: Any = np.float32) -> Any:
            return np.ones(shape, dtype)

        self.x, self.w, self.b, self.ds = ones(5, 3), ones(3, 2), ones(2), ones(5, 2)
        self.y, self.labels, self.weight = ones(5, 2), np.array([0, 1, 1, 0, 1]), ones(5)
        self.x64, self.w64, self.y64 = (v.astype(np.float64) for v in (self.x, self.w, self.y))
        self.half = self.x.astype(np.float16)
        self.integers, self.complexes = self.x.astype(np.int64), self.x.astype(np.complex64)
        self.objects, self.longs = self.x.astype(object), self.x.astype(np.longdouble)
        self.bools = self.x.astype(bool)
        self.out, self.dx = np.full((5, 2), 7, np.float32), np.full((5, 3), 7, np.float32)
        self.dw, self.db = np.full((3, 2), 7, np.float32), np.full(2, 7, np.float32)
        self.out64 = self.out.astype(np.float64)
        self.strided = np.full((10, 2), 7, np.float32)[::2]
        self.read_only = np.full((5, 2), 7, np.float32)
        self.read_only.flags.writeable = False
        self.unaligned = np.full(41, 7, np.uint8)[1:].view(np.float32).reshape(5, 2)
        self.shared = np.arange(64, dtype=np.float32)
        self.net = mk.MLP([3, 4, 2])
        self.net64 = mk.MLP([3, 2], dtype=np.float64)
        self.classifier = mk.MLP([3, 4, 2], output="softargmax")
        self.classifier.gradients[...] = self.net.gradients[...] = 7
        self.opt, self.other_opt = mk.Adam(self.net), mk.SGD(self.classifier, momentum=0.5)
        self.mse, self.bce, self.ce = mk.SquaredError(), mk.BinaryCrossEntropy(), mk.CrossEntropy()
        self.t, self.rows = mk.Tanh(), mk.Softargmax()

    def contents(self) -> dict[str, Any]:
        """A copy of every array, and the counts of steps."""
        arrays = {name: v for name, v in vars(self).items() if isinstance(v, np.ndarray)}
        for name in ("net", "net64", "classifier"):
            net = getattr(self, name)
            arrays |= {f"{name}.parameters": net.parameters, f"{name}.gradients": net.gradients}
        for name in ("opt", "other_opt"):
            opt = getattr(self, name)
            arrays |= {f"{name}.{state}": v for state, v in opt.states.items()}
            arrays[f"{name}.steps"] = np.array(opt.steps)
            arrays[f"{name}.lr"] = np.array(opt.lr)
        return {name: v.copy() for name, v in arrays.items()}

    def fit(self, **changed: Any) -> Any:
        usual = {"loss": self.mse, "optimizer": self.opt, "epochs": 1}
        x, y = changed.pop("x", self.x), changed.pop("y", self.y)
        net = changed.pop("net", self.net)
        return mk.fit(net, x, y, **(usual | changed))

    def train_step(self, **changed: Any) -> Any:
        usual = {"net": self.net, "loss": self.mse, "optimizer": self.opt, "x": self.x, "y": self.y}
        return mk.train_step(**(usual | changed))


class Case(NamedTuple):
    name: str
    call: Callable[[World], Any]
    kind: type[Exception]
    text: str


ALIKE = "must be all float32 or all float64; got"
CURE = "convert with .astype(np.float32)"
COLUMNS = "must be (..., D) or (D,) with D = 3, the network's inputs; got"

# fmt: off
LINEAR = [
    Case("x is None", lambda u: mk.linear(None, u.w), TypeError,
         "linear: x must be an array; got None"),
    Case("x is text", lambda u: mk.linear("x", u.w), TypeError,
         f"linear: x, w {ALIKE} x <U1, w float32; {CURE}"),
    Case("x is ragged", lambda u: mk.linear([[1.0], [1.0, 2.0]], u.w), TypeError,
         "linear: x must be an array; got list"),
    Case("x is a list", lambda u: mk.linear([[1, 2, 3]], u.w), TypeError,
         f"linear: x, w {ALIKE} x int64, w float32; {CURE}"),
    Case("x of int", lambda u: mk.linear(u.integers, u.w), TypeError,
         f"linear: x, w {ALIKE} x int64, w float32; {CURE}"),
    Case("x of bool", lambda u: mk.linear(u.bools, u.w), TypeError,
         f"linear: x, w {ALIKE} x bool, w float32; {CURE}"),
    Case("x of float16", lambda u: mk.linear(u.half, u.w), TypeError,
         f"linear: x, w {ALIKE} x float16, w float32; {CURE}"),
    Case("x of longdouble", lambda u: mk.linear(u.longs, u.w), TypeError,
         f"linear: x, w {ALIKE} x *, w float32; {CURE}"),
    Case("x of complex", lambda u: mk.linear(u.complexes, u.w), TypeError,
         f"linear: x, w {ALIKE} x complex64, w float32; {CURE}"),
    Case("x of objects", lambda u: mk.linear(u.objects, u.w), TypeError,
         f"linear: x, w {ALIKE} x object, w float32; {CURE}"),
    Case("mixed", lambda u: mk.linear(u.x, u.w64), TypeError,
         f"linear: x, w {ALIKE} x float32, w float64; {CURE}"),
    Case("mixed b", lambda u: mk.linear(u.x64, u.w64, u.b), TypeError,
         f"linear: x, w, b {ALIKE} x float64, w float64, b float32; {CURE}"),
    Case("x a number", lambda u: mk.linear(np.float32(1), u.w), ValueError,
         "linear: x must be (..., D) or (D,); got x ()"),
    Case("columns", lambda u: mk.linear(u.x[:, :2], u.w), ValueError,
         "linear: w must be (D, L) with D = x.shape[-1]; got x (5, 2), w (3, 2)"),
    Case("w one-dimensional", lambda u: mk.linear(u.x, u.b), ValueError,
         "linear: w must be (D, L) with D = x.shape[-1]; got x (5, 3), w (2,)"),
    Case("w three-dimensional", lambda u: mk.linear(u.x, u.w[None]), ValueError,
         "linear: w must be (D, L) with D = x.shape[-1]; got x (5, 3), w (1, 3, 2)"),
    Case("w is None", lambda u: mk.linear(u.x, None), TypeError,
         "linear: w must be an array; got None"),
    Case("b too long", lambda u: mk.linear(u.x, u.w, u.x[0]), ValueError,
         "linear: b must be (L,) with L = w.shape[1]; got w (3, 2), b (3,)"),
    Case("b two-dimensional", lambda u: mk.linear(u.x, u.w, u.b[None]), ValueError,
         "linear: b must be (L,) with L = w.shape[1]; got w (3, 2), b (1, 2)"),
    Case("out of another dtype", lambda u: mk.linear(u.x, u.w, out=u.out64), TypeError,
         "linear: out must have dtype float32; got float64"),
    Case("out of another shape", lambda u: mk.linear(u.x, u.w, out=u.out[:4]), ValueError,
         "linear: out must have shape (5, 2); got (4, 2)"),
    Case("out is a list", lambda u: mk.linear(u.x, u.w, out=[1.0]), TypeError,
         "linear: out must be an array; got list"),
    Case("out strided", lambda u: mk.linear(u.x, u.w, out=u.strided), ValueError,
         "linear: out must be C-contiguous and aligned; got strides (16, 4)"),
    Case("out unaligned", lambda u: mk.linear(u.x, u.w, out=u.unaligned), ValueError,
         "linear: out must be C-contiguous and aligned; got strides (8, 4), not aligned"),
    Case("out read-only", lambda u: mk.linear(u.x, u.w, out=u.read_only), ValueError,
         "linear: out must be writeable; got a read-only array"),
    Case("out overlaps x",
         lambda u: mk.linear(u.shared[:15].reshape(5, 3), u.w,
             out=u.shared[10:20].reshape(5, 2)), ValueError,
         "linear: out must not overlap x; they share memory"),
    Case("out overlaps b",
         lambda u: mk.linear(u.x, u.w, u.shared[8:10], out=u.shared[:10].reshape(5, 2)), ValueError,
         "linear: out must not overlap b; they share memory"),
    Case("out is x", lambda u: mk.linear(u.x, np.eye(3, dtype=np.float32), out=u.x), ValueError,
         "linear: out must not overlap x; they share memory"),
    Case("ds of another shape", lambda u: mk.linear_backward(u.x, u.x, u.w), ValueError,
         "linear_backward: ds must be (5, 2), x's shape with L = w.shape[1] last; got (5, 3)"),
    Case("ds of another dtype", lambda u: mk.linear_backward(u.y64, u.x, u.w), TypeError,
         f"linear_backward: ds, x, w {ALIKE} ds float64, x float32, w float32; {CURE}"),
    Case("ds is None", lambda u: mk.linear_backward(None, u.x, u.w), TypeError,
         "linear_backward: ds must be an array; got None"),
    Case("outs are no tuple",
         lambda u: mk.linear_backward(u.ds, u.x, u.w, out=[u.dx, u.dw, u.db]), TypeError,
         "linear_backward: out must be a tuple (dx, dw, db); got list"),
    Case("outs are two", lambda u: mk.linear_backward(u.ds, u.x, u.w, out=(u.dx, u.dw)), TypeError,
         "linear_backward: out must be a tuple (dx, dw, db); got *2*"),
    Case("dw of another shape",
         lambda u: mk.linear_backward(u.ds, u.x, u.w, out=(u.dx, u.dw.T, u.db)), ValueError,
         "linear_backward: out[1] must have shape (3, 2); got (2, 3)"),
    Case("db overlaps dw",
         lambda u: mk.linear_backward(u.ds, u.x, u.w,
             out=(u.dx, u.shared[:6].reshape(3, 2), u.shared[5:7])), ValueError,
         "linear_backward: out[2] must not overlap out[1]; they share memory"),
    Case("dw overlaps w",
         lambda u: mk.linear_backward(u.ds, u.x, u.w, out=(None, u.w, None)), ValueError,
         "linear_backward: out[1] must not overlap w; they share memory"),
    Case("dx overlaps x",
         lambda u: mk.linear_backward(u.ds, u.x, u.w, out=(u.x, None, None)), ValueError,
         "linear_backward: out[0] must not overlap x; they share memory"),
    Case("accumulate into nothing",
         lambda u: mk.linear_backward(u.ds, u.x, u.w, accumulate=True), ValueError,
         "linear_backward: accumulate=True must be given out=(dx, dw, db) to add to; got None"),
    Case("accumulate without db",
         lambda u: mk.linear_backward(u.ds, u.x, u.w,
             out=(u.dx, u.dw, None), accumulate=True), ValueError,
         "linear_backward: accumulate=True must be given out=(dx, dw, db) to add to; got None"),
    Case("beta negative", lambda u: mk.logsumexp(u.x, beta=-1.0), ValueError,
         "logsumexp: beta must be finite and greater than 0; got -1.0"),
    Case("beta zero", lambda u: mk.logsumexp(u.x, beta=0.0), ValueError,
         "logsumexp: beta must be finite and greater than 0; got 0.0"),
    Case("beta nan", lambda u: mk.logsumexp(u.x, beta=float("nan")), ValueError,
         "logsumexp: beta must be finite and greater than 0; got nan"),
    Case("beta infinite", lambda u: mk.logsumexp(u.x, beta=float("inf")), ValueError,
         "logsumexp: beta must be finite and greater than 0; got inf"),
    Case("beta is text", lambda u: mk.logsumexp(u.x, beta="hot"), TypeError,
         "logsumexp: beta must be a number; got str"),
    Case("soft maximum of a number", lambda u: mk.logsumexp(np.float32(1)), ValueError,
         "logsumexp: e must be (..., K); got ()"),
    Case("soft maximum of no columns", lambda u: mk.logsumexp(u.x[:, :0]), ValueError,
         "logsumexp: e must have at least one column; got (5, 0)"),
    Case("soft maximum of int", lambda u: mk.logsumexp(u.integers), TypeError,
         f"logsumexp: e must be float32 or float64; got e int64; {CURE}"),
]

ACTIVATIONS = [
    Case("s is None", lambda u: u.t(None), TypeError,
         "Tanh: s must be an array; got None"),
    Case("s of int", lambda u: u.t(u.integers), TypeError,
         f"Tanh: s must be float32 or float64; got s int64; {CURE}"),
    Case("s of float16", lambda u: u.t(u.half), TypeError,
         f"Tanh: s must be float32 or float64; got s float16; {CURE}"),
    Case("s of complex", lambda u: u.t.derivative(u.complexes), TypeError,
         f"Tanh: s must be float32 or float64; got s complex64; {CURE}"),
    Case("out of another dtype", lambda u: u.t(u.y, out=u.out64), TypeError,
         "Tanh: out must have dtype float32; got float64"),
    Case("out of another shape", lambda u: u.t(u.y, out=u.dx), ValueError,
         "Tanh: out must have shape (5, 2); got (5, 3)"),
    Case("out read-only", lambda u: u.t(u.y, out=u.read_only), ValueError,
         "Tanh: out must be writeable; got a read-only array"),
    Case("out strided", lambda u: u.t.second_derivative(u.y, out=u.strided), ValueError,
         "Tanh: out must be C-contiguous and aligned; got strides (16, 4)"),
    Case("out overlaps", lambda u: u.t(u.shared[:9], out=u.shared[1:10]), ValueError,
         "Tanh: out must not overlap s, unless it is s itself; they share memory"),
    Case("v of another shape", lambda u: u.t.jvp(u.x, u.y), ValueError,
         "Tanh: v must have the shape of s; got s (5, 3), v (5, 2)"),
    Case("v of another dtype", lambda u: u.t.jvp(u.x, u.x64), TypeError,
         f"Tanh: s, v {ALIKE} s float32, v float64; {CURE}"),
    Case("g of another shape", lambda u: u.t.vjp(u.x, u.x[0]), ValueError,
         "Tanh: g must have the shape of s; got s (5, 3), g (3,)"),
    Case("g is None", lambda u: u.t.vjp(u.x, None), TypeError,
         "Tanh: g must be an array; got None"),
    Case("row of a number", lambda u: u.rows(np.float32(1)), ValueError,
         "Softargmax: s must be (..., K); got ()"),
    Case("derivative by rows", lambda u: u.rows.derivative(u.x), TypeError,
         "Softargmax: derivative needs an elementwise activation; this one works row by "
         "row: use jacobian, jvp or vjp"),
    Case("second derivative by rows", lambda u: u.rows.second_derivative(u.x), TypeError,
         "Softargmax: second_derivative needs an elementwise activation; this one works "
         "row by row: use jacobian, jvp or vjp"),
    Case("Jacobian of a number", lambda u: u.t.jacobian(np.float32(1)), ValueError,
         "Tanh: s must be (..., L); got ()"),
    Case("Jacobian of None", lambda u: u.t.jacobian(None), TypeError,
         "Tanh: s must be an array; got None"),
    Case("Jacobian of int", lambda u: u.t.jacobian(u.integers), TypeError,
         f"Tanh: s must be float32 or float64; got s int64; {CURE}"),
    Case("backward of an activation", lambda u: (u.t(u.x), u.t.backward(u.x)), TypeError,
         "Tanh: *vjp*"),
    Case("unknown name", lambda u: mk.activation("rellu"), ValueError,
         "activation: name must be one of celu, elu, *, tanhshrink; got 'rellu'"),
    Case("name is a number", lambda u: mk.activation(3), TypeError,
         "activation: name must be a string; got int"),
    Case("unknown parameter", lambda u: mk.activation("relu", slope=2.0), TypeError,
         "ReLU: takes (scale=1.0); got an unexpected keyword argument 'slope'"),
    Case("too many parameters", lambda u: mk.ReLU(1.0, 2.0), TypeError,
         "ReLU: takes (scale=1.0); too many positional arguments"),
    Case("parameters of Tanh", lambda u: mk.Tanh(1.0), TypeError,
         "Tanh: takes (); too many positional arguments"),
    Case("scale nan", lambda u: mk.ReLU(float("nan")), ValueError,
         "ReLU: scale must be finite; got nan"),
    Case("slope infinite", lambda u: mk.LeakyReLU(float("inf")), ValueError,
         "LeakyReLU: negative_slope must be finite; got inf"),
    Case("alpha is bool", lambda u: mk.ELU(True), TypeError,
         "ELU: alpha must be a number; got bool"),
    Case("alpha is text", lambda u: mk.ELU("1"), TypeError,
         "ELU: alpha must be a number; got str"),
    Case("alpha of CELU", lambda u: mk.CELU(0.0), ValueError,
         "CELU: alpha must be finite and greater than 0; got 0.0"),
    Case("beta of Softplus", lambda u: mk.Softplus(-1.0), ValueError,
         "Softplus: beta must be finite and greater than 0; got -1.0"),
    Case("b of Squareplus", lambda u: mk.Squareplus(0), ValueError,
         "Squareplus: b must be finite and greater than 0; got 0.0"),
    Case("lambd of Softshrink", lambda u: mk.Softshrink(-0.5), ValueError,
         "Softshrink: lambd must be finite and at least 0; got -0.5"),
    Case("lambd of Hardshrink", lambda u: mk.Hardshrink(float("nan")), ValueError,
         "Hardshrink: lambd must be finite and at least 0; got nan"),
    Case("beta of Softargmax", lambda u: mk.Softargmax(0.0), ValueError,
         "Softargmax: beta must be finite and greater than 0; got 0.0"),
    Case("beta is None", lambda u: mk.Softargmax(None), TypeError,
         "Softargmax: beta must be a number; got NoneType"),
    Case("beta is an array", lambda u: mk.Softplus(np.ones(2)), TypeError,
         "Softplus: beta must be a number; got ndarray"),
    Case("Hardtanh turned round", lambda u: mk.Hardtanh(1.0, -1.0), ValueError,
         "Hardtanh: min_val must not exceed max_val; got 1.0, -1.0"),
    Case("omega infinite", lambda u: mk.Sine(float("-inf")), ValueError,
         "Sine: omega must be finite; got -inf"),
    Case("approximate", lambda u: mk.GELU("erf"), ValueError,
         "GELU: approximate must be 'none' or 'tanh'; got 'erf'"),
]

LOSSES = [
    Case("reduction taken for a flag", lambda u: mk.CrossEntropy("sum"), TypeError,
         "CrossEntropy: from_logits must be True or False; got *"),
    Case("flag is text", lambda u: mk.BinaryCrossEntropy("mean"), TypeError,
         "BinaryCrossEntropy: from_logits must be True or False; got *"),
    Case("labels beyond int64", lambda u: u.ce(u.y, np.full(5, 2**64 - 1, np.uint64)), ValueError,
         "CrossEntropy: labels must be from 0 to K - 1 = 1; got 18446744073709551615 in row 0"),
    Case("y_pred is None", lambda u: u.mse(None, u.y), TypeError,
         "SquaredError: y_pred must be an array; got None"),
    Case("y is None", lambda u: u.mse(u.y, None), TypeError,
         "SquaredError: y must be an array; got None"),
    Case("y_pred of int", lambda u: u.mse(u.integers, u.x), TypeError,
         f"SquaredError: y_pred must be float32 or float64; got y_pred int64; {CURE}"),
    Case("y of another dtype", lambda u: u.mse(u.y, u.y64), TypeError,
         f"SquaredError: y_pred, y {ALIKE} y_pred float32, y float64; {CURE}"),
    Case("y of int", lambda u: u.mse(u.x, u.integers), TypeError,
         f"SquaredError: y_pred, y {ALIKE} y_pred float32, y int64; {CURE}"),
    Case("y of another shape", lambda u: u.mse(u.y, u.x), ValueError,
         "SquaredError: y must have the shape of y_pred; got y_pred (5, 2), y (5, 3)"),
    Case("y of one column", lambda u: u.mse(u.y, u.y[:, 0]), ValueError,
         "SquaredError: y must have the shape of y_pred; got y_pred (5, 2), y (5,)"),
    Case("y_pred a number", lambda u: u.mse(np.float32(1), np.float32(1)), ValueError,
         "SquaredError: y_pred must be (n, K) with K at least 1; got ()"),
    Case("no outputs", lambda u: u.mse(u.y[:, :0], u.y[:, :0]), ValueError,
         "SquaredError: y_pred must be (n, K) with K at least 1; got (5, 0)"),
    Case("labels too large", lambda u: u.ce(u.y, u.labels + 1), ValueError,
         "CrossEntropy: labels must be from 0 to K - 1 = 1; got 2 in row 1"),
    Case("labels negative", lambda u: u.ce.gradient(u.y, u.labels - 1), ValueError,
         "CrossEntropy: labels must be from 0 to K - 1 = 1; got -1 in row 0"),
    Case("labels of float", lambda u: u.ce(u.y, u.weight), TypeError,
         "CrossEntropy: labels must be integers; got float32; convert with .astype(int)"),
    Case("labels of bool", lambda u: u.ce(u.y, u.labels == 1), TypeError,
         f"CrossEntropy: y_pred, y {ALIKE} y_pred float32, y bool; {CURE}"),
    Case("too few labels", lambda u: u.ce(u.y, u.labels[:4]), ValueError,
         "CrossEntropy: integer labels must be (5,), one a sample; got (4,)"),
    Case("labels in a column", lambda u: u.ce(u.y, u.labels[:, None]), ValueError,
         "CrossEntropy: integer labels must be (5,), one a sample; got (5, 1)"),
    Case("labels for another loss", lambda u: u.bce(u.y, u.labels), TypeError,
         f"BinaryCrossEntropy: y_pred, y {ALIKE} y_pred float32, y int64; {CURE}"),
    Case("labels per sample", lambda u: u.ce.per_sample(u.y, u.labels + 7), ValueError,
         "CrossEntropy: labels must be from 0 to K - 1 = 1; got 7 in row 0"),
    Case("empty mean", lambda u: u.mse(u.y[:0], u.y[:0]), ValueError,
         "SquaredError: the mean over an empty batch does not exist; got 0 samples "
         "(reduction='sum' gives 0)"),
    Case("gradient of empty mean", lambda u: u.mse.gradient(u.y[:0], u.y[:0]), ValueError,
         "SquaredError: the mean over an empty batch does not exist; got 0 samples "
         "(reduction='sum' gives 0)"),
    Case("weights negative", lambda u: u.mse(u.y, u.y, -u.weight), ValueError,
         "SquaredError: sample_weight must be finite and at least 0; got -1.0 in row 0"),
    Case("weights nan", lambda u: u.mse.gradient(u.y, u.y, u.weight * np.nan), ValueError,
         "SquaredError: sample_weight must be finite and at least 0; got nan in row 0"),
    Case("weights infinite", lambda u: u.mse(u.y, u.y, u.weight * np.inf), ValueError,
         "SquaredError: sample_weight must be finite and at least 0; got inf in row 0"),
    Case("weights all zero", lambda u: u.mse(u.y, u.y, u.weight * 0), ValueError,
         "SquaredError: the weighted mean needs a positive weight; got sample_weight all 0"),
    Case("weights of int", lambda u: u.mse(u.y, u.y, u.labels), TypeError,
         "SquaredError: sample_weight must be float32 or float64; got int64"),
    Case("weights of float16", lambda u: u.mse(u.y, u.y, u.half[:, 0]), TypeError,
         "SquaredError: sample_weight must be float32 or float64; got float16"),
    Case("weights in a column", lambda u: u.mse(u.y, u.y, u.weight[:, None]), ValueError,
         "SquaredError: sample_weight must be (5,), a number a sample; got (5, 1)"),
    Case("too few weights", lambda u: u.mse(u.y, u.y, u.weight[:4]), ValueError,
         "SquaredError: sample_weight must be (5,), a number a sample; got (4,)"),
    Case("unknown reduction", lambda u: mk.SquaredError(reduction="average"), ValueError,
         "SquaredError: reduction must be 'mean' or 'sum'; got 'average'"),
    Case("reduction is None", lambda u: mk.Huber(reduction=None), TypeError,
         "Huber: reduction must be a string; got NoneType"),
    Case("q one", lambda u: mk.Quantile(1.0), ValueError,
         "Quantile: q must be between 0 and 1; got 1.0"),
    Case("q nan", lambda u: mk.Quantile(float("nan")), ValueError,
         "Quantile: q must be finite; got nan"),
    Case("q is text", lambda u: mk.Quantile("1"), TypeError,
         "Quantile: q must be a number; got str"),
    Case("delta zero", lambda u: mk.Huber(0.0), ValueError,
         "Huber: delta must be finite and greater than 0; got 0.0"),
    Case("delta nan", lambda u: mk.Huber(float("nan")), ValueError,
         "Huber: delta must be finite and greater than 0; got nan"),
    Case("delta is bool", lambda u: mk.Huber(True), TypeError,
         "Huber: delta must be a number; got bool"),
    Case("delta is text", lambda u: mk.Huber("1"), TypeError,
         "Huber: delta must be a number; got str"),
    Case("label_smoothing large", lambda u: mk.CrossEntropy(label_smoothing=1.5), ValueError,
         "CrossEntropy: label_smoothing must be from 0 to 1; got 1.5"),
    Case("label_smoothing nan", lambda u: mk.CrossEntropy(label_smoothing=np.nan), ValueError,
         "CrossEntropy: label_smoothing must be finite; got nan"),
    Case("label_smoothing text", lambda u: mk.CrossEntropy(label_smoothing="no"), TypeError,
         "CrossEntropy: label_smoothing must be a number; got str"),
]

MODELS = [
    Case("bias is text", lambda u: mk.Linear(3, 2, "relu"), TypeError,
         "Linear: bias must be True or False; got *"),
    Case("D negative", lambda u: mk.Linear(-1, 2), ValueError,
         "Linear: D must be at least 0; got -1"),
    Case("D of float", lambda u: mk.Linear(3.0, 2), TypeError,
         "Linear: D must be an integer; got float"),
    Case("L is bool", lambda u: mk.Linear(3, True), TypeError,
         "Linear: L must be an integer; got bool"),
    Case("L is None", lambda u: mk.Linear(3, None), TypeError,
         "Linear: L must be an integer; got NoneType"),
    Case("dtype of int", lambda u: mk.Linear(3, 2, dtype=np.int32), TypeError,
         "Linear: dtype must be float32 or float64; got int32"),
    Case("dtype of float16", lambda u: mk.Linear(3, 2, dtype="float16"), TypeError,
         "Linear: dtype must be float32 or float64; got float16"),
    Case("dtype is None", lambda u: mk.Linear(3, 2, dtype=None), TypeError,
         "Linear: dtype must be float32 or float64; got None"),
    Case("dtype is nonsense", lambda u: mk.Linear(3, 2, dtype="fast"), TypeError,
         "Linear: dtype must be float32 or float64; got 'fast'"),
    Case("dtype of other bytes", lambda u: mk.Linear(3, 2, dtype=">f4"), TypeError,
         "Linear: dtype must be float32 or float64; got >f4"),
    Case("w of another shape", lambda u: setattr(u.net[0], "w", u.w), ValueError,
         "Linear: w must be (3, 4); got (3, 2)"),
    Case("b is None", lambda u: setattr(u.net[0], "b", None), TypeError,
         "Linear: b must be an array; got None"),
    Case("no b", lambda u: setattr(mk.Linear(2, 2, bias=False), "b", u.b), ValueError,
         "Linear: b does not exist: the map was made with bias=False"),
    Case("chain of nothing", lambda u: mk.Chain(), ValueError,
         "Chain: must be made of at least one map; got none"),
    Case("sum of nothing", lambda u: mk.Sum(), ValueError,
         "Sum: must be made of at least one map; got none"),
    Case("chain of names", lambda u: mk.Chain(mk.Linear(3, 2), "tanh"), TypeError,
         "Chain: must be made of maps (Linear, activations, Chain, Sum); got str as number 2"),
    Case("chain of classes", lambda u: mk.Chain(mk.Linear(3, 2), mk.Tanh), TypeError,
         "Chain: must be made of maps (Linear, activations, Chain, Sum); got type as number 2"),
    Case("chain of a list", lambda u: mk.Chain([mk.Linear(3, 2)]), TypeError,
         "Chain: must be made of maps (Linear, activations, Chain, Sum); got list as number 1"),
    Case("chain that breaks", lambda u: mk.Chain(mk.Linear(3, 2), mk.Linear(3, 2)), ValueError,
         "Chain: Linear(3, 2) must be given 3 columns; got 2"),
    Case("sum of inputs", lambda u: mk.Sum(mk.Linear(3, 2), mk.Linear(4, 2)), ValueError,
         "Sum: Linear(4, 2) must be given 4 columns; got 3"),
    Case("sum of outputs", lambda u: mk.Sum(mk.Linear(3, 2), mk.Linear(3, 1)), ValueError,
         "Sum: branches must have equally many outputs; got Linear(3, 2) 2, Linear(3, 1) 1"),
    Case("sum with identity", lambda u: mk.Sum(mk.Linear(3, 2), mk.Identity()), ValueError,
         "Sum: branches must have equally many outputs; got Linear(3, 2) 2, Identity() 3"),
    Case("maps of two dtypes",
         lambda u: mk.Chain(mk.Linear(3, 2), mk.Linear(2, 2, dtype=np.float64)), TypeError,
         f"Chain: maps {ALIKE} Linear(3, 2) float32, Linear(2, 2) float64"),
    Case("sizes is a number", lambda u: mk.MLP(3), TypeError,
         "MLP: sizes must be a list of integers; got int"),
    Case("sizes is text", lambda u: mk.MLP("3, 2"), TypeError,
         "MLP: sizes must be a list of integers; got str"),
    Case("one size", lambda u: mk.MLP([3]), ValueError,
         "MLP: sizes must be [D, …, K], two or more; got [3]"),
    Case("sizes of float", lambda u: mk.MLP([3, 2.5, 1]), TypeError,
         "MLP: sizes[1] must be an integer; got float"),
    Case("hidden too many", lambda u: mk.MLP([3, 2, 1], hidden=["relu", "tanh"]), ValueError,
         "MLP: hidden must name 1 activations, one a hidden layer; got 2"),
    Case("hidden unknown", lambda u: mk.MLP([3, 2, 1], hidden="soft"), ValueError,
         "activation: name must be one of celu, elu, *, tanhshrink; got 'soft'"),
    Case("hidden is a number", lambda u: mk.MLP([3, 2, 1], hidden=[3]), TypeError,
         "MLP: an activation must be a name or an Activation; got 3"),
    Case("hidden is None", lambda u: mk.MLP([3, 2, 1], hidden=None), TypeError,
         "MLP: hidden must *; got NoneType"),
    Case("output is a class", lambda u: mk.MLP([3, 2, 1], output=mk.Tanh), TypeError,
         "MLP: an activation must be a name or an Activation; got <class "
         "'mlpkern.activations.Tanh'>"),
    Case("dropout above 1", lambda u: mk.MLP([3, 2, 1], dropout=1.5), ValueError,
         "MLP: dropout must be from 0 to 1; got 1.5"),
    Case("dropout below 0", lambda u: mk.MLP([3, 2, 1], dropout=-0.5), ValueError,
         "MLP: dropout must be finite and at least 0; got -0.5"),
    Case("dropout is a flag", lambda u: mk.MLP([3, 2, 1], dropout=True), TypeError,
         "MLP: dropout must be a number; got bool"),
    Case("predict None", lambda u: u.net.predict(None), TypeError,
         "predict: x must be an array; got None"),
    Case("predict float64", lambda u: u.net.predict(u.x64), TypeError,
         f"predict: x must be float32, as the network is; got float64; {CURE}"),
    Case("predict float32 by float64", lambda u: u.net64.predict(u.x), TypeError,
         "predict: x must be float64, as the network is; got float32; convert with "
         ".astype(np.float64)"),
    Case("predict int", lambda u: u.net.predict(u.integers), TypeError,
         f"predict: x must be float32 or float64; got x int64; {CURE}"),
    Case("predict columns", lambda u: u.net.predict(u.y), ValueError,
         f"predict: x {COLUMNS} (5, 2)"),
    Case("predict a number", lambda u: u.net.predict(np.float32(1)), ValueError,
         f"predict: x {COLUMNS} ()"),
    Case("predict out shape", lambda u: u.net.predict(u.x, out=u.dx), ValueError,
         "predict: out must have shape (5, 2); got (5, 3)"),
    Case("predict out dtype", lambda u: u.net.predict(u.x, out=u.out64), TypeError,
         "predict: out must have dtype float32; got float64"),
    Case("predict out read-only", lambda u: u.net.predict(u.x, out=u.read_only), ValueError,
         "predict: out must be writeable; got a read-only array"),
    Case("predict out overlaps x",
         lambda u: u.net.predict(u.shared[:15].reshape(5, 3),
             out=u.shared[5:15].reshape(5, 2)), ValueError,
         "predict: out must not overlap x; they share memory"),
    Case("predict out overlaps the parameters",
         lambda u: u.net.predict(u.x[:4], out=u.net.parameters[:8].reshape(4, 2)), ValueError,
         "predict: out must not overlap *; they share memory"),
    Case("forward columns", lambda u: u.net(u.y), ValueError,
         f"forward: x {COLUMNS} (5, 2)"),
    Case("forward float64", lambda u: u.net(u.x64), TypeError,
         f"forward: x must be float32, as the network is; got float64; {CURE}"),
    Case("frozen columns", lambda u: u.net.freeze()(u.y), ValueError,
         f"predict: x {COLUMNS} (5, 2)"),
    Case("frozen of nothing", lambda u: mk.Frozen(3), TypeError,
         "Frozen: net must be a network; got int"),
    Case("backward first", lambda u: u.net.backward(u.ds), RuntimeError,
         "backward: the network must have been called first*: net(x) keeps what backward needs"),
    Case("backward shape", lambda u: (u.net(u.x), u.net.backward(u.x)), ValueError,
         "backward: dy must have the shape of the network's last output; got (5, 3), not (5, 2)"),
    Case("backward rows", lambda u: (u.net(u.x), u.net.backward(u.ds[:4])), ValueError,
         "backward: dy must have the shape of the network's last output; got (4, 2), not (5, 2)"),
    Case("backward float64", lambda u: (u.net(u.x), u.net.backward(u.y64)), TypeError,
         f"backward: dy must be float32, as the network is; got float64; {CURE}"),
    Case("backward None", lambda u: (u.net(u.x), u.net.backward(None)), TypeError,
         "backward: dy must be an array; got None"),
    Case("config of nothing", lambda u: mk.from_config(None), ValueError,
         "from_config: config must be a dict with a type; got None"),
    Case("config of unknown", lambda u: mk.from_config({"type": "Conv"}), ValueError,
         "from_config: Conv does not describe a map: activation: name must be one of *; "
         "got 'Conv'"),
    Case("config without bias",
         lambda u: mk.from_config({"type": "Linear", "inputs": 2, "outputs": 2}), ValueError,
         "from_config: Linear does not describe a map: 'bias'"),
    Case("trace loss", lambda u: u.net.trace(u.x, u.y, "mse"), TypeError,
         "trace: loss must be a Loss; got str"),
    Case("trace one sample", lambda u: u.net.trace(u.x[0], u.y[0], u.mse), ValueError,
         "trace: x must be (n, D) with D = 3; got (3,)"),
    Case("trace columns", lambda u: u.net.trace(u.y, u.y, u.mse), ValueError,
         "trace: x must be *; got *(5, 2)*"),
    Case("trace y", lambda u: u.net.trace(u.x, u.x, u.mse), ValueError,
         "SquaredError: y must have the shape of y_pred; got y_pred (5, 2), y (5, 3)"),
    Case("trace sum", lambda u: mk.Sum(mk.Linear(3, 2)).trace(u.x, u.y, u.mse), ValueError,
         "trace: net must be a chain of linear maps, each with at most one activation "
         "behind it, and of Standardize; got Sum(Linear(3, 2))"),
    Case("mean is text", lambda u: mk.Standardize("a", [1]), TypeError,
         "Standardize: mean must be an array of real numbers; got <U1"),
    Case("mean is None", lambda u: mk.Standardize(None, [1]), TypeError,
         "Standardize: mean must be an array; got None"),
    Case("mean is ragged", lambda u: mk.Standardize([[1], [1, 2]], [1]), TypeError,
         "Standardize: mean must be an array; got list"),
    Case("scale of bool", lambda u: mk.Standardize([1], [True]), TypeError,
         "Standardize: scale must be an array of real numbers; got bool"),
    Case("scale of complex", lambda u: mk.Standardize([1], [1j]), TypeError,
         "Standardize: scale must be an array of real numbers; got complex128"),
    Case("mean a number", lambda u: mk.Standardize(1.0, [1]), ValueError,
         "Standardize: mean must be (D,); got ()"),
    Case("scale two-dimensional", lambda u: mk.Standardize([1], [[1]]), ValueError,
         "Standardize: scale must be (D,); got (1, 1)"),
    Case("mean and scale differ", lambda u: mk.Standardize([1, 2], [1]), ValueError,
         "Standardize: mean and scale must have one shape; got (2,), (1,)"),
    Case("mean nan", lambda u: mk.Standardize([1, np.nan], [1, 1]), ValueError,
         "Standardize: mean must be finite; got nan in column 1"),
    Case("mean infinite", lambda u: mk.Standardize([-np.inf, 1], [1, 1]), ValueError,
         "Standardize: mean must be finite; got -inf in column 0"),
    Case("scale of 0", lambda u: mk.Standardize([1, 1], [1, 0]), ValueError,
         "Standardize: scale must lie between 2**-1022 and 2**1022 in size; got 0.0 in column 1"),
    Case("scale nan", lambda u: mk.Standardize([1], [np.nan]), ValueError,
         "Standardize: scale must lie between 2**-1022 and 2**1022 in size; got nan in column 0"),
    Case("scale infinite", lambda u: mk.Standardize([1], [-np.inf]), ValueError,
         "Standardize: scale must lie between 2**-1022 and 2**1022 in size; got -inf in column 0"),
    Case("scale subnormal", lambda u: mk.Standardize([1], [5e-324]), ValueError,
         "Standardize: scale must lie between 2**-1022 and 2**1022 in size; got 5e-324 in *"),
    Case("of one sample", lambda u: mk.Standardize.of(u.x[0]), ValueError,
         "Standardize.of: x must be (n, D) with a row or more; got (3,)"),
    Case("of no rows", lambda u: mk.Standardize.of(u.x[:0]), ValueError,
         "Standardize.of: x must be (n, D) with a row or more; got (0, 3)"),
    Case("of text", lambda u: mk.Standardize.of([["a"]]), TypeError,
         "Standardize.of: x must be an array of real numbers; got <U1"),
    Case("of nan", lambda u: mk.Standardize.of([[1, 2], [1, np.nan]]), ValueError,
         "Standardize.of: x must be finite; got nan in column 1"),
    Case("of infinity", lambda u: mk.Standardize.of([[1, np.inf], [1, 2]]), ValueError,
         "Standardize.of: x must be finite; got inf in column 1"),
]

TRAINING = [
    Case("lr negative", lambda u: mk.SGD(u.net, lr=-0.1), ValueError,
         "SGD: lr must be finite and at least 0; got -0.1"),
    Case("lr nan", lambda u: mk.Adam(u.net, lr=float("nan")), ValueError,
         "Adam: lr must be finite and at least 0; got nan"),
    Case("lr infinite", lambda u: mk.RMSprop(u.net, lr=float("inf")), ValueError,
         "RMSprop: lr must be finite and at least 0; got inf"),
    Case("lr is text", lambda u: mk.SGD(u.net, lr="0.1"), TypeError,
         "SGD: lr must be a number; got str"),
    Case("lr is bool", lambda u: mk.SGD(u.net, lr=True), TypeError,
         "SGD: lr must be a number; got bool"),
    Case("lr is None", lambda u: mk.AdamW(u.net, None), TypeError,
         "AdamW: lr must be a number; got NoneType"),
    Case("lr set negative", lambda u: setattr(u.opt, "lr", -1), ValueError,
         "Adam: lr must be finite and at least 0; got -1.0"),
    Case("lr set to text", lambda u: setattr(u.opt, "lr", "1"), TypeError,
         "Adam: lr must be a number; got str"),
    Case("momentum nan", lambda u: mk.SGD(u.net, momentum=float("nan")), ValueError,
         "SGD: momentum must be finite and at least 0; got nan"),
    Case("momentum set", lambda u: setattr(u.other_opt, "momentum", 0.9), AttributeError,
         "SGD: momentum is fixed when the optimizer is made"),
    Case("nesterov alone", lambda u: mk.SGD(u.net, nesterov=True), ValueError,
         "SGD: nesterov needs a momentum and no dampening; got momentum=0.0, dampening=0.0"),
    Case("dampening large", lambda u: mk.SGD(u.net, momentum=0.5, dampening=2), ValueError,
         "SGD: dampening must be from 0 to 1; got 2.0"),
    Case("nesterov dampened",
         lambda u: mk.SGD(u.net, momentum=0.5, dampening=0.5, nesterov=True), ValueError,
         "SGD: nesterov needs a momentum and no dampening; got momentum=0.5, dampening=0.5"),
    Case("nesterov with momentum as text",
         lambda u: mk.SGD(u.net, momentum="0.9", nesterov=True), TypeError,
         "SGD: momentum must be a number; got str"),
    Case("betas of one", lambda u: mk.Adam(u.net, betas=(0.9,)), TypeError,
         "Adam: betas must be a pair of numbers; got (0.9,)"),
    Case("betas a number", lambda u: mk.Adam(u.net, betas=0.9), TypeError,
         "Adam: betas must be a pair of numbers; got 0.9"),
    Case("beta of 1", lambda u: mk.Adam(u.net, betas=(0.9, 1.0)), ValueError,
         "Adam: betas[1] must be less than 1; got 1.0"),
    Case("beta negative", lambda u: mk.AdamW(u.net, betas=(-0.1, 0.9)), ValueError,
         "AdamW: betas[0] must be from 0 to 1; got -0.1"),
    Case("eps negative", lambda u: mk.Adam(u.net, eps=-1e-8), ValueError,
         "Adam: eps must be finite and at least 0; got -1e-08"),
    Case("weight_decay nan", lambda u: mk.AdamW(u.net, weight_decay=np.nan), ValueError,
         "AdamW: weight_decay must be finite and at least 0; got nan"),
    Case("alpha above 1", lambda u: mk.RMSprop(u.net, alpha=1.5), ValueError,
         "RMSprop: alpha must be from 0 to 1; got 1.5"),
    Case("lr_decay negative", lambda u: mk.Adagrad(u.net, lr_decay=-1), ValueError,
         "Adagrad: lr_decay must be finite and at least 0; got -1.0"),
    Case("optimizer of nothing", lambda u: mk.SGD(None), TypeError,
         "SGD: net must be a network; got NoneType"),
    Case("parameters of another size", lambda u: setattr(u.net, "parameters", u.x), ValueError,
         "MLP: parameters must be (26,); got (5, 3)"),
    Case("gradients of another size", lambda u: setattr(u.net, "gradients", u.b), ValueError,
         "MLP: gradients must be (26,); got (2,)"),
    Case("save as safetensors", lambda u: mk.save("no.safetensors", u.net), ValueError,
         "save: path must not end in .safetensors, which save_safetensors writes; got no.*"),
    Case("save as onnx", lambda u: mk.save("no.onnx", u.net), ValueError,
         "save: path must not end in .onnx, which to_onnx writes; got no.onnx"),
    Case("group of no such part",
         lambda u: mk.SGD(u.net, groups=[mk.ParameterGroup((0,), "zz", {})]), TypeError,
         "SGD: a ParameterGroup must have layers, a tuple of integers or None, and part "
         '"w", "b" or None; got ParameterGroup(*'),
    Case("group of flags", lambda u: mk.SGD(u.net, groups=[mk.ParameterGroup((True,))]), TypeError,
         "SGD: a ParameterGroup must have layers, a tuple of integers or None, and part *"),
    Case("dropout of too many passes", lambda u: setattr(mk.Dropout(), "passes", 2**62), ValueError,
         "Dropout: passes must be less than 2^62; got 4611686018427387904"),
    Case("dropout p", lambda u: mk.Dropout(1.5), ValueError,
         "Dropout: p must be from 0 to 1; got 1.5"),
    Case("dropout p text", lambda u: mk.Dropout("0.5"), TypeError,
         "Dropout: p must be a number; got str"),
    Case("dropout seed", lambda u: mk.Dropout(0.5, seed=2**64), ValueError,
         "Dropout: seed must be less than 2^64; got 18446744073709551616"),
    Case("dropout passes", lambda u: setattr(mk.Dropout(), "passes", -1), ValueError,
         "Dropout: passes must be at least 0; got -1"),
    Case("clip_norm zero", lambda u: mk.Adam(u.net, clip_norm=0.0), ValueError,
         "Adam: clip_norm must be finite and greater than 0; got 0.0"),
    Case("clip_value text", lambda u: mk.SGD(u.net, clip_value="1"), TypeError,
         "SGD: clip_value must be a number; got str"),
    Case("clip_norm set", lambda u: setattr(u.opt, "clip_norm", -1.0), ValueError,
         "Adam: clip_norm must be finite and greater than 0; got -1.0"),
    Case("groups a number", lambda u: mk.Adam(u.net, groups=3), TypeError,
         "Adam: groups must be a dict of hyperparameters by what they are for, or None; got int"),
    Case("group of no part", lambda u: mk.Adam(u.net, groups={"c": {}}), TypeError,
         'Adam: a group must be chosen by "w", "b", a map of the network, the number of a linear '
         """map, or one of the latter two with "w" or "b"; got 'c'"""),
    Case("group of a third layer", lambda u: mk.Adam(u.net, groups={2: {}}), ValueError,
         "Adam: a group must be of the network's 2 linear maps; got 2"),
    Case("group of a foreign map", lambda u: mk.Adam(u.net, groups={u.net64: {}}), ValueError,
         "Adam: a group's map must be part of the network; got Chain(*"),
    Case("group no pair", lambda u: mk.Adam(u.net, groups=["w"]), TypeError,
         "Adam: a group must be a pair of a choice and a dict; got 'w'"),
    Case("group no dict", lambda u: mk.Adam(u.net, groups={"w": 0.1}), TypeError,
         "Adam: a group's hyperparameters must be a dict; got float"),
    Case("group of no hyperparameter", lambda u: mk.Adam(u.net, groups={"w": {"rate": 1}}),
         ValueError,
         "Adam: a group's hyperparameters must be among lr, betas, eps, weight_decay; got 'rate'"),
    Case("group of a fixed one", lambda u: mk.SGD(u.net, groups={"w": {"momentum": 0.5}}),
         ValueError, "SGD: a group's hyperparameters must be among lr, dampening, nesterov, "
         "weight_decay; got 'momentum'"),
    Case("group out of range", lambda u: mk.Adam(u.net, groups={"w": {"lr": -1.0}}), ValueError,
         "Adam: lr must be finite and at least 0; got -1.0"),
    Case("group that does not fit", lambda u: mk.SGD(u.net, groups={"b": {"nesterov": True}}),
         ValueError, "SGD: nesterov needs a momentum and no dampening; *"),
    Case("optimizer of no config", lambda u: mk.optimizer_from_config(u.net, {"type": "Newton"}),
         ValueError, "optimizer_from_config: config must be a dict with an optimizer's type; *"),
    Case("optimizer of a bad config",
         lambda u: mk.optimizer_from_config(u.net, {"type": "Adam", "rate": 1}), ValueError,
         "optimizer_from_config: Adam does not describe an optimizer: *"),
    Case("optimizer of arrays", lambda u: mk.Adam([u.w]), TypeError,
         "Adam: net must be a network; got list"),
    Case("optimizer of others' maps", lambda u: mk.SGD(mk.Chain(u.net[0])), ValueError,
         "parameters: the maps of one flat array must belong to one network, in its order;"
         " here Linear(3, 4) belongs to Chain(Linear(3, 4), Tanh(), Linear(4, 2), "
         "Identity()); copy() makes a map of one's own"),
    Case("step net", lambda u: u.train_step(net=None), TypeError,
         "train_step: net must be a network; got NoneType"),
    Case("step loss", lambda u: u.train_step(loss="mse"), TypeError,
         "train_step: loss must be a Loss; got str"),
    Case("step loss class", lambda u: u.train_step(loss=mk.SquaredError), TypeError,
         "train_step: loss must be a Loss; got type"),
    Case("step optimizer", lambda u: u.train_step(optimizer="sgd"), TypeError,
         "train_step: optimizer must be an Optimizer; got str"),
    Case("step optimizer None", lambda u: u.train_step(optimizer=None), TypeError,
         "train_step: optimizer must be an Optimizer; got NoneType"),
    Case("step other optimizer", lambda u: u.train_step(optimizer=u.other_opt), ValueError,
         "train_step: the optimizer must be made for this network; it is for Chain(Linear(3,"
         " 4), Tanh(), Linear(4, 2), Softargmax(beta=1.0))"),
    Case("step x columns", lambda u: u.train_step(x=u.y), ValueError,
         f"train_step: x {COLUMNS} (5, 2)"),
    Case("step x float64", lambda u: u.train_step(x=u.x64), TypeError,
         f"train_step: x must be float32, as the network is; got float64; {CURE}"),
    Case("step y float64", lambda u: u.train_step(y=u.y64), TypeError,
         f"train_step: y_pred, y {ALIKE} y_pred float32, y float64; {CURE}"),
    Case("step y columns", lambda u: u.train_step(y=u.x), ValueError,
         "train_step: y must have the shape of y_pred; got y_pred (5, 2), y (5, 3)"),
    Case("step y rows", lambda u: u.train_step(y=u.y[:4]), ValueError,
         "train_step: y must have the shape of y_pred; got y_pred (5, 2), y (4, 2)"),
    Case("step labels", lambda u: u.train_step(y=u.labels), TypeError,
         f"train_step: y_pred, y {ALIKE} y_pred float32, y int64; {CURE}"),
    Case("step labels too large",
         lambda u: u.train_step(net=u.classifier, optimizer=u.other_opt, loss=u.ce,
             y=u.labels + 1), ValueError,
         "train_step: labels must be from 0 to K - 1 = 1; got 2 in row 1"),
    Case("step weights", lambda u: u.train_step(sample_weight=-u.weight), ValueError,
         "train_step: sample_weight must be finite and at least 0; got -1.0 in row 0"),
    Case("step no samples", lambda u: u.train_step(x=u.x[:0], y=u.y[:0]), ValueError,
         "train_step: the mean over an empty batch does not exist; got 0 samples "
         "(reduction='sum' gives 0)"),
    Case("step none of weight", lambda u: u.train_step(sample_weight=0 * u.weight), ValueError,
         "train_step: the weighted mean needs a positive weight; got sample_weight all 0"),
    Case("value loss", lambda u: mk.value_and_gradient(u.net, None, u.x, u.y), TypeError,
         "value_and_gradient: loss must be a Loss; got NoneType"),
    Case("value y", lambda u: mk.value_and_gradient(u.net, u.mse, u.x, u.x), ValueError,
         "value_and_gradient: y must have the shape of y_pred; got y_pred (5, 2), y (5, 3)"),
    Case("value x None", lambda u: mk.value_and_gradient(u.net, u.mse, None, u.y), TypeError,
         "value_and_gradient: x must be an array; got None"),
    Case("fit net", lambda u: u.fit(net="net"), TypeError,
         "fit: net must be a network; got str"),
    Case("fit optimizer None", lambda u: u.fit(optimizer=None), TypeError,
         "fit: optimizer must be an Optimizer; got NoneType"),
    Case("fit epochs negative", lambda u: u.fit(epochs=-1), ValueError,
         "fit: epochs must be at least 0; got -1"),
    Case("fit epochs of float", lambda u: u.fit(epochs=1.5), TypeError,
         "fit: epochs must be an integer; got float"),
    Case("fit epochs is bool", lambda u: u.fit(epochs=True), TypeError,
         "fit: epochs must be an integer; got bool"),
    Case("fit batch_size zero", lambda u: u.fit(batch_size=0), ValueError,
         "fit: batch_size must be at least 1; got 0"),
    Case("fit batch_size None", lambda u: u.fit(batch_size=None), TypeError,
         "fit: batch_size must be an integer; got NoneType"),
    Case("fit seed negative", lambda u: u.fit(seed=-1), ValueError,
         "fit: seed must be *; got -1"),
    Case("fit seed is text", lambda u: u.fit(seed="a"), TypeError,
         "fit: seed must be *; got str"),
    Case("fit x one-dimensional", lambda u: u.fit(x=u.x[0], y=u.y[0]), ValueError,
         "fit: x must be (n, D) with at least one sample; got (3,)"),
    Case("fit no samples", lambda u: u.fit(x=u.x[:0], y=u.y[:0]), ValueError,
         "fit: x must be (n, D) with at least one sample; got (0, 3)"),
    Case("fit y rows", lambda u: u.fit(y=u.y[:4]), ValueError,
         "fit: y must have the shape of y_pred; got y_pred (5, 2), y (4, 2)"),
    Case("fit x float64", lambda u: u.fit(x=u.x64), TypeError,
         f"fit: x must be float32, as the network is; got float64; {CURE}"),
    Case("fit weights", lambda u: u.fit(sample_weight=u.weight[:4]), ValueError,
         "fit: sample_weight must be (5,), a number a sample; got (4,)"),
    Case("fit validation number", lambda u: u.fit(validation=1.5), ValueError,
         "fit: validation must be between 0 and 1; got 1.5"),
    Case("fit validation zero", lambda u: u.fit(validation=0.0), ValueError,
         "fit: validation must be between 0 and 1; got 0.0"),
    Case("fit validation tiny", lambda u: u.fit(validation=0.01), ValueError,
         "fit: validation must leave samples on both sides; got 0.01 of 5"),
    Case("fit validation bool", lambda u: u.fit(validation=True), TypeError,
         "fit: validation must be (x, y) or a number; got bool"),
    Case("fit validation text", lambda u: u.fit(validation="20%"), TypeError,
         "fit: validation must be (x, y) or a number; got str"),
    Case("fit validation three", lambda u: u.fit(validation=(u.x, u.y, u.weight)), ValueError,
         "fit: validation must be (x, y); got 3 items"),
    Case("fit validation columns", lambda u: u.fit(validation=(u.y, u.y)), ValueError,
         f"fit: *x {COLUMNS} (5, 2)"),
    Case("fit callbacks", lambda u: u.fit(callbacks=[3]), TypeError,
         "fit: callbacks must be *; got int"),
    Case("fit monitor", lambda u: u.fit(callbacks=[mk.EarlyStopping(monitor="acc")]), ValueError,
         "EarlyStopping: monitor must be one of loss; got 'acc'"),
    Case("patience zero", lambda u: mk.EarlyStopping(0), ValueError,
         "EarlyStopping: patience must be at least 1; got 0"),
    Case("patience is text", lambda u: mk.EarlyStopping("5"), TypeError,
         "EarlyStopping: patience must be an integer; got str"),
]

MACHINE = [
    Case("set_isa unknown", lambda u: mk.set_isa("sse9"), ValueError,
         "set_isa: name must name an instruction set that this machine has (*baseline); "
         "got 'sse9'"),
    Case("set_isa None", lambda u: mk.set_isa(None), TypeError,
         "set_isa: name must be a string; got NoneType"),
    Case("threads zero", lambda u: mk.set_num_threads(0), ValueError,
         "set_num_threads: n must be at least 1; got 0"),
    Case("threads negative", lambda u: mk.set_num_threads(-2), ValueError,
         "set_num_threads: n must be at least 1; got -2"),
    Case("threads of float", lambda u: mk.set_num_threads(2.0), TypeError,
         "set_num_threads: n must be an integer; got float"),
    Case("threads is bool", lambda u: mk.set_num_threads(True), TypeError,
         "set_num_threads: n must be an integer; got bool"),
    Case("threads too many", lambda u: mk.set_num_threads(2**40), ValueError,
         "set_num_threads: n must be *; got 1099511627776"),
    Case("threads in a with", lambda u: mk.num_threads(0).__enter__(), ValueError,
         "set_num_threads: n must be at least 1; got 0"),
]
# fmt: on

TABLES = {
    "linear": LINEAR,
    "activations": ACTIVATIONS,
    "losses": LOSSES,
    "models": MODELS,
    "training": TRAINING,
    "machine": MACHINE,
}
TABLE = [
    pytest.param(case, id=f"{table}: {case.name}")
    for table, cases in TABLES.items()
    for case in cases
]


@pytest.mark.parametrize("case", TABLE)
def test_error(case: Case) -> None:
    world = World()
    before = world.contents()
    with pytest.raises(case.kind) as caught:
        case.call(world)
    assert type(caught.value) is case.kind
    pattern = re.escape(case.text).replace(r"\*", ".*")
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)
    after = world.contents()
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, err_msg=f"{name} was written")


def test_the_table_is_long_and_its_names_differ() -> None:
    names = [parameters.id for parameters in TABLE]
    assert len(set(names)) == len(names) >= 80


def test_the_world_works() -> None:
    """The same calls without the mistake raise nothing."""
    u = World()
    mk.linear(u.x, u.w, u.b, out=u.out)
    mk.linear_backward(u.ds, u.x, u.w, out=(u.dx, u.dw, u.db), accumulate=True)
    u.t(u.y, out=u.y)
    u.t.jvp(u.x, u.x), u.t.vjp(u.x, u.x), u.t.jacobian(u.x), u.rows(u.x)
    u.mse(u.y, u.y, u.weight), u.ce(u.y, u.labels), u.ce.per_sample(u.y, u.labels)
    u.net.predict(u.x, out=u.out), u.net64.predict(u.x64), u.net.freeze()(u.x)
    u.net.backward(u.ds * 0 if u.net(u.x) is None else u.ds)
    u.net.trace(u.x, u.y, u.mse)
    u.train_step(sample_weight=u.weight)
    u.train_step(net=u.classifier, optimizer=u.other_opt, loss=u.ce, y=u.labels)
    u.fit(validation=0.2, callbacks=[mk.EarlyStopping()])
    mk.value_and_gradient(u.net, u.mse, u.x, u.y)


@pytest.mark.parametrize("cls", [*mk.ACTIVATIONS.values(), *mk.LOSSES.values()])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), True, "1", None, [1.0], 1j])
def test_every_number_of_every_class_is_checked(cls: Any, bad: Any) -> None:
    """Each parameter whose default is a float takes finite numbers and nothing else."""
    import inspect

    for name, parameter in inspect.signature(cls).parameters.items():
        if type(parameter.default) is float:
            with pytest.raises((TypeError, ValueError), match=rf"^{cls.__name__}: {name} must be "):
                cls(**{name: bad})


@pytest.mark.parametrize("cls", mk.OPTIMIZERS.values())
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, True, "1", None, [1.0], 1j])
def test_every_number_of_every_optimizer_is_checked(cls: Any, bad: Any) -> None:
    import inspect

    net = mk.Linear(2, 1)
    for name, parameter in inspect.signature(cls).parameters.items():
        if type(parameter.default) is float:
            with pytest.raises((TypeError, ValueError), match=rf"^{cls.__name__}: {name} must be "):
                cls(net, **{name: bad})
