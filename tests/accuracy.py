"""Measure how far activations are from exact: the largest error of each function and derivative.

    python tests/accuracy.py --dtype float32 --exhaustive Tanh      all 2^32 inputs
    python tests/accuracy.py --dtype float64 --samples 16           16 from each binade, and borders

An error is |got - exact|/ulp(exact), the ulp being at least the smallest subnormal; next to a zero
of a derivative (ROWS says where) it is |got - exact|/ulp(1), if that is less. The exact value is
that of ``mlpkern.reference``, in float64 for float32 and in longdouble for float64; where a
product's rounding would be multiplied by an exponential or by omega^3, that is not enough, and
EXACT has the definition in more bits, all orders at once.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gmpy2  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

import mlpkern as mk
from compare import ulp_error

Array = NDArray[Any]
ORDERS = ("value", "derivative", "second_derivative", "third_derivative")
EVERYWHERE = (-math.inf, math.inf)


@dataclass(frozen=True)
class Row:
    """An activation to measure; `zeros`: intervals around zeros that an order passes through."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    zeros: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    float32_bound: float = 1.0  # in ULP; 2 in float64 for every function

    def bound(self, dtype: Any) -> float:
        return self.float32_bound if np.dtype(dtype) == np.float32 else 2.0

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


# fmt: off
ROWS = (
    Row("Identity"), Row("ReLU"), Row("ReLU", {"scale": 0.3}), Row("LeakyReLU"), Row("ReLU6"),
    Row("ELU"), Row("ELU", {"alpha": 0.7}), Row("SELU"), Row("CELU"), Row("CELU", {"alpha": 0.3}),
    Row("GELU", {}, {"derivative": ((-0.8, -0.7),),
                     "second_derivative": ((-1.5, -1.3), (1.3, 1.5)),
                     "third_derivative": ((-2.1, -1.9), (1.9, 2.1))}, float32_bound=2.0),
    Row("GELU", {"approximate": "tanh"}, {"derivative": ((-0.8, -0.7),),
                                          "second_derivative": ((-1.5, -1.3), (1.3, 1.5)),
                                          "third_derivative": ((-2.1, -1.9), (1.9, 2.1))},
        float32_bound=2.0),
    Row("Sigmoid", {}, {"third_derivative": ((-1.4, -1.2), (1.2, 1.4))}), Row("LogSigmoid"),
    Row("Tanh", {}, {"third_derivative": ((-0.7, -0.6), (0.6, 0.7))}),
    Row("Softplus"), Row("Softplus", {"beta": 2.3}), Row("Softsign"),
    Row("SiLU", {}, {"derivative": ((-1.3, -1.2),),
                     "second_derivative": ((-2.5, -2.3), (2.3, 2.5)),
                     "third_derivative": ((-3.5, -3.3), (3.3, 3.5))}, float32_bound=2.0),
    Row("Mish", {}, {"derivative": ((-1.3, -1.1),),
                     "second_derivative": ((-2.4, -2.1), (1.4, 1.6)),
                     "third_derivative": ((-3.4, -3.1), (-0.2, 0.0), (2.0, 2.2))}),
    Row("Hardsigmoid"), Row("Hardswish", {}, {"derivative": ((-1.6, -1.4),)}), Row("Hardtanh"),
    Row("Hardtanh", {"min_val": -0.3, "max_val": 0.7}),
    Row("Tanhshrink", {}, {"third_derivative": ((-0.7, -0.6), (0.6, 0.7))}),
    Row("Softshrink"), Row("Softshrink", {"lambd": 0.3}),
    Row("Hardshrink"), Row("Hardshrink", {"lambd": 0.3}),
    Row("Squareplus"), Row("Squareplus", {"b": 0.3}), Row("Sine"),
    Row("Sine", {"omega": 30.1}, {order: (EVERYWHERE,) for order in ORDERS}),
    Row("Gaussian", {}, {"second_derivative": ((-0.8, -0.6), (0.6, 0.8)),
                         "third_derivative": ((-1.3, -1.1), (1.1, 1.3))}), Row("Exp"),
)
# fmt: on


