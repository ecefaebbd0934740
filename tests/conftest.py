"""Fixtures: dtypes, instruction sets, a seeded generator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mlpkern as mk

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture(params=mk.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine has, in use for the time of a test."""
    before = mk.isa()
    mk.set_isa(request.param)
    yield request.param
    mk.set_isa(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def mnist() -> Path:
    """The folder of the MNIST files, beside the repository; its tests are skipped without it."""
    folder = REPOSITORY.parent / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("MNIST is not beside the repository in ../shared/data/mnist")
    return folder
