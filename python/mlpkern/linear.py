"""Linear layers and the soft maximum on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpkern import _core
from mlpkern._arguments import number

__all__ = ["linear", "linear_backward", "logsumexp"]


def linear(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """``s = x w + b``.

    Parameters
    ----------
    x : array, shape (..., D)
    w : array, shape (D, L)
    b : array, shape (L,), optional
    out : array, shape (..., L), optional
        Where the result goes: of the same dtype, C-contiguous, sharing no memory with an input.

    Returns
    -------
    s : array, shape (..., L)

    Raises
    ------
    TypeError
        If the dtypes are not all float32 or all float64.
    ValueError
        If the shapes do not fit, or ``out`` overlaps an input.

    Notes
    -----
    Each element is one chain of fused multiply-adds that starts from b and adds ``x[k] w[k]`` for
    k = 0, 1, …, so its bits depend on nothing else. An input that is not contiguous, aligned and of
    the machine's byte order is copied first.
    """
    return _core.linear(x, w, b, out)


def linear_backward(
    ds: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    *,
    need_dx: bool = True,
    out: tuple[NDArray[Any] | None, NDArray[Any] | None, NDArray[Any] | None] | None = None,
    accumulate: bool = False,
) -> tuple[NDArray[Any] | None, NDArray[Any], NDArray[Any]]:
    """Gradients of a cost by the inputs of ``s = x w + b``, from its gradient by s.

    Parameters
    ----------
    ds : array, shape (..., L)
    x : array, shape (..., D)
    w : array, shape (D, L)
    need_dx : bool
        False leaves dx out (it is then None).
    out : tuple (dx, dw, db), optional
        Where the results go; None in a place makes a new array.
    accumulate : bool
        Add each result to what its array in ``out`` holds.

    Returns
    -------
    dx : array, shape (..., D), or None
        ``ds w'``
    dw : array, shape (D, L)
        ``x' ds``, a sum over all rows.
    db : array, shape (L,)
        The sum of ds over all rows.

    Raises
    ------
    TypeError
        If the dtypes are not all float32 or all float64.
    ValueError
        If the shapes do not fit, if an output overlaps another array, or if ``accumulate`` has
        nothing to add to.
    """
    return _core.linear_backward(ds, x, w, need_dx, out, accumulate)


def logsumexp(e: ArrayLike, beta: float = 1.0) -> NDArray[Any] | np.floating[Any]:
    """The soft maximum ``(1/beta) log(sum(exp(beta e)))`` over the last axis.

    Parameters
    ----------
    e : array, shape (..., K)
    beta : float
        Inverse temperature, greater than 0; the larger, the closer to ``max(e)``.

    Returns
    -------
    m : array, shape (...)

    Raises
    ------
    TypeError
        If e is neither float32 nor float64.
    ValueError
        If beta is not finite and positive, or K is 0.
    """
    return _core.logsumexp(e, number("logsumexp", "beta", beta, 0.0, open_=True))
