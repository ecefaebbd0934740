"""Derivatives of networks by their inputs: Jacobians, products with them, second order.

x is (..., D) or (D,), and results have its leading dimensions. f may be any map: a linear one, an
activation, a Chain or Sum of them. At kinks every activation has the derivative that it states.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike, NDArray

from mlpkern import _core
from mlpkern._arguments import integer
from mlpkern.maps import Map

__all__ = [
    "Derivatives",
    "Linearization",
    "derivatives",
    "input_hessian",
    "input_hessian_diagonal",
    "jacobian",
    "jvp",
    "laplacian",
    "linearize",
    "vjp",
]

Array = NDArray[Any]


def network_for(who: str, f: Any, x: ArrayLike) -> _core.Network:
    if not isinstance(f, Map):
        raise TypeError(f"{who}: f must be a map; got {type(f).__name__}")
    return f._core_for(x).core


def jacobian(f: Map, x: ArrayLike, out: Array | None = None) -> Array:
    """The Jacobian dy/dx of f at every sample x.

    Pushed forward from the inputs or pulled back from the outputs, whichever is cheaper.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)
    out : array, shape (..., K, D), optional
        Where the result goes.

    Returns
    -------
    J : array, shape (..., K, D)

    Raises
    ------
    TypeError, ValueError
        If x has another dtype than the parameters, or another number of columns than D.
    """
    return network_for("jacobian", f, x).jacobian(x, out)


def jvp(f: Map, x: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """The output of f at x, and the Jacobian times tangents: ``(y, J v)``.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)
    v : array, shape (..., D)

    Returns
    -------
    y, Jv : arrays, shape (..., K)
    """
    return network_for("jvp", f, x).jacobian_product(x, v, True)


def vjp(f: Map, x: ArrayLike, g: ArrayLike) -> tuple[Array, Array]:
    """The output of f at x, and cotangents times the Jacobian: ``(y, g J)``.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)
    g : array, shape (..., K)

    Returns
    -------
    y : array, shape (..., K)
    gJ : array, shape (..., D)
    """
    return network_for("vjp", f, x).jacobian_product(x, g, False)


def input_hessian(f: Map, x: ArrayLike) -> Array:
    """The second derivatives of every output by the inputs.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)

    Returns
    -------
    H : array, shape (..., K, D, D)
    """
    return network_for("input_hessian", f, x).second_derivatives("input_hessian", x)


def input_hessian_diagonal(f: Map, x: ArrayLike) -> Array:
    """The diagonal of :func:`input_hessian`, at a cost linear in D.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)

    Returns
    -------
    h : array, shape (..., K, D)
    """
    return network_for("input_hessian_diagonal", f, x).second_derivatives(
        "input_hessian_diagonal", x
    )


def laplacian(f: Map, x: ArrayLike) -> Array:
    """The trace of :func:`input_hessian`, at a cost linear in D.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)

    Returns
    -------
    trace : array, shape (..., K)
    """
    return network_for("laplacian", f, x).second_derivatives("laplacian", x)


class Linearization:
    """A map at given samples: any number of products with its Jacobians, from one forward pass.

    It holds the parameters of the moment it was made. Made by :func:`linearize`.

    Attributes
    ----------
    y : array, shape (..., K)
        The output.
    """

    def __init__(self, core: _core.Linearized, y: Array) -> None:
        self._core, self.y = core, y

    def jvp(self, v: ArrayLike) -> Array:
        """The Jacobians times tangents v of the shape of x; of the shape of y."""
        return self._core.product(v, True)

    def vjp(self, g: ArrayLike) -> Array:
        """Cotangents g of the shape of y times the Jacobians; of the shape of x."""
        return self._core.product(g, False)


def linearize(f: Map, x: ArrayLike) -> Linearization:
    """One forward pass, then products with the Jacobians at x as often as wanted.

    Parameters
    ----------
    f : Map
    x : array, shape (..., D)

    Returns
    -------
    Linearization
    """
    return Linearization(*network_for("linearize", f, x).linearize(x))


class Derivatives:
    """The output of a network with its derivatives by the input. Made by :func:`derivatives`.

    Attributes
    ----------
    u : array, shape (..., K)
    u_x : array, shape (..., K, D), or (..., K, m) along m directions
    u_xx : array, shape (..., K, D, D), or (..., K, m) along m directions; None for order 1
    """

    def __init__(self, net: Map, x: ArrayLike, order: int, directions: ArrayLike | None) -> None:
        self._net, self._compiled = net, net._core_for(x)
        kept = self._compiled.core.jets(x, order, directions)
        self._kept, self.u, self.u_x, self.u_xx = kept

    def backward(
        self,
        du: ArrayLike | None = None,
        du_x: ArrayLike | None = None,
        du_xx: ArrayLike | None = None,
    ) -> None:
        """Adds the gradient of a cost of u, u_x and u_xx by the parameters to ``net.gradients``.

        The pass forward is made again on the way: call it before the parameters change. What it
        has added when Ctrl-C ends it stays: set the gradients to zero then.

        Parameters
        ----------
        du, du_x, du_xx : arrays of the shapes of u, u_x and u_xx, optional
            The cost's gradients by them; None where it does not depend on one.

        Raises
        ------
        TypeError
            If the network has an activation that works row by row.
        RuntimeError
            If the parameters have moved to another place since, or another thread's call is using
            the network.
        """
        if not self._compiled.fits(self._net):
            raise RuntimeError(
                "backward: the network must be as it was when its derivatives were taken; "
                "its parameters have moved"
            )
        self._compiled.core.pull_jets(self._kept, du, du_x, du_xx)


def derivatives(
    net: Map, x: ArrayLike, order: int = 2, directions: ArrayLike | None = None
) -> Derivatives:
    """The output with its first and second derivatives by the input, to train on them too.

    One pass forward gives all three; :meth:`Derivatives.backward` gives the exact gradients of the
    parameters for any cost made of them.

    Parameters
    ----------
    net : Map
    x : array, shape (..., D)
    order : 1 or 2
    directions : array, shape (m, D), optional
        Derivatives along these instead of along every input: ``u_x[..., i]`` is d/dt of
        ``u(x + t directions[i])`` at t = 0, ``u_xx[..., i]`` the second derivative.

    Returns
    -------
    Derivatives
    """
    if not isinstance(net, Map):
        raise TypeError(f"derivatives: net must be a map; got {type(net).__name__}")
    if integer("derivatives", "order", order) not in (1, 2):
        raise ValueError(f"derivatives: order must be 1 or 2; got {order!r}")
    return Derivatives(net, x, int(order), directions)
