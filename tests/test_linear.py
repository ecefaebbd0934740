"""linear, linear_backward, logsumexp: bounds, exact integers, layouts, adjointness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk

# (n, D, L). The edges are those of csrc/gemm/blocking.hpp: MR = 6 rows; NR = 64 or 16 columns
# (float32), 32 or 8 (float64), whole vectors being 16 or 8 and 8 or 4; KC = 512; b is packed where
# 512 of its rows span over 768 kB, or 1 MB for up to 64 rows; 512 turned columns. 0 and 1
# everywhere.
ROWS = [0, 1, 5, 6, 7, 11, 12, 13, 63, 64, 65, 95, 96, 97, 191, 192, 193]
INNER = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513]
COLUMNS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512, 513]
SHAPES = [
    *((n, 3, 5) for n in ROWS),
    *((7, D, 9) for D in INNER),
    *((7, 5, L) for L in COLUMNS),
    (0, 0, 0),
    (1, 1, 1),
    (65, 257, 65),  # one column more than a panel
    (67, 258, 34),
    (97, 5, 513),
    (193, 2, 17),  # blocks of rows
    (66, 513, 401),  # b packed, in two blocks of k
    (3, 513, 515),  # the same for few rows
    (16, 513, 130),  # dx with its rows in lanes, in two blocks of columns
    (97, 300, 200),  # the same in two blocks of rows, the last one partly empty
]


def integers(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[Any]:
    """Random integers small enough that every partial sum is exact in float32."""
    return [rng.integers(-9, 10, shape) for shape in shapes]


def normal(rng: np.random.Generator, dtype: type, *shapes: tuple[int, ...]) -> list[Any]:
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def painted(shape: tuple[int, ...], dtype: type) -> Any:
    return np.full(shape, np.nan, dtype)


# --- values
def test_exact_on_small_integers(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """|sum| <= 9 + 513 * 81 < 2^24: no rounding happens, in whatever order."""
    for n, D, L in SHAPES:
        x, w, b, ds = integers(rng, (n, D), (D, L), (L,), (n, L))
        xf, wf, bf, dsf = (v.astype(dtype) for v in (x, w, b, ds))
        compare.assert_same_bits(mk.linear(xf, wf), (x @ w).astype(dtype))
        compare.assert_same_bits(mk.linear(xf, wf, bf), (x @ w + b).astype(dtype))
        dx, dw, db = mk.linear_backward(dsf, xf, wf)
        compare.assert_same_bits(dx, (ds @ w.T).astype(dtype))
        compare.assert_same_bits(dw, (x.T @ ds).astype(dtype))
        compare.assert_same_bits(db, ds.sum(axis=0).astype(dtype))


def test_large_products_go_by_blocks(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Blocks of 516 x 768 elements, which threads share out."""
    n, D, L = 520, 1540, 780
    x, w, b, ds = (rng.integers(-3, 4, s) * 1.0 for s in ((n, D), (D, L), (L,), (n, L)))
    arrays = [v.astype(dtype) for v in (x, w, b, ds)]
    compare.assert_same_bits(mk.linear(*arrays[:3]), (x @ w + b).astype(dtype))
    dx, dw, _ = mk.linear_backward(arrays[3], *arrays[:2])
    compare.assert_same_bits(dx, (ds @ w.T).astype(dtype))
    compare.assert_same_bits(dw, (x.T @ ds).astype(dtype))


def test_within_the_componentwise_bound(isa: str, dtype: type, rng: np.random.Generator) -> None:
    for n, D, L in SHAPES:
        x, w, b, ds = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
        compare.assert_product(mk.linear(x, w), x, w)
        compare.assert_product(mk.linear(x, w, b), x, w, b)
        dx, dw, db = mk.linear_backward(ds, x, w)
        compare.assert_product(dx, ds, w.T)
        compare.assert_product(dw, x.T, ds)
        compare.assert_product(db[None], np.ones((1, n)), ds)


