"""No kernel reads or writes a byte that is not its own.

Every buffer that a caller can give lies in memory of its own between two pages that may not be
touched: it begins right behind one of them, or ends right before the other; what is left is painted
with NaN. An access past an end kills the process, so each round runs in a process of its own; one
that stays within the pages leaves its mark on the paint, or on the result, which must be the usual
one to the bit.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import _core

PAGE = mmap.PAGESIZE
PAINT = 0xFF  # a NaN of either dtype

# Around MR = 6, NR = 8 to 64, KC = 512, and where b is packed: from a span of 768 kB or 1 MB on.
TILES = [(65, 257, 65), (7, 256, 64), (67, 31, 130), (97, 5, 513), (13, 513, 33), (193, 2, 17)]
TILES += [(66, 513, 401), (3, 513, 515), (16, 513, 130)]
LENGTHS = range(1, 71)


class Region:
    """Pages between two guards."""

    def __init__(self, size: int) -> None:
        self.size = -(-size // PAGE) * PAGE
        self.map = mmap.mmap(-1, self.size + 2 * PAGE)
        whole = np.frombuffer(self.map, np.uint8)
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (whole.ctypes.data, whole.ctypes.data + PAGE + self.size):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = whole[PAGE:-PAGE]
        self.used = slice(0, self.size)

    def place(self, like: Any, at_end: bool) -> Any:
        """A copy of an array, against one of the guards."""
        like = np.asarray(like)
        self.bytes[self.used] = PAINT
        start = self.size - like.nbytes if at_end else 0
        self.used = slice(start, start + like.nbytes)
        array = self.bytes[self.used].view(like.dtype).reshape(like.shape)
        array[...] = like
        return array

    def check(self) -> None:
        """Whether the paint around the array is whole."""
        around = (self.bytes[: self.used.start], self.bytes[self.used.stop :])
        assert all((part == PAINT).all() for part in around), "written outside of an array"


class Memory:
    """As many regions, of as many pages, as a call has buffers."""

    def __init__(self) -> None:
        self.idle: dict[int, list[Region]] = {}
        self.busy: list[Region] = []

    def begin(self, at_end: bool) -> None:
        """The buffers of the last call are not needed any more."""
        for region in self.busy:
            self.idle.setdefault(region.size // PAGE, []).append(region)
        self.busy, self.at_end = [], at_end

    def place(self, like: Any) -> Any:
        pages = max(-(-np.asarray(like).nbytes // PAGE), 1)
        idle = self.idle.get(pages)
        self.busy.append(idle.pop() if idle else Region(pages * PAGE))
        return self.busy[-1].place(like, self.at_end)

    def painted(self, shape: Iterable[int], dtype: type) -> Any:
        """An output: NaN, which must be overwritten and not read."""
        return self.place(np.full(tuple(shape), np.nan, dtype))

    def check(self) -> None:
        for region in self.busy:
            region.check()


def same(actual: Any, expected: Any) -> None:
    """The comparer, which counts all NaN as one and says what differs, where bytes differ."""
    if actual.shape != expected.shape or actual.tobytes() != expected.tobytes():
        compare.assert_same_bits(actual, np.array(expected))


# --- the rounds, each run in a process of its own
def visit_activations(memory: Memory, dtype: type) -> None:
    rng = np.random.default_rng(1)
    for cls in mk.ACTIVATIONS.values():
        f = cls()
        shapes = [(n,) for n in LENGTHS] + [(511,), (513,), (1030,)]
        if f.by_rows:
            shapes = [(3, n) for n in range(1, 36)] + [(2, 511), (2, 513), (1, 1030)]
        for shape in shapes:
            s0, v0 = rng.normal(size=(2, *shape)).astype(dtype)
            calls = [lambda s, v, out, f=f: f(s, out=out)]
            calls.append(lambda s, v, out, f=f: f.jvp(s, v, out=out))
            calls.append(lambda s, v, out, f=f: f.vjp(s, v, out=out))
            if not f.by_rows:
                calls.append(lambda s, v, out, f=f: f.derivative(s, out=out))
                calls.append(lambda s, v, out, f=f: f.second_derivative(s, out=out))
            for call in calls:
                expected = call(s0, v0, None)
                for at_end in (True, False):
                    memory.begin(at_end)
                    s, v = memory.place(s0), memory.place(v0)
                    same(call(s, v, memory.painted(shape, dtype)), expected)
                    memory.check()
                    same(s, s0)
                    same(v, v0)


def visit_linear(memory: Memory, dtype: type) -> None:
    rng = np.random.default_rng(2)
    shapes = (
        [(7, 5, n) for n in LENGTHS] + [(7, n, 9) for n in LENGTHS] + [(n, 5, 9) for n in LENGTHS]
    )
    for n, D, L in [*shapes, *TILES]:
        arrays = [rng.normal(size=s).astype(dtype) for s in [(n, D), (D, L), (L,), (n, L)]]
        x0, w0, b0, ds0 = arrays
        s0, plain0 = mk.linear(x0, w0, b0), mk.linear(x0, w0)
        gradients0 = mk.linear_backward(ds0, x0, w0)
        for at_end in (True, False):
            memory.begin(at_end)
            x, w, b, ds = (memory.place(a) for a in arrays)
            same(mk.linear(x, w, b, out=memory.painted((n, L), dtype)), s0)
            same(mk.linear(x, w, out=memory.painted((n, L), dtype)), plain0)
            outs = tuple(memory.painted(a.shape, dtype) for a in gradients0)
            for got, expected in zip(
                mk.linear_backward(ds, x, w, out=outs), gradients0, strict=True
            ):
                same(got, expected)
            mk.linear_backward(ds, x, w, out=outs, accumulate=True)
            memory.check()
            for given, kept in zip((x, w, b, ds), arrays, strict=True):
                same(given, kept)


def visit_rows(memory: Memory, dtype: type) -> None:
    """logsumexp, and the losses with targets, labels and weights."""
    rng = np.random.default_rng(3)
    losses = [cls() for cls in mk.LOSSES.values()]
    losses += [mk.BinaryCrossEntropy(True), mk.CrossEntropy(True, 0.1), mk.PoissonNLL(False)]
    for n, K in [
        (1, 1),
        *((3, k) for k in LENGTHS),
        *((k, 3) for k in LENGTHS),
        (2, 511),
        (2, 513),
    ]:
        p0 = rng.uniform(0.1, 0.9, (n, K)).astype(dtype)
        y0 = rng.uniform(0.1, 0.9, (n, K)).astype(dtype)
        labels0, weight0 = rng.integers(0, K, n), rng.random(n)
        for at_end in (True, False):
            memory.begin(at_end)
            p, y = memory.place(p0), memory.place(y0)
            labels, weight = memory.place(labels0), memory.place(weight0)
            same(mk.logsumexp(p, 2.0), mk.logsumexp(p0, 2.0))
            for loss in losses:
                targets = [(y, y0)]
                if isinstance(loss, mk.CrossEntropy):
                    targets.append((labels, labels0))
                for target, kept in targets:
                    assert loss(p, target, weight) == loss(p0, kept, weight0)
                    same(loss.gradient(p, target, weight), loss.gradient(p0, kept, weight0))
                    same(loss.per_sample(p, target), loss.per_sample(p0, kept))
            memory.check()
            same(p, p0)
            same(y, y0)


def guarded_net(memory: Memory, net: Any) -> Any:
    """A network not yet used, with its parameters and gradients against the guards."""
    block = net._linears()[0]._block
    block.parameters = memory.place(block.parameters)
    block.gradients = memory.place(block.gradients)
    for f in net._linears():
        f._move(block, f._offset)
    assert np.shares_memory(net.parameters, block.parameters)
    return net


def visit_networks(memory: Memory, dtype: type) -> None:
    rng = np.random.default_rng(4)
    for sizes, n in [
        ([3, 5, 2], 7),
        ([17, 33, 9], 65),
        ([5, 1], 1),
        ([20, 64, 4], 200),
        ([1, 7, 1], 97),
    ]:
        x0, dy0 = (rng.normal(size=(n, k)).astype(dtype) for k in (sizes[0], sizes[-1]))
        y0 = np.abs(dy0) / np.abs(dy0).sum(axis=1, keepdims=True)
        for output, loss in [("softargmax", mk.CrossEntropy()), ("identity", mk.SquaredError())]:

            def run(net: Any, x: Any, dy: Any, y: Any, out: Any, loss: Any = loss) -> list[Any]:
                results = [net.predict(x, out=out), net(x), net.backward(dy)]
                cost = mk.train_step(net, loss, mk.SGD(net), x, y)
                return [*results, np.array([cost]), net.gradients.copy(), net.parameters.copy()]

            expected = run(mk.MLP(sizes, output=output, dtype=dtype), x0, dy0, y0, None)
            for at_end in (True, False):
                memory.begin(at_end)
                net = guarded_net(memory, mk.MLP(sizes, output=output, dtype=dtype))
                x, dy, y = (memory.place(a) for a in (x0, dy0, y0))
                out = memory.painted((n, sizes[-1]), dtype)
                for got, exact in zip(run(net, x, dy, y, out), expected, strict=True):
                    same(got, exact)
                memory.check()
                for given, kept in zip((x, dy, y), (x0, dy0, y0), strict=True):
                    same(given, kept)


def visit_optimizers(memory: Memory, dtype: type) -> None:
    rng = np.random.default_rng(5)
    options: dict[str, Any] = {
        "SGD": {"momentum": 0.5, "clip_norm": 0.1, "clip_value": 0.1},
        "RMSprop": {"momentum": 0.5, "centered": True},
    }
    for name, cls in mk.OPTIMIZERS.items():
        for n in [*LENGTHS, 1030]:
            values, g = rng.normal(size=(2, n)).astype(dtype)
            results = []
            for at_end in (None, True, False):
                net = mk.Linear(n, 1, bias=False, dtype=dtype)
                if at_end is not None:
                    memory.begin(at_end)
                    guarded_net(memory, net)
                opt = cls(net, **options.get(name, {}))
                if at_end is not None:
                    opt.states = {key: memory.place(state) for key, state in opt.states.items()}
                    states = [opt.states.get(key) for key in _core.optimizer_states(name)]
                    opt._core = _core.Optimizer(
                        name,
                        opt._segments(opt._values, []),
                        net.parameters,
                        net.gradients,
                        states,
                        [],
                    )
                    opt._clip()
                net.parameters[...], net.gradients[...] = values, g
                opt.step()
                opt.step()
                if at_end is not None:
                    memory.check()
                results.append([net.parameters.copy(), *(s.copy() for s in opt.states.values())])
            for other in results[1:]:
                for got, expected in zip(other, results[0], strict=True):
                    same(got, expected)


def read_past_the_end(memory: Memory, dtype: type) -> None:
    """What the guards are for: this must not survive."""
    memory.begin(True)
    array = memory.place(np.ones(3, dtype))
    ctypes.string_at(array.ctypes.data + array.nbytes, 1)


def read_before_the_start(memory: Memory, dtype: type) -> None:
    memory.begin(False)
    ctypes.string_at(memory.place(np.ones(3, dtype)).ctypes.data - 1, 1)


def write_beside(memory: Memory, dtype: type) -> None:
    """Within the pages: found by the paint."""
    memory.begin(True)
    array = memory.place(np.ones(3, dtype))
    ctypes.memset(array.ctypes.data - 1, 0, 1)
    memory.check()


ROUNDS = [visit_activations, visit_linear, visit_rows, visit_networks, visit_optimizers]
WRONG = [read_past_the_end, read_before_the_start, write_beside]


def run(visit: Any, isa: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, __file__, visit.__name__, isa]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=environment, check=False
    )


needs_mprotect = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")


@needs_mprotect
@pytest.mark.parametrize("visit", ROUNDS, ids=lambda f: f.__name__[6:])
def test_only_its_own_memory(isa: str, visit: Any) -> None:
    """float32 and float64 in one process, which is what takes the time."""
    process = run(visit, isa)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stdout == "done\n"


@needs_mprotect
@pytest.mark.parametrize("visit", WRONG, ids=lambda f: f.__name__)
def test_the_guards_see_what_is_wrong(visit: Any) -> None:
    process = run(visit, mk.isa())
    assert process.returncode != 0
    assert process.stdout == ""
    if visit is write_beside:
        assert "written outside of an array" in process.stderr


def main() -> None:
    faulthandler.enable()
    name, isa = sys.argv[1:]
    mk.set_isa(isa)
    mk.set_num_threads(1)
    visits = {f.__name__: f for f in (*ROUNDS, *WRONG)}
    for dtype in (np.float32, np.float64):
        visits[name](Memory(), dtype)
    print("done")


if __name__ == "__main__":
    main()
