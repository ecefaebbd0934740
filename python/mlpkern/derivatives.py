"""Derivatives of networks: Jacobians, products with them, second order; all exact, all batched.

x is (..., D) or (D,), and results have its leading dimensions. f may be any map: a linear one, an
activation, a Chain or Sum of them. At kinks every activation has the derivative that it states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.training import check_objective, layer_views

__all__ = [
    "ggnvp",
    "hessian",
    "hvp",
    "input_hessian",
    "input_hessian_diagonal",
    "jacobian",
    "jvp",
    "laplacian",
    "parameter_jacobian",
    "per_sample_gradient_norms",
    "per_sample_gradients",
    "vjp",
]

Array = NDArray[Any]


def _core(who: str, f: Any, x: ArrayLike) -> Any:
    if not isinstance(f, Map):
        raise TypeError(f"{who}: f must be a map; got {type(f).__name__}")
    return f._core_for(x).core


def jacobian(f: Map, x: ArrayLike) -> Array:
    """The Jacobian dy/dx of every sample, shape (..., K, D).

    Pushed forward from the inputs or pulled back from the outputs, whichever is cheaper.

    Raises
    ------
    TypeError, ValueError
        If x has another dtype than the parameters, or another number of columns than D.
    """
    return _core("jacobian", f, x).jacobian(x)


def jvp(f: Map, x: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """``(y, J v)``: the output, and the Jacobian times tangents v of the shape of x."""
    return _core("jvp", f, x).jacobian_product(x, v, True)


def vjp(f: Map, x: ArrayLike, g: ArrayLike) -> tuple[Array, Array]:
    """``(y, g J)``: the output, and cotangents g of the shape of y times the Jacobian."""
    return _core("vjp", f, x).jacobian_product(x, g, False)


def parameter_jacobian(f: Map, x: ArrayLike) -> Array:
    """The Jacobian of the output by the parameters, shape (..., K, P).

    The P parameters in the order of ``f.parameters``: layer by layer, w row by row, then b.
    """
    return _core("parameter_jacobian", f, x).parameter_jacobian(x)


def per_sample_gradients(net: Map, loss: Loss, x: ArrayLike, y: ArrayLike) -> Array:
    """The gradient of each sample's own cost by the parameters, shape (n, P).

    Row i belongs to ``loss.per_sample(net(x), y)[i]``, whatever the reduction: the gradient of the
    batch is their mean or their sum.
    """
    check_objective("per_sample_gradients", net, loss)
    return net._core_for(x).core.sample_gradients(loss._core, x, y, False)


def per_sample_gradient_norms(net: Map, loss: Loss, x: ArrayLike, y: ArrayLike) -> Array:
    """The Euclidean norms of :func:`per_sample_gradients`, shape (n,), without forming them."""
    check_objective("per_sample_gradient_norms", net, loss)
    return net._core_for(x).core.sample_gradients(loss._core, x, y, True)


def hvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """The Hessian of a batch's cost by the parameters times v, both of shape (P,).

    Forward over backward (Pearlmutter, 1994): about the work of two and a half gradients.
    """
    return _curvature_product("hvp", net, loss, x, y, v, sample_weight, False)


def ggnvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """The generalized Gauss-Newton matrix J' H J times v, both of shape (P,).

    J is the Jacobian of the network's output by the parameters, H the Hessian of the cost by that
    output. To have H by the logits, use a loss ``from_logits`` behind a network that ends in them.
    """
    return _curvature_product("ggnvp", net, loss, x, y, v, sample_weight, True)


def _curvature_product(
    who: str,
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None,
    gauss_newton: bool,
) -> Array:
    check_objective(who, net, loss)
    core = net._core_for(x).core
    dtype = net.dtype or np.dtype(np.float32)
    P = sum(f._size() for f in net._linears())
    v = np.asarray(v)
    if v.shape != (P,):
        raise ValueError(f"{who}: v must be ({P},), as the parameters are; got {v.shape}")
    if v.dtype.newbyteorder("=") != dtype:
        raise TypeError(
            f"{who}: v must be {dtype}, as the network is; got {v.dtype}; "
            f"convert with .astype(np.{dtype})"
        )
    v = np.ascontiguousarray(v, dtype)
    product = np.empty(P, dtype)
    core.hessian_product(
        loss._core,
        x,
        y,
        sample_weight,
        layer_views(net, v),
        layer_views(net, product),
        gauss_newton,
    )
    return product


def hessian(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Array:
    """The Hessian of a batch's cost by the parameters, shape (P, P): P products, for small networks."""
    check_objective("hessian", net, loss)
    units = np.eye(sum(f._size() for f in net._linears()), dtype=net.dtype or np.float32)
    result = np.empty_like(units)
    for row, unit in zip(result, units, strict=True):
        row[...] = hvp(net, loss, x, y, unit, sample_weight)
    return result


def input_hessian(f: Map, x: ArrayLike) -> Array:
    """The second derivatives of every output by the inputs, shape (..., K, D, D)."""
    core = _core("input_hessian", f, x)
    D = _inputs(f, x)
    upper = [(i, j) for i in range(D) for j in range(i, D)]
    pairs = [(i, j, q) for q, (i, j) in enumerate(upper)]
    half = core.second_derivatives("input_hessian", x, None, pairs, len(pairs))
    place = np.zeros((D, D), np.intp)
    for i, j, q in pairs:
        place[i, j] = place[j, i] = q
    return half[..., place] if D else half.reshape(*half.shape[:-1], 0, 0)


def input_hessian_diagonal(f: Map, x: ArrayLike) -> Array:
    """The diagonal of :func:`input_hessian`, shape (..., K, D), at a cost linear in D."""
    core = _core("input_hessian_diagonal", f, x)
    D = _inputs(f, x)
    return core.second_derivatives(
        "input_hessian_diagonal", x, None, [(i, i, i) for i in range(D)], D
    )


def laplacian(f: Map, x: ArrayLike) -> Array:
    """The trace of :func:`input_hessian`, shape (..., K), at a cost linear in D."""
    core = _core("laplacian", f, x)
    pairs = [(i, i, 0) for i in range(_inputs(f, x))]
    return core.second_derivatives("laplacian", x, None, pairs, 1)[..., 0]


def _inputs(f: Map, x: ArrayLike) -> int:
    """The number of inputs; an x without columns is refused by the core, which says so."""
    return f.inputs if f.inputs is not None else (np.shape(x) or (0,))[-1]