def test_agrees_with_the_reference(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """The oracle is float64 and rounds too: its own bound is added, of the same form."""
    x, w, b, ds = normal(rng, dtype, (4, 7, 5), (5, 6), (6,), (4, 7, 6))
    rows, ds_rows = (np.abs(v.reshape(28, -1)).astype(np.float64) for v in (x, ds))
    size = np.abs(w).astype(np.float64)

    def tolerance(k: int) -> float:
        return compare.gamma(k + 2, dtype) + compare.gamma(k + 2, np.float64)

    s = mk.reference.linear(x, w, b)
    bound = tolerance(5) * (rows @ size + np.abs(b)).reshape(s.shape)
    compare.assert_within(mk.linear(x, w, b), s, bound)
    expected = mk.reference.linear_backward(ds, x, w)
    got = mk.linear_backward(ds, x, w)
    compare.assert_within(got[0], expected[0], tolerance(6) * (ds_rows @ size.T).reshape(x.shape))
    compare.assert_within(got[1], expected[1], tolerance(28) * (rows.T @ ds_rows))
    compare.assert_within(got[2], expected[2], tolerance(28) * ds_rows.sum(axis=0))


def test_no_inputs_give_the_bias(isa: str, dtype: type, rng: np.random.Generator) -> None:
    (b,) = normal(rng, dtype, (70,))
    out = painted((9, 70), dtype)
    s = mk.linear(np.zeros((9, 0), dtype), np.zeros((0, 70), dtype), b, out=out)
    compare.assert_same_bits(s, np.tile(b, (9, 1)))
    zero = mk.linear(np.zeros((9, 0), dtype), np.zeros((0, 70), dtype), out=painted((9, 70), dtype))
    compare.assert_same_bits(zero, np.zeros((9, 70), dtype))


def test_no_rows_and_no_columns(isa: str, dtype: type) -> None:
    s = mk.linear(np.zeros((0, 3), dtype), np.ones((3, 4), dtype))
    assert s.shape == (0, 4)
    assert s.dtype == dtype
    dx, dw, db = mk.linear_backward(s, np.zeros((0, 3), dtype), np.ones((3, 4), dtype))
    assert dx.shape == (0, 3)
    compare.assert_same_bits(dw, np.zeros((3, 4), dtype))
    compare.assert_same_bits(db, np.zeros(4, dtype))
    assert mk.linear(np.ones((2, 3), dtype), np.ones((3, 0), dtype)).shape == (2, 0)
    dx, dw, db = mk.linear_backward(
        np.ones((2, 0), dtype), np.ones((2, 3), dtype), np.ones((3, 0), dtype)
    )
    compare.assert_same_bits(dx, np.zeros((2, 3), dtype))
    assert dw.shape == (3, 0)
    assert db.shape == (0,)
    assert mk.linear(np.ones((0, 5, 3), dtype), np.ones((3, 4), dtype)).shape == (0, 5, 4)


def test_bias_gradients_add_up_the_rows_in_order(isa: str, dtype: type) -> None:
    """One chain a column, 0 + ds[0] + ds[1] + …, for one to six registers of columns, all kinds."""
    for L in [*range(1, 35), 47, 48, 49, 63, 64, 65, 70, 81, 96, 127, 130, 300]:
        for n in (1, 2, 7, 8, 9, 21):
            ds = np.random.default_rng([L, n]).normal(size=(n, L)).astype(dtype)
            db = mk.linear_backward(ds, np.ones((n, 2), dtype), np.ones((2, L), dtype))[2]
            expected = np.zeros(L, dtype)
            for row in ds:
                expected += row
            compare.assert_same_bits(db, expected)


@pytest.mark.parametrize("leading", [(), (1,), (4,), (2, 3), (1, 2, 1, 3)], ids=str)
def test_leading_dimensions(
    isa: str, dtype: type, leading: tuple[int, ...], rng: np.random.Generator
) -> None:
    x, w, b, ds = normal(rng, dtype, (*leading, 5), (5, 7), (7,), (*leading, 7))
    n = int(np.prod(leading))
    flat = mk.linear(x.reshape(n, 5), w, b)
    compare.assert_same_bits(mk.linear(x, w, b), flat.reshape(*leading, 7))
    got = mk.linear_backward(ds, x, w)
    dx, dw, db = mk.linear_backward(ds.reshape(n, 7), x.reshape(n, 5), w)
    for actual, expected in zip(got, (dx.reshape(*leading, 5), dw, db), strict=True):
        compare.assert_same_bits(actual, expected)


def graded(rng: np.random.Generator, dtype: type, shape: tuple[int, ...], powers: int) -> Any:
    return (rng.normal(size=shape) * 2.0 ** rng.integers(-powers, powers + 1, shape)).astype(dtype)


def test_graded_data(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Over 2^±60 and 2^±50: products from 2^-110 to 2^110, which float32 holds."""
    for n, D, L in [(7, 1, 5), (13, 70, 33), (66, 300, 65)]:
        x, w, b = (graded(rng, dtype, s, p) for s, p in [((n, D), 60), ((D, L), 50), ((L,), 60)])
        compare.assert_product(mk.linear(x, w, b), x, w, b)
        ds = graded(rng, dtype, (n, L), 50)
        dx, dw, db = mk.linear_backward(ds, x, w)
        compare.assert_product(dx, ds, w.T)
        compare.assert_product(dw, x.T, ds)
        compare.assert_product(db[None], np.ones((1, n)), ds)


def test_cancelling_data(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Each product is followed, later in the chain, by its negative, but for 2^-20 of it."""
    x, w = normal(rng, dtype, (13, 150), (150, 65))
    x2 = np.concatenate([x, -x * dtype(1 - 2.0**-20)], axis=1)
    w2 = np.concatenate([w, w])
    s = mk.linear(x2, w2)
    compare.assert_product(s, x2, w2)
    assert np.abs(s).max() < 1e-3  # it does cancel: |x| |w| adds up to about 100


def test_a_chain_of_fused_multiply_adds_in_order(isa: str, dtype: type) -> None:
    """Documented: each element starts from b and adds x[k] w[k] for k = 0, 1, …, one by one.

    1 + e with e half a unit in the last place of 1 is 1 (to even) each time in this order; in
    another order, or with more than one accumulator, the small ones would add up first.
    """
    x = np.full((3, 300), np.finfo(dtype).eps / 2, dtype)
    x[:, 0] = 1
    compare.assert_same_bits(mk.linear(x, np.ones((300, 19), dtype)), np.ones((3, 19), dtype))


# --- special values
def by_definition(x: Any, w: Any) -> Any:
    with np.errstate(all="ignore"):
        return (x.astype(np.float64)[:, :, None] * w.astype(np.float64)[None]).sum(axis=1)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
def test_zero_times_infinity_is_kept(
    isa: str, dtype: type, special: float, rng: np.random.Generator
) -> None:
    """No zero is skipped: 0 inf = NaN, in every place of a tile; other elements do not notice."""
    n, D, L = 13, 9, 67
    for i, k, j in [(0, 0, 0), (5, 3, 15), (6, 8, 16), (12, 8, 66), (11, 4, 64)]:
        x, w, ds = normal(rng, dtype, (n, D), (D, L), (n, L))
        x[::2, k] = 0
        w[k, j] = special
        ds[i, j] = special
        with np.errstate(invalid="ignore"):
            s = mk.linear(x, w)
            assert np.isnan(s[::2, j]).all()
            special_ones = ~np.isfinite(by_definition(x, w))
            assert special_ones.sum() == n
            np.testing.assert_array_equal(s[special_ones], by_definition(x, w)[special_ones])
            assert np.isfinite(s[~special_ones]).all()
            dx, dw, db = mk.linear_backward(ds, x, w)
            for got, a, b in [(dx, ds, w.T), (dw, x.T, ds), (db[None], np.ones((1, n)), ds)]:
                exact = by_definition(a, b)
                np.testing.assert_array_equal(np.isfinite(got), np.isfinite(exact))
                np.testing.assert_array_equal(got[~np.isfinite(exact)], exact[~np.isfinite(exact)])


def test_subnormals_are_not_flushed(isa: str, dtype: type) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.full((3, 1), 3 * tiny, dtype)
    w = np.array([[1, 2, -5] * 7], dtype)
    expected = np.array([[3, 6, -15] * 7] * 3, dtype) * tiny
    compare.assert_same_bits(mk.linear(x, w), expected)


# --- layouts of the inputs
def layouts(a: Any) -> Iterator[tuple[str, Any]]:
    """The same values (a matrix or a vector) under other strides, alignments and byte orders."""
    yield "Fortran", np.asfortranarray(a)
    yield "transposed", np.ascontiguousarray(a.T).T
    backwards = tuple(slice(None, None, -1) for _ in a.shape)
    yield "negative", a[backwards].copy()[backwards]
    wide = np.full([2 * k + 1 for k in a.shape], np.nan, a.dtype)
    every_other = tuple(slice(1, None, 2) for _ in a.shape)
    wide[every_other] = a
    yield "step 2", wide[every_other]
    padded = np.full((*a.shape[:-1], a.shape[-1] + 3), np.nan, a.dtype)
    padded[..., 1:-2] = a
    yield "rows apart", padded[..., 1:-2]
    yield "swapped", a.astype(a.dtype.newbyteorder())
    locked = a.copy()
    locked.flags.writeable = False
    yield "read-only", locked
    for offset in range(1, 8):
        memory = np.full(a.nbytes + 8, 0xFF, np.uint8)
        shifted = memory[offset : offset + a.nbytes].view(a.dtype).reshape(a.shape)
        shifted[...] = a
        yield f"{offset} bytes off", shifted


def test_layouts_of_the_inputs(isa: str, dtype: type, rng: np.random.Generator) -> None:
    x, w, b, ds = normal(rng, dtype, (13, 10), (10, 35), (35,), (13, 35))
    s = mk.linear(x, w, b)
    gradients = mk.linear_backward(ds, x, w)
    for i, given in enumerate((x, w, b, ds)):
        for name, other in layouts(given):
            assert (other == given).all(), name
            before = other.copy()
            arrays = [x, w, b, ds]
            arrays[i] = other
            compare.assert_same_bits(mk.linear(*arrays[:3]), s)
            got = mk.linear_backward(arrays[3], arrays[0], arrays[1])
            for actual, expected in zip(got, gradients, strict=True):
                compare.assert_same_bits(actual, expected)
            compare.assert_same_bits(np.asarray(other, dtype).copy(), np.asarray(before, dtype))


def test_broadcast_inputs(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """Strides of 0: one row for all, one column for all, one number for all."""
    row, column, w, ds = normal(rng, dtype, (1, 10), (13, 1), (10, 35), (13, 35))
    number = np.array([[1.7]], dtype)
    for narrow in (row, column, number):
        x = np.broadcast_to(narrow, (13, 10))
        assert 0 in x.strides
        compare.assert_same_bits(mk.linear(x, w), mk.linear(x.copy(), w))
        got, expected = (mk.linear_backward(ds, v, w) for v in (x, x.copy()))
        for actual, exact in zip(got, expected, strict=True):
            compare.assert_same_bits(actual, exact)
    w0 = np.broadcast_to(w[:, :1], (10, 35))
    compare.assert_same_bits(mk.linear(row, w0), mk.linear(row, w0.copy()))
    ds0 = np.broadcast_to(dtype(0.3), (13, 35))
    x = np.broadcast_to(row, (13, 10)).copy()
    for actual, exact in zip(
        mk.linear_backward(ds0, x, w), mk.linear_backward(ds0.copy(), x, w), strict=True
    ):
        compare.assert_same_bits(actual, exact)


def test_inputs_stay_as_they_were(isa: str, dtype: type, rng: np.random.Generator) -> None:
    arrays = normal(rng, dtype, (66, 300), (300, 65), (65,), (66, 65))
    before = [a.copy() for a in arrays]
    x, w, b, ds = arrays
    mk.linear(x, w, b)
    mk.linear_backward(ds, x, w)
    for a, kept in zip(arrays, before, strict=True):
        compare.assert_same_bits(a, kept)


def test_lists_are_arrays(isa: str) -> None:
    s = mk.linear([1.0, 2.0], [[1.0, 0.0, 3.0], [0.0, 1.0, -1.0]], [10.0, 20.0, 30.0])
    compare.assert_same_bits(s, np.array([11.0, 22.0, 31.0]))


# --- outputs
def test_out_is_written_and_not_read(isa: str, dtype: type, rng: np.random.Generator) -> None:
    """NaN in what is overwritten must not reach the result: only accumulate reads it."""
    for n, D, L in [(1, 1, 1), (7, 0, 9), (13, 5, 67), (66, 258, 65), (193, 3, 2)]:
        x, w, b, ds = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
        for bias in (None, b):
            out = painted((n, L), dtype)
            assert mk.linear(x, w, bias, out=out) is out
            compare.assert_same_bits(out, mk.linear(x, w, bias))
        outs = painted((n, D), dtype), painted((D, L), dtype), painted((L,), dtype)
        got = mk.linear_backward(ds, x, w, out=outs)
        for actual, out, fresh in zip(got, outs, mk.linear_backward(ds, x, w), strict=True):
            assert actual is out
            compare.assert_same_bits(out, fresh)


def test_some_outputs_given(dtype: type, rng: np.random.Generator) -> None:
    x, w, ds = normal(rng, dtype, (7, 5), (5, 9), (7, 9))
    expected = mk.linear_backward(ds, x, w)
    for i in range(3):
        outs: list[Any] = [None, None, None]
        outs[i] = painted(expected[i].shape, dtype)
        got = mk.linear_backward(ds, x, w, out=tuple(outs))
        assert got[i] is outs[i]
        for actual, exact in zip(got, expected, strict=True):
            compare.assert_same_bits(actual, exact)


def test_accumulate_adds(isa: str, dtype: type, rng: np.random.Generator) -> None:
    for n, D, L in [(1, 1, 1), (13, 5, 67), (66, 258, 65)]:
        x, w, ds, dx0, dw0, db0 = normal(rng, dtype, (n, D), (D, L), (n, L), (n, D), (D, L), (L,))
        dx, dw, db = mk.linear_backward(
            ds, x, w, out=(dx0.copy(), dw0.copy(), db0.copy()), accumulate=True
        )
        compare.assert_product(dx, ds, w.T, dx0)
        compare.assert_product(dw, x.T, ds, dw0)
        compare.assert_product(db[None], np.ones((1, n)), ds, db0)
    xi, wi, dsi, c = integers(rng, (13, 5), (5, 67), (13, 67), (5, 67))
    out = np.zeros((13, 5), dtype), c.astype(dtype), np.ones(67, dtype)
    arrays = [a.astype(dtype) for a in (dsi, xi, wi)]
    mk.linear_backward(*arrays, out=out, accumulate=True)
    compare.assert_same_bits(out[1], (xi.T @ dsi + c).astype(dtype))
    mk.linear_backward(*arrays, out=out, accumulate=True)
    compare.assert_same_bits(out[0], (2 * dsi @ wi.T).astype(dtype))
    compare.assert_same_bits(out[1], (2 * xi.T @ dsi + c).astype(dtype))
    compare.assert_same_bits(out[2], (2 * dsi.sum(axis=0) + 1).astype(dtype))


def test_accumulate_keeps_nan(isa: str, dtype: type) -> None:
    out = tuple(np.zeros(s, dtype) for s in [(2, 3), (3, 4), (4,)])
    out[1][2, 3] = np.nan
    arrays = np.ones((2, 4), dtype), np.ones((2, 3), dtype), np.ones((3, 4), dtype)
    _, dw, _ = mk.linear_backward(*arrays, out=out, accumulate=True)
    assert np.isnan(dw[2, 3])
    assert np.isnan(dw).sum() == 1


def test_without_dx(isa: str, dtype: type, rng: np.random.Generator) -> None:
    x, w, ds = normal(rng, dtype, (13, 5), (5, 67), (13, 67))
    dx, dw, db = mk.linear_backward(ds, x, w, need_dx=False)
    assert dx is None
    expected = mk.linear_backward(ds, x, w)
    compare.assert_same_bits(dw, expected[1])
    compare.assert_same_bits(db, expected[2])
    outs = None, np.zeros_like(dw), np.zeros_like(db)
    dx, dw2, _ = mk.linear_backward(ds, x, w, need_dx=False, out=outs, accumulate=True)
    assert dx is None
    compare.assert_same_bits(dw2, expected[1])


def test_results_are_new_arrays(dtype: type) -> None:
    x, w = np.ones((2, 3), dtype), np.ones((3, 2), dtype)
    first = mk.linear(x, w)
    kept = first.copy()
    assert not np.shares_memory(first, mk.linear(2 * x, w))
    compare.assert_same_bits(first, kept)


# --- adjointness
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 9), (66, 258, 65)], ids=str)
def test_backward_is_the_adjoint(
    isa: str, dtype: type, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    """<x w, ds> = <x, dx> = <w, dw>, <1 b, ds> = <b, db>, up to the roundings of the products."""
    n, D, L = shape
    x, w, b, ds = normal(rng, dtype, (n, D), (D, L), (L,), (n, L))
    s = mk.linear(x, w)
    dx, dw, db = mk.linear_backward(ds, x, w)

    def inner(u: Any, v: Any) -> Any:
        return np.sum(u.astype(np.longdouble) * v.astype(np.longdouble))

    absolute = np.abs(x).astype(np.float64) @ np.abs(w).astype(np.float64)
    scale = float(np.sum(absolute * np.abs(ds)))
    left = inner(s, ds)
    for right, roundings in [(inner(x, dx), L), (inner(w, dw), n)]:
        bound = (compare.gamma(D + 2, dtype) + compare.gamma(roundings + 2, dtype)) * scale
        assert abs(left - right) <= bound
    bias = inner(np.broadcast_to(b, (n, L)), ds)
    scale = float(np.sum(np.abs(b) * np.abs(ds)))
    assert abs(bias - inner(b, db)) <= compare.gamma(n + 2, dtype) * scale


# --- logsumexp
BETAS = [1e-3, 1.0, 40.0, 1e4]
# Virtual lanes are 8: one lane, one of each, one more; two rounds; longer than any piece.
WIDTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 700]


