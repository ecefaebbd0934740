"""torch.compile: the forward pass with the cost, and its backward, made into C++.

Compiling takes some ten seconds a shape, so that only a part of the matrix is measured.
"""

from functools import partial

import torch

from ..cases import QUICK_SIZES, SIZES
from ..problems import Problem
from . import Prepared
from . import torch as eager

start = eager.start
_SIZES = {*QUICK_SIZES, SIZES[-1]}
_BATCHES = {1, 4096}


def _measured(data: Problem) -> bool:
    return data.case.sizes in _SIZES and data.case.rows in _BATCHES


def step(data: Problem) -> Prepared | None:
    """The compiled cost, its backward, and the fused optimizer, which compiling makes slower."""
    return eager.step(data, _compiled()) if _measured(data) else None


def inference(data: Problem) -> Prepared | None:
    """The compiled network."""
    return eager.inference(data, _compiled()) if _measured(data) else None


def _compiled() -> partial[object]:
    torch.compiler.reset()
    return partial(torch.compile, dynamic=False)
