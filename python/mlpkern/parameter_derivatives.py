"""Derivatives of networks and of costs by the parameters: by sample, of first and second order.

The P parameters stand in the order of ``net.parameters``: layer by layer, w row by row, then b.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from mlpkern.derivatives import Array, network_for
from mlpkern.losses import Loss
from mlpkern.maps import Map
from mlpkern.training import check_objective

__all__ = [
    "ggnvp",
    "hessian",
    "hvp",
    "parameter_jacobian",
    "per_sample_gradient_norms",
    "per_sample_gradients",
]


def parameter_jacobian(f: Map, x: ArrayLike, out: Array | None = None) -> Array:
    """The Jacobian of f's output at x by the parameters.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)
    out : array, shape (..., K, P), optional
        Where the result goes.

    Returns
    -------
    J : array, shape (..., K, P)
        The P parameters in the order of ``f.parameters``: layer by layer, w row by row, then b.
    """
    return network_for("parameter_jacobian", f, x).parameter_jacobian(x, out)


def per_sample_gradients(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, out: Array | None = None
) -> Array:
    """The gradient of each sample's own cost by the parameters.

    Parameters
    ----------
    net, loss, x, y
        As in :func:`mlpkern.train_step`.
    out : array, shape (n, P), optional
        Where the result goes.

    Returns
    -------
    g : array, shape (n, P)
        Row i belongs to ``loss.per_sample(net(x), y)[i]``, whatever the reduction: the gradient of
        the batch is their mean or their sum.
    """
    check_objective("per_sample_gradients", net, loss)
    return net._core_for(x).core.sample_gradients(loss._core, x, y, False, out)


def per_sample_gradient_norms(net: Map, loss: Loss, x: ArrayLike, y: ArrayLike) -> Array:
    """The Euclidean norms of :func:`per_sample_gradients`, without forming them.

    Parameters
    ----------
    net, loss, x, y
        As in :func:`mlpkern.train_step`.

    Returns
    -------
    norms : array, shape (n,)
    """
    check_objective("per_sample_gradient_norms", net, loss)
    return net._core_for(x).core.sample_gradients(loss._core, x, y, True, None)


def hvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """The Hessian of a batch's cost by the parameters, times v.

    Forward over backward (Pearlmutter, 1994): about the work of two and a half gradients.

    Parameters
    ----------
    net, loss, x, y, sample_weight
        As in :func:`mlpkern.train_step`.
    v : array, shape (P,)
        In the order of ``net.parameters``.

    Returns
    -------
    Hv : array, shape (P,)
    """
    check_objective("hvp", net, loss)
    core = net._core_for(x).core
    return core.hessian_product("hvp", loss._core, x, y, v, sample_weight)


def ggnvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """The generalized Gauss-Newton matrix J' H J, times v.

    J is the Jacobian of the network's output by the parameters, H the Hessian of the cost by that
    output. To have H by the logits, use a loss ``from_logits`` behind a network that ends in them.

    Parameters
    ----------
    net, loss, x, y, sample_weight
        As in :func:`mlpkern.train_step`.
    v : array, shape (P,)
        In the order of ``net.parameters``.

    Returns
    -------
    Gv : array, shape (P,)
    """
    check_objective("ggnvp", net, loss)
    core = net._core_for(x).core
    return core.hessian_product("ggnvp", loss._core, x, y, v, sample_weight)


def hessian(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Array:
    """The Hessian of a batch's cost by the parameters: P products, one a row.

    Parameters
    ----------
    net, loss, x, y, sample_weight
        As in :func:`mlpkern.train_step`.

    Returns
    -------
    H : array, shape (P, P)
    """
    check_objective("hessian", net, loss)
    return net._core_for(x).core.hessian(loss._core, x, y, sample_weight)
