"""Dropout: a map that drops elements at random while one trains."""

from __future__ import annotations

from typing import Any

from mlpkern import _core
from mlpkern._arguments import integer, number
from mlpkern.maps import Map
from mlpkern.program import ProgramBuilder

__all__ = ["Dropout"]


class Dropout(Map):
    """Each element becomes 0 with probability p, the others times ``1/(1 - p)``, while one trains.

    Passes that train are ``net(x)``, :func:`train_step` and :func:`fit`. Everywhere else, in
    ``predict``, costs, ``value_and_gradient`` and all derivatives, it is the identity.

    The mask is a function of the seed, the number of passes so far, the place in the network, the
    row in the batch and the column: the same bits for any number of threads, and on any machine.
    Several dropouts of one network may have the same seed.

    Parameters
    ----------
    p : float
        From 0 to 1.
    seed : int
        From 0 to 2^64 - 1.

    Attributes
    ----------
    passes : int
        How many passes have drawn a mask; it may be set, to draw masks again.

    Notes
    -----
    The numbers are Threefry-2x32 with 20 rounds [1]_.

    .. [1] Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
    """

    def __init__(self, p: float = 0.5, seed: int = 0) -> None:
        self.p = number("Dropout", "p", p, 0.0)
        if self.p > 1:
            raise ValueError(f"Dropout: p must be from 0 to 1; got {self.p}")
        self.seed = integer("Dropout", "seed", seed, 0)
        if self.seed >= 2**64:
            raise ValueError(f"Dropout: seed must be less than 2^64; got {self.seed}")
        self._state = _core.Dropout(self.p, self.seed)
        self._usage = _core.Usage()

    @property
    def passes(self) -> int:
        """How many passes have drawn a mask."""
        return self._state.passes

    @passes.setter
    def passes(self, passes: int) -> None:
        passes = integer("Dropout", "passes", passes, 0)
        if passes >= 2**62:
            raise ValueError(f"Dropout: passes must be less than 2^62; got {passes}")
        self._state.passes = passes

    def copy(self) -> Dropout:
        """A dropout that goes on as this one would."""
        other = Dropout(self.p, self.seed)
        other.passes = self.passes
        return other

    def config(self) -> dict[str, Any]:
        """``{"type": "Dropout", "p": 0.5, "seed": 0}``."""
        return {"type": "Dropout", "p": self.p, "seed": self.seed}

    def __repr__(self) -> str:
        return f"Dropout({self.p:g}{f', seed={self.seed}' if self.seed else ''})"

    def _emit(self, builder: ProgramBuilder, value: int) -> int:
        return builder.dropout(value, self)


def dropouts_in(net: Map) -> list[Dropout]:
    """The dropouts of a network, each as often as it occurs."""
    return [f for f in net._maps() if isinstance(f, Dropout)]