def assert_logsumexp(e: Any, beta: float) -> None:
    exact = mk.reference.logsumexp(e.astype(np.longdouble), beta)
    compare.assert_ulp(np.asarray(mk.logsumexp(e, beta)), exact, 2, absolute=2)


@pytest.mark.parametrize("beta", BETAS)
def test_logsumexp(isa: str, dtype: type, beta: float, rng: np.random.Generator) -> None:
    for cols in WIDTHS:
        (e,) = normal(rng, dtype, (11, cols))
        for scale in (1e-4, 1.0, 50.0):
            assert_logsumexp(e * dtype(scale / min(beta, 1.0)), beta)
    # Far below the maximum a term is exp(-800), or nothing: it must not show on a maximum of 0.
    for row in ([0, -800], [0, -1e4, -1e5]):
        exact = mk.reference.logsumexp(np.array([row], np.longdouble), beta)
        compare.assert_ulp(mk.logsumexp(np.array([row], dtype), beta), exact, 2)
    ties = np.repeat(np.array([[-2.5], [0], [3]], dtype), 13, axis=1)
    assert_logsumexp(ties, beta)


@pytest.mark.parametrize("beta", BETAS)
def test_logsumexp_of_huge_entries(isa: str, dtype: type, beta: float) -> None:
    """The maximum is taken off first: nothing overflows, and -big + big is not asked of exp."""
    big = np.finfo(dtype).max
    e = np.array([[big, big / 2, -big], [-big, -big, -big], [1e4, 1e4 - 1, 0], [-1e4, 3, 2]], dtype)
    got = mk.logsumexp(e, beta)
    assert np.isfinite(got[1:]).all()
    assert_logsumexp(e[1:], beta)
    assert got[0] == big