def _softplus(s: Any, beta: float = 1.0) -> tuple[Any, ...]:
    x = s * gmpy2.mpfr(beta)
    sigma, other = 1 / (1 + gmpy2.exp(-x)), 1 / (1 + gmpy2.exp(x))
    value = max(s, 0) + gmpy2.log1p(gmpy2.exp(-abs(x))) / beta
    second = beta * sigma * other
    return value, sigma, second, -beta * second * gmpy2.tanh(x / 2)


def _celu(s: Any, alpha: float = 1.0) -> tuple[Any, ...]:
    zero = gmpy2.mpfr(0)
    if s > 0:
        return s, gmpy2.mpfr(1), zero, zero
    e = gmpy2.exp(s / alpha)
    rest = (e / alpha, e / alpha / alpha) if s < 0 else (zero, zero)
    return alpha * gmpy2.expm1(s / alpha), e, *rest


def _gelu(s: Any, approximate: str = "none") -> tuple[Any, ...]:
    if approximate == "none":
        cdf = gmpy2.erfc(-s / gmpy2.sqrt(2)) / 2
        pdf = gmpy2.exp(-s * s / 2) / gmpy2.sqrt(2 * gmpy2.const_pi())
        return s * cdf, cdf + s * pdf, (2 - s * s) * pdf, (s * s - 4) * s * pdf
    k, c = gmpy2.sqrt(8 / gmpy2.const_pi()), gmpy2.mpfr("0.044715")
    p, dp, ddp = k * (s + c * s**3), k * (1 + 3 * c * s * s), 6 * k * c * s
    sigma, other = 1 / (1 + gmpy2.exp(-p)), 1 / (1 + gmpy2.exp(p))
    slope = sigma * other
    second, third = -slope * gmpy2.tanh(p / 2), slope * (1 - 6 * slope)
    return (
        s * sigma,
        sigma + s * dp * slope,
        slope * (2 * dp + s * ddp) + s * dp * dp * second,
        slope * 4 * ddp + second * 3 * dp * (dp + s * ddp) + third * s * dp**3,
    )


def _sine(s: Any, omega: float = 1.0) -> tuple[Any, ...]:
    x, rate = s * gmpy2.mpfr(omega), gmpy2.mpfr(omega)
    sine, cosine = gmpy2.sin(x), gmpy2.cos(x)
    return sine, rate * cosine, -(rate**2) * sine, -(rate**3) * cosine


# (s, **arguments) -> f, f', f'', f''', of finite numbers of high precision.
EXACT: dict[str, Callable[..., tuple[Any, ...]]] = {
    "CELU": _celu,
    "GELU": _gelu,
    "Sine": _sine,
    "Softplus": _softplus,
}


# Products of two doubles are exact in 106 bits, 2 - s^2 among them; a result has 64 in longdouble,
# an exponent up to 2^11 multiplies its rounding by as much, and next to its zero a derivative loses
# up to 53 to cancellation: 128, and some.
PRECISION = 160


def exact_from_definition(row: Row, s: Array) -> Array:
    """Return f(s) and its derivatives, of shape (4, n), from EXACT, rounded to longdouble."""
    result = np.empty((len(ORDERS), s.size), np.longdouble)
    with gmpy2.context(gmpy2.get_context(), precision=PRECISION):
        for i, x in enumerate(s.tolist()):
            for order, y in enumerate(EXACT[row.name](gmpy2.mpfr(x), **row.arguments)):
                high = float(y)
                result[order, i] = high
                if math.isfinite(high):
                    shift = 200 if abs(high) < 1 else 0  # the rest of a subnormal is no double
                    rest = float(gmpy2.mul_2exp(y - high, shift))
                    result[order, i] += np.ldexp(np.longdouble(rest), -shift)
    return result


def exact(row: Row, orders: Sequence[str], s: Array) -> list[Array]:
    """Return the exact values for s of each order, in a wider dtype than its own."""
    reference = getattr(mk.reference, row.name)(**row.arguments)
    with np.errstate(invalid="ignore"):  # the cast of a signalling NaN
        wide = s.astype(np.float64 if s.dtype == np.float32 else np.longdouble)
    functions = [reference if o == "value" else getattr(reference, o) for o in orders]
    result = [np.array(function(wide)) for function in functions]
    if s.dtype == np.float64 and row.name in EXACT:
        finite = np.isfinite(s)
        definition = exact_from_definition(row, s[finite])
        for order, values in zip(orders, result, strict=True):
            values[finite] = definition[ORDERS.index(order)]
    return result


