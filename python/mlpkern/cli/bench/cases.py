"""What `bench` measures: the list of cases, and the arithmetic and the memory traffic of each."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import derivative_rows, sklearn_rows

GROUPS = (
    "step",
    "inference",
    "epoch",
    "linear",
    "activation",
    "loss",
    "optimizer",
    "derivative",
    "sklearn",
    "memory",
    "call",
)
SIZES: tuple[tuple[int, ...], ...] = (
    (4, 16, 2),
    (4, 32, 16, 4),
    (4, 64, 64, 2),
    (3, *[50] * 5, 3),
    (2, *[20] * 8, 1),
    (32, 64, 64, 4),
    (50, 100, 1),
    (17, 256, 256, 6),
    (784, 128, 10),
    (13, 512, 256, 128),
    (376, 400, 300, 17),
    (100, 512, 512, 1),
    (784, 512, 512, 10),
    (479, 1024, 1024, 512, 256, 1),
    (1024,) * 5,
)
QUICK_SIZES = tuple(SIZES[i] for i in (0, 5, 7, 12))
BATCHES = (1, 32, 256, 4096)
LARGE_BATCH = 65536  # for networks of few weights, beside BATCHES
FEW_WEIGHTS = 5000
STEP_OPTIMIZERS = ("SGD", "Adam")
EPOCH_ROWS, EPOCH_BATCH = 60_000, 128  # MNIST's
MEMORY_ROWS = 1_000_000
JACOBIAN_ROWS = 100_000

# The product of each form: of x (n, D), w (D, L) and ds (n, L).
FORMS = {"x w": 1, "x' ds": 1, "ds w', x' ds": 2}

ACTIVATIONS = (
    *("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "mish", "softsign"),
    *("hardswish", "sine", "gaussian", "exp", "gelu", "gelu_tanh"),
)
BY_ROWS = ("softargmax", "logsumexp")
LOSSES = ("squared error", "binary cross-entropy", "cross-entropy")

# The arrays that a step of each reads and writes.
OPTIMIZERS = {"SGD": 3, "SGD, momentum": 5, "RMSprop": 5, "Adagrad": 5, "Adam": 7}


@dataclass(frozen=True)
class Case:
    """One operation, whichever library does it.

    `sizes` are the widths of a network or of a linear map, the columns of an activation's or a
    loss's argument, or the number of an optimizer's parameters.
    """

    group: str
    what: str
    sizes: tuple[int, ...]
    rows: int
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """What the table and the JSON file call it; in a group, no two are alike."""
        if self.group in ("step", "epoch", "derivative") or self.what == "jacobian":
            return f"{widths_text(self.sizes)}, {self.rows}, {self.what}"
        if self.group in ("inference", "memory", "call"):
            return f"{widths_text(self.sizes)}, {self.rows}"
        if self.group == "linear":
            return f"{self.what}, {self.rows} through {widths_text(self.sizes)}"
        if self.group == "optimizer":
            return f"{self.what}, {self.sizes[0]} parameters"
        dtype = f", {self.dtype}" if self.group == "sklearn" else ""
        return f"{self.what}, {self.rows} x {self.sizes[0]}{dtype}"

    @property
    def hidden(self) -> str:
        """The activation of the hidden layers; of ReLU second derivatives are zero."""
        smooth = self.group == "derivative" or self.sizes[0] <= 4
        return "tanh" if smooth else "relu"

    @property
    def output(self) -> str:
        """Softargmax, with the cross-entropy, for MNIST's width; else identity."""
        return "softargmax" if self.sizes[0] == 784 else "identity"

    @property
    def weights(self) -> int:
        """The number of weights, biases apart."""
        return sum(d * n for d, n in itertools.pairwise(self.sizes))

    @property
    def flops(self) -> float:
        """The multiplications and additions of the products; 0 where they do not count."""
        first = self.sizes[0] * self.sizes[1] if len(self.sizes) > 1 else 0
        each = {
            "inference": 2 * self.weights,
            "step": 6 * self.weights - 2 * first,  # no derivative by the input
            "epoch": 6 * self.weights - 2 * first,
            "linear": 2 * first * FORMS.get(self.what, 0),
        }
        return float(self.rows * each.get(self.group, 0))

    @property
    def traffic(self) -> float:
        """The bytes that an optimizer must read and write; 0 for other groups."""
        arrays = OPTIMIZERS[self.what] if self.group == "optimizer" else 0
        return float(arrays * self.sizes[0] * (8 if self.dtype == "float64" else 4))


def widths_text(sizes: Sequence[int]) -> str:
    """Return widths as --sizes takes them: 2-20x8-1 has 20 eight times."""
    runs = [(width, len(list(run))) for width, run in itertools.groupby(sizes)]
    return "-".join(
        f"{width}x{count}" if count > 2 else "-".join([str(width)] * count) for width, count in runs
    )


def cases(
    sizes: Sequence[tuple[int, ...]] | None, batches: Sequence[int] | None, quick: bool
) -> Iterator[Case]:
    """Yield every case. None stands for the whole matrix, or its quick part."""
    nets = sizes or (QUICK_SIZES if quick else SIZES)
    for net in nets:
        for optimizer in STEP_OPTIMIZERS:
            for n in batches or _batches(net, quick):
                yield Case("step", optimizer, net, n, _dtype(net))
    for net in nets:
        for n in batches or _batches(net, quick):
            yield Case("inference", "predict", net, n, _dtype(net))
    if not quick:
        yield Case("epoch", "Adam", (784, 512, 512, 10), EPOCH_ROWS)
    yield from _products(quick)
    for name in ACTIVATIONS:
        yield Case("activation", name, (256,), 256)
        if not quick:
            yield Case("activation", f"{name}, derivative", (256,), 256)
    for name in BY_ROWS:
        yield Case("activation", name, (256,), 256)
    for name in LOSSES:
        yield Case("loss", name, (10,), 256)
    for name in OPTIMIZERS:
        for count in (100_000, 10_000_000):
            yield Case("optimizer", name, (count,), 1)
    for what, net, n in derivative_rows.rows(sizes, batches, quick):
        yield Case("derivative", what, net, n, _dtype(net))
    for what, net, n, dtype in sklearn_rows.rows(quick):
        yield Case("sklearn", what, net, n, dtype)
    yield Case("memory", "predict", (32, 64, 64, 4), MEMORY_ROWS)
    yield Case("memory", "jacobian", (4, 64, 64, 2), JACOBIAN_ROWS)
    yield Case("call", "predict", (4, 16, 2), 1)


def _batches(net: tuple[int, ...], quick: bool) -> tuple[int, ...]:
    few = Case("", "", net, 1).weights <= FEW_WEIGHTS
    return (*BATCHES, LARGE_BATCH) if few and not quick else BATCHES


def _dtype(net: tuple[int, ...]) -> str:
    return "float64" if net == SIZES[4] else "float32"


def _products(quick: bool) -> Iterator[Case]:
    for form in FORMS:
        for n in (64, 512) if quick else (64, 512, 1024, 2048):
            yield Case("linear", form, (n, n), n)
    for n in (1, 8) if quick else (1, 2, 4, 8, 16):
        for form in FORMS:
            yield Case("linear", form, (512, 512), n)