def test_logsumexp_of_one_column_is_the_column(
    isa: str, dtype: type, rng: np.random.Generator
) -> None:
    (e,) = normal(rng, dtype, (37, 1))
    e[3] = 0
    for beta in BETAS:
        compare.assert_same_bits(mk.logsumexp(e, beta), e[:, 0].copy())


def test_logsumexp_of_special_values(isa: str, dtype: type) -> None:
    inf, nan = np.inf, np.nan
    rows = [
        ([-inf, -inf, -inf], -inf),
        ([-inf, 2, -inf], 2),
        ([-inf, 0, 0], np.log(2)),
        ([inf, 1, 2], inf),
        ([inf, -inf, inf], inf),
        ([nan, 1, 2], nan),
        ([1, 2, nan], nan),
        ([inf, nan, -inf], nan),
        ([-inf, nan, -inf], nan),
    ]
    e, expected = np.array([r for r, _ in rows], dtype), np.array([m for _, m in rows])
    compare.assert_ulp(mk.logsumexp(e), expected, 0.5)
    for cols in (8, 9, 17):  # the special one in every place of the lanes
        for place in range(cols):
            row = np.zeros((1, cols), dtype)
            for special, result in [(nan, nan), (inf, inf), (-inf, np.log(cols - 1))]:
                row[0, place] = special
                compare.assert_ulp(mk.logsumexp(row), np.array([result]), 0.5)