def errors(row: Row, order: str, s: Array, got: Array, want: Array) -> Array:
    """Return the errors of `got` in the units of the module's head."""
    result = ulp_error(got, want)
    for low, high in row.zeros.get(order, ()):
        near = (s >= low) & (s <= high)
        absolute = np.abs(got[near].astype(want.dtype) - want[near]) / np.finfo(got.dtype).eps
        result[near] = np.fmin(result[near], absolute)
    return result


def measure(row: Row, orders: Sequence[str], s: Array) -> list[tuple[float, float]]:
    """Return each order's largest error over s, and an s where it is."""
    with np.errstate(all="ignore"):
        wanted = exact(row, orders, s)
    return [measure_one(row, order, s, want) for order, want in zip(orders, wanted, strict=True)]


def measure_one(row: Row, order: str, s: Array, want: Array) -> tuple[float, float]:
    """Return the largest error over s, and an s where it is; 0.5 if all are correctly rounded."""
    activation = getattr(mk, row.name)(**row.arguments)
    got = activation(s) if order == "value" else getattr(activation, order)(s)
    with np.errstate(all="ignore"):
        both_nan = np.isnan(got) & np.isnan(want)
        off = (got != want.astype(got.dtype)) & ~both_nan
        if off.any():  # few: the rest need no division
            s, error = s[off], errors(row, order, s[off], got[off], want[off])
        else:
            error = np.where((got != want) & ~both_nan, 0.5, 0.0)
    worst = int(np.argmax(error))
    return float(error[worst]), float(s[worst])


def borders(dtype: Any) -> Array:
    """Return special values, kinks, places where a kernel changes its formula; and neighbours."""
    info = np.finfo(dtype)
    # fmt: off
    numbers = [0, info.smallest_subnormal, info.tiny, info.eps, info.max, 0.0625, 0.09375,
               math.log(2) / 2, 0.25, 0.3, math.sqrt(2) - 1, 0.5, 0.7, 1, 1.5, 3, 6, 9.3, 14.875,
               16, 24, 32, 39, 40, 87.3365448, 88.7228394, 103.972084, 125, 372.56662, 600,
               623.83246, 709.782712893384, 745.1332191019412, 1000, 2**19, math.inf, math.nan]
    # fmt: on
    if dtype == np.float64:
        numbers += [2.0**200, 2.0**540]
    s = np.array(numbers, dtype)
    with np.errstate(all="ignore"):
        s = np.concatenate([s, np.nextafter(s, dtype(np.inf)), np.nextafter(s, dtype(-np.inf))])
    return np.concatenate([s, -s])


def stratified(dtype: Any, samples: int, seed: int = 0) -> Array:
    """Return `samples` numbers from each sign and exponent, NaN among them; seed 0 adds borders."""
    info = np.finfo(dtype)
    integer = np.uint32 if dtype == np.float32 else np.uint64
    rng = np.random.default_rng(seed)
    upper = np.arange(2 ** (info.bits - info.nmant), dtype=integer) << integer(info.nmant)
    lower = rng.integers(0, 2**info.nmant, (samples, upper.size), dtype=integer)
    numbers = (upper + lower).view(dtype).ravel()
    return np.concatenate([borders(dtype), numbers]) if seed == 0 else numbers


