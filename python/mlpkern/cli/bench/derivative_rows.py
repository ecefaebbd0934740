"""The rows of the group `derivative`: tanh networks, batches, and what of them is measured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

KINDS = ("jacobian", "jvp", "vjp", "sample gradients", "hvp", "laplacian", "training step")
SIZES: tuple[tuple[int, ...], ...] = (
    (4, 64, 64, 2),
    (17, 256, 256, 6),
    (2, *[20] * 8, 1),
    (3, *[50] * 5, 3),
    (784, 128, 10),
)
QUICK_SIZES = (SIZES[0], SIZES[2])
BATCHES, QUICK_BATCHES = (1, 32, 1024), (1, 32)
MOST_INPUTS = 4  # of a training step on second derivatives: time and space coordinates
# 784-128-10 with 1024 rows: 784 tangents of a second derivative each take seconds in all libraries.
MOST_PRODUCTS = 5e10
LEFT_OUT = "left out: the laplacian of 1024 rows of 784, which takes seconds in every library"

# A row's unit, how much of it mlpkern may take, and the unit's place in a sentence.
UNITS = {"hvp": ("gradients", 3.0), "laplacian": ("forwards an input", 3.0)}


def rows(
    sizes: Sequence[tuple[int, ...]] | None, batches: Sequence[int] | None, quick: bool
) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Yield what, widths, and rows in the batch; None stands for the whole matrix."""
    for what in KINDS:
        for net in sizes or (QUICK_SIZES if quick else SIZES):
            if what == "training step" and net[0] > MOST_INPUTS:
                continue
            for n in batches or (QUICK_BATCHES if quick else BATCHES):
                if what != "laplacian" or _products(net, n) < MOST_PRODUCTS:
                    yield what, net, n


def _products(net: tuple[int, ...], n: int) -> float:
    """Return the multiplications of a Laplacian whose every input has two tangents."""
    weights = sum(d * k for d, k in itertools.pairwise(net))
    return 2.0 * n * net[0] * weights
