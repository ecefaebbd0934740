"""The linear map s = x w + b, and its backward."""

import math

import numpy as np
from numpy.typing import ArrayLike

from .numeric import Array, as_real, deliver


def linear(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, out: Array | None = None
) -> Array:
    """Return s = x w + b.

    Parameters
    ----------
    x : (..., D)
    w : (D, L)
    b : (L,), or None for no bias
    out : (..., L), where to put the result

    Returns
    -------
    s : (..., L)
    """
    x, w = as_real(x, "x"), as_real(w, "w")
    _check(x, w)
    with np.errstate(all="ignore"):
        s = x @ w
        if b is not None:
            b = as_real(b, "b")
            if b.shape != w.shape[1:]:
                raise ValueError(f"b must have shape {w.shape[1:]}, not {b.shape}")
            s = s + b
    return deliver(s, out)


def linear_backward(
    ds: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    need_dx: bool = True,
    out: tuple[Array | None, Array, Array] | None = None,
    accumulate: bool = False,
) -> tuple[Array | None, Array, Array]:
    """Return (dx, dw, db) of s = x w + b, given the cost's derivative by s.

    Parameters
    ----------
    ds : (..., L)
    x : (..., D)
    w : (D, L)
    need_dx : without it, dx is None
    out : (dx, dw, db), where to put the results
    accumulate : add each to what its array in `out` holds

    Returns
    -------
    dx : (..., D), ds w^T
    dw : (D, L), x^T ds, summed over all leading dimensions
    db : (L,), ds, summed likewise
    """
    ds, x, w = as_real(ds, "ds"), as_real(x, "x"), as_real(w, "w")
    _check(x, w)
    if ds.shape != (*x.shape[:-1], w.shape[1]):
        raise ValueError(f"ds must have shape {(*x.shape[:-1], w.shape[1])}, not {ds.shape}")
    if accumulate and out is None:
        raise ValueError("accumulate=True adds to out: give out=(dx, dw, db)")
    n = math.prod(x.shape[:-1])
    with np.errstate(all="ignore"):
        dx = ds @ w.T if need_dx else None
        dw = x.reshape(n, w.shape[0]).T @ ds.reshape(n, w.shape[1])
        db = np.sum(ds.reshape(n, w.shape[1]), axis=0)
        if out is None:
            return dx, dw, db
        if accumulate:
            dw, db = out[1] + dw, out[2] + db
            dx = None if dx is None or out[0] is None else out[0] + dx
    return (None if dx is None else deliver(dx, out[0])), deliver(dw, out[1]), deliver(db, out[2])


def _check(x: Array, w: Array) -> None:
    if w.ndim != 2:
        raise ValueError(f"w must have shape (D, L), not {w.shape}")
    if x.ndim == 0 or x.shape[-1] != w.shape[0]:
        raise ValueError(f"x must have shape (..., {w.shape[0]}) to fit w, not {x.shape}")