def part(dtype: Any, samples: int, index: int) -> Array:
    """Return one of the PARTS of a sample: what its workers share out."""
    return stratified(dtype, samples // PARTS + (index < samples % PARTS), seed=index)


BLOCK = 1 << 20
PIECE = 1 << 16  # a piece stays in the caches
PARTS = 16


def every_float32(block: int) -> Array:
    """Return one block of all the numbers that 32 bits can mean."""
    return (np.arange(BLOCK, dtype=np.uint32) + np.uint32(block * BLOCK)).view(np.float32)


@dataclass(frozen=True)
class Task:
    """What one worker measures: a block of all float32, or a part of the sample (samples > 0)."""

    row: Row
    orders: tuple[str, ...]
    dtype: str
    samples: int
    block: int
    last: bool  # of its row


def run(task: Task) -> tuple[Task, list[tuple[float, float]]]:
    """Return the largest error of each order, and an s where it is."""
    dtype = np.dtype(task.dtype).type
    s = part(dtype, task.samples, task.block) if task.samples else every_float32(task.block)
    pieces = [measure(task.row, task.orders, s[i : i + PIECE]) for i in range(0, s.size, PIECE)]
    return task, [max(each) for each in zip(*pieces, strict=True)] or [(0.0, 0.0)] * len(
        task.orders
    )


def start_worker(isa: str) -> None:
    mk.set_num_threads(1)
    mk.set_isa(isa)


def tasks(rows: list[Row], options: argparse.Namespace) -> Iterator[Task]:
    blocks = (1 << 32) // BLOCK if options.exhaustive else PARTS
    samples = 0 if options.exhaustive else options.samples
    for row in rows:
        for block in range(blocks):
            last = block == blocks - 1
            yield Task(row, tuple(options.orders), options.dtype, samples, block, last)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="classes to measure (default: all)")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--isa", choices=mk.isas(), default=mk.isa())
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=list(ORDERS))
    parser.add_argument("--exhaustive", action="store_true", help="all 2^32 inputs (float32)")
    parser.add_argument("--samples", type=int, default=16, help="inputs from each binade")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--markdown", type=Path, help="write a table to this file")
    parser.add_argument(
        "--merge", type=Path, nargs="+", help="measure nothing: the table of these JSON files"
    )
    options = parser.parse_args(arguments)
    known = {row.name for row in ROWS}
    if unknown := sorted(set(options.names) - known):
        parser.error(
            f"no such activation: {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    if options.samples < 1:
        parser.error(f"--samples must be at least 1; got {options.samples}")
    if options.exhaustive and options.dtype != "float32":
        parser.error("--exhaustive is for float32: float64 has too many numbers")
    return options


def inputs_of(options: argparse.Namespace) -> str:
    """Say which inputs a run goes through."""
    if options.exhaustive:
        return "all"
    dtype = np.dtype(options.dtype).type
    return f"{borders(dtype).size + options.samples * stratified(dtype, 1, seed=1).size:,}"


def markdown(results: list[dict[str, Any]]) -> str:
    """Return the table of docs/accuracy.md: a row a function and dtype, the worst input of each."""
    titles = [f"f{chr(39) * i}: error at s" for i in range(len(ORDERS))]
    lines = ["| " + " | ".join(["function", "dtype", "inputs", *titles]) + " |", "|" + "---|" * 7]
    found = {(r["function"], r["dtype"], r["order"]): r for r in results}
    for name, dtype in dict.fromkeys((r["function"], r["dtype"]) for r in results):
        row = [found.get((name, dtype, order)) for order in ORDERS]
        cells = ["" if r is None else f"{r['error']:.4f} at {r['s']:.9g}" for r in row]
        counts = dict.fromkeys(r["inputs"] for r in row if r is not None)
        lines.append("| " + " | ".join([name, dtype, ", ".join(counts), *cells]) + " |")
    return "\n".join(lines) + "\n"


def merge(files: list[Path]) -> str:
    """Return the table of several runs' JSON files, functions in the order of ROWS."""
    order = {str(row): i for i, row in enumerate(ROWS)}
    results = [r for file in files for r in json.loads(file.read_text())]
    results.sort(key=lambda r: (order[r["function"]], r["dtype"]))
    return markdown(results)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.merge:
        text = merge(options.merge)
        if options.markdown:
            options.markdown.write_text(text)
        else:
            print(text, end="")
        return 0
    rows = [row for row in ROWS if not options.names or row.name in options.names]
    worst: dict[tuple[str, str], tuple[float, float]] = {}
    good = True
    pool = multiprocessing.get_context("fork").Pool(options.jobs, start_worker, (options.isa,))
    with pool:
        for task, found in pool.imap(run, tasks(rows, options)):
            for order, (error, s) in zip(task.orders, found, strict=True):
                key = (str(task.row), order)
                good = good and error <= task.row.bound(options.dtype)
                if key not in worst or error > worst[key][0]:
                    worst[key] = (error, s)
                if task.last:
                    largest, place = worst[key]
                    print(f"{key[0]:34} {order:18} {largest:7.4f} at {place!r}", flush=True)
    same = {"dtype": options.dtype, "isa": options.isa, "inputs": inputs_of(options)}
    results: list[dict[str, Any]] = [
        {"function": name, "order": order, **same, "error": error, "s": s}
        for (name, order), (error, s) in worst.items()
    ]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(results))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