def test_logsumexp_shapes(isa: str, dtype: type, rng: np.random.Generator) -> None:
    (e,) = normal(rng, dtype, (2, 3, 5))
    m = mk.logsumexp(e)
    compare.assert_same_bits(m, mk.logsumexp(e.reshape(6, 5)).reshape(2, 3))
    one = mk.logsumexp(e[1, 2])
    assert one == m[1, 2]
    assert one.dtype == dtype
    assert mk.logsumexp(np.zeros((0, 5), dtype)).shape == (0,)
    for name, other in layouts(e[0]):
        compare.assert_same_bits(mk.logsumexp(other), m[0].copy()), name


def test_logsumexp_is_between_max_and_max_plus_log_k(
    isa: str, dtype: type, rng: np.random.Generator
) -> None:
    """And tends to the maximum: max <= m <= max + log(K)/beta, rounding apart."""
    (e,) = normal(rng, dtype, (50, 10))
    top = e.max(axis=1).astype(np.float64)
    for beta in BETAS:
        m = mk.logsumexp(e, beta)
        upper = top + np.log(10) / beta
        slack = 2 * (compare.ulp(m.astype(np.float64), dtype) + np.finfo(dtype).eps)
        assert (m >= top - slack).all()
        assert (m <= upper + slack).all()
