"""Activations and their derivatives against the promised accuracy, on every instruction set.

``python tests/accuracy.py --exhaustive`` goes through all 2^32 float32 inputs; here are 2^22 of
them, equally many from each sign and exponent, and every border between regions.
"""

from __future__ import annotations

import numpy as np
import pytest

import accuracy
import mlpkern as mk

FLOAT32_SAMPLES = 2**22 // 2**9  # from each of 2^9 signs and exponents
FLOAT64_SAMPLES = 2  # from each of 2^12


@pytest.fixture(scope="module")
def inputs() -> dict[str, accuracy.Array]:
    return {
        "float32": accuracy.stratified(np.float32, FLOAT32_SAMPLES),
        "float64": accuracy.stratified(np.float64, FLOAT64_SAMPLES),
    }


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", accuracy.ROWS, ids=str)
def test_accuracy(
    row: accuracy.Row, dtype: str, isa: str, inputs: dict[str, accuracy.Array]
) -> None:
    bound = row.bound(dtype)
    s = inputs[dtype]
    for i in range(0, s.size, accuracy.PIECE):
        found = accuracy.measure(row, accuracy.ORDERS, s[i : i + accuracy.PIECE])
        for order, (error, worst) in zip(accuracy.ORDERS, found, strict=True):
            assert error <= bound, f"{row} {order}: {error:.3f} ULP at {worst!r}"


@pytest.mark.parametrize("beta", [1e-4, 1e-7, 1e-8, 1e-20, 1e-200])
def test_softplus_of_a_small_beta(beta: float, isa: str) -> None:
    """Its division lifts what exp leaves off."""
    s = np.linspace(-760, 40, 801) / beta
    (found,) = accuracy.measure(accuracy.Row("Softplus", {"beta": beta}), ["value"], s)
    assert found[0] <= 2


def test_the_oracle_is_not_rounded_where_values_are_subnormal() -> None:
    row = accuracy.Row("GELU")
    value = accuracy.exact_from_definition(row, -np.linspace(37.6, 38.4, 50))[0]
    assert (value != value.astype(np.float64)).mean() > 0.9


def test_every_activation_has_its_row() -> None:
    assert {row.name for row in accuracy.ROWS} == {
        name for name, cls in mk.ACTIVATIONS.items() if not cls.by_rows
    }


def test_inputs_are_many_and_everywhere(inputs: dict[str, accuracy.Array]) -> None:
    assert inputs["float32"].size >= 2**22
    for dtype, exponents in (("float32", 2**9), ("float64", 2**12)):
        s = inputs[dtype]
        info = np.finfo(dtype)
        upper = s.view(f"u{s.itemsize}") >> np.array(info.nmant, f"u{s.itemsize}")
        assert np.unique(upper).size == exponents


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_measure_sees_a_wrong_value(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value, three units in the last place off, among many."""
    s = np.linspace(0.1, 3, 1000).astype(dtype)

    class Wrong(mk.Tanh):
        def __call__(self, s, out=None):  # type: ignore[no-untyped-def]
            a = super().__call__(s, out)
            a[417] += 3 * np.spacing(a[417])
            return a

    row = accuracy.Row("Tanh")
    assert accuracy.measure(row, ["value"], s)[0][0] <= row.bound(dtype)
    monkeypatch.setattr(mk, "Tanh", Wrong)
    [(error, worst)] = accuracy.measure(row, ["value"], s)
    assert error > 2
    assert worst == s[417]
