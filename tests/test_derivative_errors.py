"""What the derivatives refuse, and the text of it: ``where: the rule; got what came``.

Nothing is written before an error: parameters, gradients and arguments keep their bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import derivative_cases as cases
import mlpkern as mk

Array = Any

F32, F64 = np.float32, np.float64
x, v, g = (np.ones(shape, F32) for shape in ((8, 3), (8, 3), (8, 2)))
y, labels = np.full((8, 2), 0.5, F32), np.zeros(8, int)
LOSS = mk.SquaredError()


def make_net() -> Any:
    return mk.MLP([3, 4, 2], "tanh", dtype=F32, seed=1)


P = make_net().parameters.size
Call = Callable[[Any], Any]

# Functions of (f, x): what they refuse is told by their name.
OF_X: dict[str, Callable[..., Any]] = {
    "jacobian": lambda f, x: mk.jacobian(f, x),
    "jvp": lambda f, x: mk.jvp(f, x, x),
    "vjp": lambda f, x: mk.vjp(f, x, g),
    "linearize": lambda f, x: mk.linearize(f, x),
    "parameter_jacobian": lambda f, x: mk.parameter_jacobian(f, x),
    "input_hessian": lambda f, x: mk.input_hessian(f, x),
    "input_hessian_diagonal": lambda f, x: mk.input_hessian_diagonal(f, x),
    "laplacian": lambda f, x: mk.laplacian(f, x),
    "derivatives": lambda f, x: mk.derivatives(f, x),
}
# Functions of (net, loss, x, y).
OF_COST: dict[str, Callable[..., Any]] = {
    "per_sample_gradients": lambda *a: mk.per_sample_gradients(*a),
    "per_sample_gradient_norms": lambda *a: mk.per_sample_gradient_norms(*a),
    "hvp": lambda *a: mk.hvp(*a, np.ones(P, F32)),
    "ggnvp": lambda *a: mk.ggnvp(*a, np.ones(P, F32)),
    "hessian": lambda *a: mk.hessian(*a),
}
of_x = pytest.mark.parametrize("name", OF_X)
of_cost = pytest.mark.parametrize("name", OF_COST)


def refuse(call: Call, kind: type[Exception], *parts: str, net: Any = None) -> None:
    """The call raises exactly that kind; its text has the parts, in order; nothing was written."""
    net = net or make_net()
    arrays = (x, v, g, y, labels)
    kept = [a.copy() for a in arrays]
    with cases.untouched(net), pytest.raises(kind) as raised:
        call(net)
    text = str(raised.value)
    assert raised.type is kind
    pattern = ".*".join(map(re.escape, parts))
    assert re.search("^" + pattern, text, re.DOTALL), text
    assert "\n" not in text
    for a, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(a, before)


# --- the map, the loss ---------------------------------------------------------------------------
@of_x
@pytest.mark.parametrize("wrong", [None, "tanh", 3, np.tanh, mk.Tanh], ids=repr)
def test_what_is_no_map(name: str, wrong: Any) -> None:
    refuse(lambda _: OF_X[name](wrong, x), TypeError, f"{name}: ", "; got ", type(wrong).__name__)


@of_cost
def test_what_is_no_network_or_no_loss(name: str) -> None:
    call = OF_COST[name]
    refuse(lambda _: call("net", LOSS, x, y), TypeError, f"{name}: net must be a ", "; got str")
    refuse(lambda net: call(net, "loss", x, y), TypeError, f"{name}: loss must be a Loss; got str")
    refuse(lambda net: call(net, LOSS.gradient, x, y), TypeError, f"{name}: loss", "; got method")


# --- x -------------------------------------------------------------------------------------------
@of_x
@pytest.mark.parametrize(
    ("wrong", "kind", "parts"),
    [
        (x[:, :2], ValueError, ("x must be (..., D)", "D = 3", "got (8, 2)")),
        (np.float32(1), ValueError, ("x ", "got ()")),
        (np.ones((3, 0), F32), ValueError, ("x must be (..., D)", "got (3, 0)")),
        (x.astype(F64), TypeError, ("float32", "got float64")),
        (x.astype(int), TypeError, ("float32", "got ", "int64")),
        (x.astype(np.float16), TypeError, ("float32", "got ", "float16")),
        (x.astype(complex), TypeError, ("float32", "got ", "complex128")),
        (None, TypeError, ("x must be an array; got None",)),
        ("x", TypeError, ("x ", "got ")),
    ],
)
def test_x(name: str, wrong: Any, kind: type[Exception], parts: tuple[str, ...]) -> None:
    refuse(lambda net: OF_X[name](net, wrong), kind, f"{name}: ", *parts)


@of_cost
@pytest.mark.parametrize(
    ("wrong", "kind", "parts"),
    [
        (x[:, :2], ValueError, ("x must be (..., D)", "D = 3", "got (8, 2)")),
        (x.astype(F64), TypeError, ("float32", "got float64")),
        (None, TypeError, ("x must be an array; got None",)),
    ],
)
def test_x_of_a_cost(name: str, wrong: Any, kind: type[Exception], parts: Any) -> None:
    refuse(lambda net: OF_COST[name](net, LOSS, wrong, y), kind, f"{name}: ", *parts)


# --- tangents and cotangents ---------------------------------------------------------------------
@pytest.mark.parametrize("wrong", [np.ones(3, F32), np.ones((8, 2), F32), np.ones((1, 8, 3), F32)])
def test_the_shape_of_a_tangent(wrong: Array) -> None:
    came = f"got x (8, 3), v {wrong.shape}"
    refuse(
        lambda net: mk.jvp(net, x, wrong), ValueError, f"jvp: v must have the shape of x; {came}"
    )
    refuse(
        lambda net: mk.linearize(net, x).jvp(wrong),
        ValueError, "jvp: v must have the shape of x; ", "(8, 3)", f"v {wrong.shape}",
    )  # fmt: skip


@pytest.mark.parametrize("wrong", [np.ones(2, F32), np.ones((8, 3), F32), np.ones((7, 2), F32)])
def test_the_shape_of_a_cotangent(wrong: Array) -> None:
    parts = ("vjp: g must have the shape of y; ", "(8, 2)", f"g {wrong.shape}")
    refuse(lambda net: mk.vjp(net, x, wrong), ValueError, *parts)
    refuse(lambda net: mk.linearize(net, x).vjp(wrong), ValueError, *parts)


@pytest.mark.parametrize("wrong", [F64, int, np.float16])
def test_the_dtype_of_a_tangent(wrong: Any) -> None:
    came = ("got ", np.dtype(wrong).name)
    refuse(lambda net: mk.jvp(net, x, v.astype(wrong)), TypeError, "jvp: ", "float32", *came)
    refuse(lambda net: mk.vjp(net, x, g.astype(wrong)), TypeError, "vjp: ", "float32", *came)
    refuse(
        lambda net: mk.linearize(net, x).jvp(v.astype(wrong)), TypeError, "jvp: ", "float32", *came
    )
    refuse(
        lambda net: mk.linearize(net, x).vjp(g.astype(wrong)), TypeError, "vjp: ", "float32", *came
    )
    refuse(lambda net: mk.jvp(net, x, None), TypeError, "jvp: v must be an array; got None")
    refuse(lambda net: mk.vjp(net, x, None), TypeError, "vjp: g must be an array; got None")


def test_an_activation_with_two_dtypes() -> None:
    refuse(
        lambda _: mk.jvp(mk.Tanh(), x, v.astype(F64)), TypeError,
        "jvp: ", "v ", "float32", "float64",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["hvp", "ggnvp"])
@pytest.mark.parametrize("shape", [(P + 1,), (P - 1,), (1, P), (0,), ()], ids=str)
def test_the_shape_of_v(name: str, shape: tuple[int, ...]) -> None:
    wrong = np.ones(shape, F32)
    refuse(
        lambda net: getattr(mk, name)(net, LOSS, x, y, wrong),
        ValueError, f"{name}: v must ", str(P), f"got {'v ' if False else ''}", str(shape),
    )  # fmt: skip
    refuse(
        lambda net: getattr(mk, name)(net, LOSS, x, y, np.ones(P)),
        TypeError, f"{name}: ", "float32", "got ", "float64",
    )  # fmt: skip


# --- targets and weights -------------------------------------------------------------------------
@of_cost
def test_targets(name: str) -> None:
    call = OF_COST[name]
    refuse(lambda net: call(net, LOSS, x, y[:7]), ValueError, f"{name}: ", "y ", "(7, 2)")
    refuse(lambda net: call(net, LOSS, x, y[:, :1]), ValueError, f"{name}: ", "y ", "(8, 1)")
    refuse(lambda net: call(net, LOSS, x, y.astype(F64)), TypeError, f"{name}: ", "float64")
    refuse(lambda net: call(net, LOSS, x, None), TypeError, f"{name}: y ", "got None")
    entropy = mk.CrossEntropy(from_logits=True)
    refuse(lambda net: call(net, entropy, x, labels + 2), ValueError, f"{name}: labels", "got 2")
    refuse(lambda net: call(net, entropy, x, labels[:3]), ValueError, f"{name}: ", "(3,)")


@pytest.mark.parametrize("name", ["hvp", "ggnvp", "hessian"])
@pytest.mark.parametrize(
    ("weight", "kind", "parts"),
    [
        (np.ones(7, F32), ValueError, ("sample_weight must be (8,)", "got (7,)")),
        (-np.ones(8, F32), ValueError, ("sample_weight must be finite and at least 0", "got -1")),
        (np.full(8, np.nan, F32), ValueError, ("sample_weight must be finite", "nan")),
        (np.zeros(8, F32), ValueError, ("the weighted mean needs a positive weight",)),
        (np.ones(8, int), TypeError, ("sample_weight must be float32 or float64; got int64",)),
    ],
    ids=["shape", "negative", "nan", "zeros", "int"],
)
def test_weights(name: str, weight: Array, kind: type[Exception], parts: Any) -> None:
    def call(net: Any) -> Any:
        rest = [] if name == "hessian" else [np.ones(P, F32)]
        return getattr(mk, name)(net, LOSS, x, y, *rest, sample_weight=weight)

    refuse(call, kind, f"{name}: ", *parts)


# --- derivatives and its way back ----------------------------------------------------------------
@pytest.mark.parametrize("order", [True, 2.0, "2", None])
def test_an_order_that_is_no_integer(order: Any) -> None:
    refuse(
        lambda net: mk.derivatives(net, x, order=order),
        TypeError, f"derivatives: order must be an integer; got {type(order).__name__}",
    )  # fmt: skip


@pytest.mark.parametrize("order", [0, 3, -1])
def test_order(order: int) -> None:
    refuse(
        lambda net: mk.derivatives(net, x, order=order),
        ValueError, f"derivatives: order must be 1 or 2; got {order}",
    )  # fmt: skip


@pytest.mark.parametrize("wrong", [np.ones(3, F32), np.ones((2, 4), F32), np.ones((1, 2, 3), F32)])
def test_the_shape_of_directions(wrong: Array) -> None:
    refuse(
        lambda net: mk.derivatives(net, x, directions=wrong),
        ValueError, "derivatives: directions must be (m, D)", "got ", str(wrong.shape),
    )  # fmt: skip
    refuse(
        lambda net: mk.derivatives(net, x, directions=np.ones((2, 3))),
        TypeError, "derivatives: ", "float32", "got ", "float64",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["du", "du_x", "du_xx"])
@pytest.mark.parametrize("directions", [None, np.ones((5, 3), F32)], ids=["axes", "directions"])
def test_the_shapes_of_weights(name: str, directions: Any) -> None:
    net = make_net()
    d = mk.derivatives(net, x, directions=directions)
    right = getattr(d, name[1:])
    for wrong in (right[:7], right[..., :1], right[0], right[None]):
        refuse(
            lambda _, a=wrong: d.backward(**{name: a}),
            ValueError, f"backward: {name} must ", "got ", str(wrong.shape),
            net=net,
        )  # fmt: skip
    refuse(
        lambda _: d.backward(**{name: right.astype(F64)}),
        TypeError, "backward: ", name, "float32", "float64",
        net=net,
    )  # fmt: skip
    refuse(lambda _: d.backward(**{name: "x"}), TypeError, f"backward: {name}", "got ", net=net)


def test_one_wrong_weight_of_three_writes_nothing() -> None:
    net = make_net()
    d = mk.derivatives(net, x)
    refuse(lambda _: d.backward(d.u, d.u_x, d.u_xx[:3]), ValueError, "backward: du_xx", net=net)


def test_second_weights_of_a_first_order() -> None:
    net = make_net()
    d, e = mk.derivatives(net, x, order=1), mk.derivatives(net, x)
    refuse(lambda _: d.backward(du_xx=e.u_xx), ValueError, "backward: du_xx ", "order=2", net=net)


@pytest.mark.parametrize("f", [mk.Softargmax(), mk.LogSoftargmax(), mk.Softmax(2.0)], ids=repr)
def test_backward_through_activations_by_rows(f: Any) -> None:
    """They have derivatives, and no way back."""
    for net in (
        mk.Chain(mk.Linear(3, 2), f),
        mk.Chain(mk.Linear(3, 3), mk.Sum(mk.Tanh(), mk.Chain(f, mk.Sine())), mk.Linear(3, 2)),
    ):
        d = mk.derivatives(net, x)
        refuse(lambda _, d=d: d.backward(du_x=d.u_x), TypeError, "backward: ", net=net)
        with pytest.raises(TypeError, match=type(f).__name__):
            d.backward(du=d.u, du_x=d.u_x, du_xx=d.u_xx)
