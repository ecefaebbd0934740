"""Arguments that are not arrays, checked once: numbers, integers, flags."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def number(who: str, name: str, value: Any, least: float = -math.inf, open_: bool = False) -> float:
    """A finite number that is at least ``least``, or greater where ``open_``.

    Raises
    ------
    TypeError, ValueError
        ``who: name must be a number; got str``.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.floating | np.integer
    ):
        raise TypeError(f"{who}: {name} must be a number; got {type(value).__name__}")
    result = float(value)
    if math.isfinite(result) and (result > least if open_ else result >= least):
        return result
    rule = "" if least == -math.inf else f" and {'greater than' if open_ else 'at least'} {least:g}"
    raise ValueError(f"{who}: {name} must be finite{rule}; got {result}")


def integer(who: str, name: str, value: Any, least: float = -math.inf) -> int:
    """An integer that is at least ``least``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{who}: {name} must be an integer; got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{who}: {name} must be at least {least}; got {value}")
    return int(value)


def flag(who: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{who}: {name} must be True or False; got {value!r}")
    return bool(value)
