# mypy: disable-error-code=no-any-return
"""Derivatives of networks: Jacobians, gradients a sample, second and mixed derivatives.

First derivatives are dense matrices put together by the two rules of math.md, section 6: the sum
of branches and the product along a chain. A second derivative is a difference of first ones (or,
by the parameters, of the batch's gradient) along a line, with seven points in longdouble:

    f'(0)  = (45 (f1 - f-1) - 9 (f2 - f-2) + (f3 - f-3)) / (60 h)                   + O(h^6 f7)
    f''(0) = (270 (f1 + f-1) - 27 (f2 + f-2) + 2 (f3 + f-3) - 490 f0) / (180 h^2)   + O(h^6 f8)

Relative to the largest element, first derivatives are right to 1e-12, second ones to 1e-10, the
parameter gradients of u_xx to 1e-8: tests hold that. With 64 bits of mantissa in longdouble, 2e-15,
2e-14 and 3e-11 were measured. Lines of 3 steps must not cross a kink. For small networks.
"""

import copy
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from .dense import (
    count,
    deliver,
    dense,
    first_difference,
    flat_lead,
    on_lines,
    rows_of,
    second_difference,
    widened,
    widened_net,
)
from .losses import Loss
from .models import Map, Part
from .numeric import Array, as_real
from .training import value_and_gradient


def jacobian(f: Part, x: ArrayLike) -> Array:
    """Return dy/dx, (..., K, D), for x (..., D)."""
    x, twin = as_real(x, "x"), widened(f)
    return deliver(dense(twin, rows_of(x)).by_x, x)


def jvp(f: Part, x: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """Return y and the Jacobian times the tangent v, of x's shape."""
    x, v, twin = as_real(x, "x"), as_real(v, "v"), widened(f)
    at = dense(twin, rows_of(x))
    return deliver(at.y, x), deliver(np.einsum("nkd,nd->nk", at.by_x, rows_of(v)), x)


def vjp(f: Part, x: ArrayLike, g: ArrayLike) -> tuple[Array, Array]:
    """Return y and the cotangent g, of y's shape, times the Jacobian."""
    x, g, twin = as_real(x, "x"), as_real(g, "g"), widened(f)
    at = dense(twin, rows_of(x))
    return deliver(at.y, x), deliver(np.einsum("nk,nkd->nd", rows_of(g), at.by_x), x)


def parameter_jacobian(f: Part, x: ArrayLike) -> Array:
    """Return dy/dp, (..., K, P), the parameters in their flat order."""
    x, twin = as_real(x, "x"), widened(f)
    return deliver(dense(twin, rows_of(x), count(twin)).by_p, x)


def per_sample_gradients(net: Map, loss: Loss, x: ArrayLike, y: ArrayLike) -> Array:
    """Return the gradients (n, P) of the samples' own costs, each taken as a batch of one."""
    x, y, twin, alone = as_real(x, "x"), np.asarray(y), widened_net(net), copy.copy(loss)
    alone.reduction = "sum"
    rows = [
        value_and_gradient(twin, alone, x[i : i + 1].astype(np.longdouble), y[i : i + 1])[1]
        for i in range(len(x))
    ]
    return np.asarray(rows, x.dtype).reshape(len(x), count(twin))


def hvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return the Hessian of the batch's cost by the parameters, times v: (P,)."""
    x, v, twin = as_real(x, "x"), as_real(v, "v"), widened_net(net)
    wide, at = x.astype(np.longdouble), twin.parameters.copy()

    def gradient(moved: Array) -> Array:
        twin.parameters[...] = moved
        return value_and_gradient(twin, loss, wide, y, sample_weight)[1]

    return first_difference(gradient, at, v).astype(x.dtype)


def ggnvp(
    net: Map,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    v: ArrayLike,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Return J' H J v: J = dy_pred/dp, H the Hessian of the batch's cost by y_pred."""
    x, v, twin = as_real(x, "x"), as_real(v, "v"), widened_net(net)
    at = dense(twin, rows_of(x), count(twin))
    tangent = np.einsum("nkp,p->nk", at.by_p, v.astype(np.longdouble))
    curved = first_difference(lambda p: loss.gradient(p, y, sample_weight), at.y, tangent)
    return np.einsum("nkp,nk->p", at.by_p, curved).astype(x.dtype)


def hessian(
    net: Map, loss: Loss, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Array:
    """Return the Hessian (P, P) of the batch's cost by the parameters."""
    x = as_real(x, "x")
    axes = np.eye(count(net), dtype=x.dtype)
    columns = [hvp(net, loss, x, y, axis, sample_weight) for axis in axes]
    return np.stack(columns, axis=1) if columns else axes


def input_hessian(f: Part, x: ArrayLike) -> Array:
    """Return d2y/dx2, (..., K, D, D)."""
    x, twin = as_real(x, "x"), widened(f)
    rows = rows_of(x)
    at, along = on_lines(rows, np.eye(rows.shape[1]))
    curves = first_difference(lambda moved: dense(twin, moved).by_x, at, along)
    by_axis = curves.reshape(rows.shape[1], len(rows), *curves.shape[1:])
    return deliver(np.moveaxis(by_axis, 0, -1), x)


def laplacian(f: Part, x: ArrayLike) -> Array:
    """Return the sum of the second derivatives of y by each input, (..., K)."""
    return np.trace(input_hessian(f, x), axis1=-2, axis2=-1)


class Derivatives:
    """What `derivatives` returns: u, u_x, u_xx and the way back to the parameters."""

    def __init__(
        self, net: Part, x: ArrayLike, order: int = 2, directions: ArrayLike | None = None
    ) -> None:
        self.net, self.x, self._twin = net, as_real(x, "x"), widened(net)
        self.directions = None if directions is None else as_real(directions, "directions")
        self.u = deliver(dense(self._twin, rows_of(self.x)).y, self.x)
        self.u_x = jacobian(net, self.x)
        self.u_xx = input_hessian(net, self.x) if order == 2 else None
        if self.directions is not None:
            d = self.directions
            self.u_x = np.einsum("...d,md->...m", self.u_x, d)
            if self.u_xx is not None:
                self.u_xx = np.einsum("...de,md,me->...m", self.u_xx, d, d)

    def backward(
        self,
        du: ArrayLike | None = None,
        du_x: ArrayLike | None = None,
        du_xx: ArrayLike | None = None,
    ) -> None:
        """Add to net.gradients the gradient of sum(du u) + sum(du_x u_x) + sum(du_xx u_xx).

        Derivatives by parameters and by inputs change places: the gradient of sum(du_x u_x) is
        the derivative along x of the gradient of sum(c u) with c = du_x, held fast.
        """
        x, lead = rows_of(self.x), self.x.ndim - 1
        total = np.zeros(count(self.net), np.longdouble)
        if du is not None:
            total += self._pull(flat_lead(du, lead), x)
        lines = np.eye(x.shape[1]) if self.directions is None else self.directions
        if du_x is not None and len(lines):
            c = np.concatenate([*np.moveaxis(flat_lead(du_x, lead), -1, 0)])
            total += first_difference(partial(self._pull, c), *on_lines(x, lines))
        if du_xx is not None and len(lines):
            lines, weights = self._second_lines(lines, flat_lead(du_xx, lead))
            c = np.concatenate(weights)
            total += second_difference(partial(self._pull, c), *on_lines(x, lines))
        cast(Map, self.net).gradients[...] += total

    def _pull(self, c: Array, x: Array) -> Array:
        """Return the gradient of sum(c u(x)) by the parameters, c (n, K) held fast."""
        gradients = np.zeros(count(self._twin), x.dtype)
        if gradients.size:
            net = cast(Map, self._twin)
            net.zero_grad()
            net.forward(x)[1](c)
            gradients += net.linears()[0].blocks[1]
        return gradients

    def _second_lines(self, lines: Array, c: Array) -> tuple[Array, list[Array]]:
        """Return lines (m, D) and the weights (n, K) of the second derivatives along them.

        d2/(dx_i dx_j) is a quarter of the second derivative along e_i + e_j less that along
        e_i - e_j.
        """
        if self.directions is not None:
            return lines, list(np.moveaxis(c, -1, 0))
        found = [(line, c[..., i, i]) for i, line in enumerate(lines)]
        for i in range(len(lines)):
            for j in range(i):
                both = (c[..., i, j] + c[..., j, i]) / 4
                found += [(lines[i] + lines[j], both), (lines[i] - lines[j], -both)]
        return np.array([line for line, _ in found]), [weight for _, weight in found]


def derivatives(
    net: Part, x: ArrayLike, order: int = 2, directions: ArrayLike | None = None
) -> Derivatives:
    """Return u = net(x), its derivatives u_x and u_xx by x or along directions, and backward."""
    return Derivatives(net, x, order, directions)
