"""What must not go wrong: threads, fork, Ctrl-C, odd floating-point modes, a lack of memory.

No time is asserted but by watchdogs, many times longer than what they watch should take.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import json
import multiprocessing
import os
import pickle
import platform
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits

Array = Any
WATCHDOG = 5.0  # seconds that an interrupt may take at most; 0.25 is promised

unsanitized = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer ends the process where memory or threads lack, and slows steps",
)
unix = pytest.mark.skipif(os.name != "posix", reason="needs signals, fork and limits of Unix")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """The pool at work, also where the machine has one processor."""
    with mk.num_threads(2):
        yield


def large(dtype: Any = np.float32) -> tuple[mk.Map, Array]:
    """A network and a batch that the pool shares out."""
    net = mk.MLP([64, 96, 10], output="softargmax", dtype=dtype)
    return net, np.random.default_rng(0).normal(size=(3000, 64)).astype(dtype)


def error_of(call: Callable[[], Any], kind: type[Exception]) -> str | None:
    """The text of the error that a call raises; None where it raises none."""
    try:
        call()
    except kind as error:
        return str(error)
    return None


def wait_for_error(call: Callable[[], Any], text: str) -> None:
    """Calls until the call meets another thread's and raises RuntimeError."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        message = error_of(call, RuntimeError)
        if message is not None:
            assert text in message
            return
        time.sleep(0.002)  # and lets it in
    pytest.fail(f"never raised: {text}")


# --- threads ------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [1, 50, 3000])
def test_many_threads_predict_at_once(rows: int, two_threads: None) -> None:
    net, x = large()
    x = x[:rows]
    expected = net.predict(x)
    frozen, workers = net.freeze(), 6
    start = threading.Barrier(workers)

    def work(i: int) -> list[Array]:
        start.wait()
        return [(frozen if i % 2 else net).predict(x) for _ in range(10)]

    with ThreadPoolExecutor(workers) as pool:
        for results in pool.map(work, range(workers)):
            for y in results:
                assert_same_bits(y, expected)


def test_many_threads_compute_at_once(two_threads: None) -> None:
    """Kernels on arrays, each thread its own, while the pool serves one of them."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(600, 200)), rng.normal(size=(200, 150))
    calls: list[Callable[[], Any]] = [
        lambda: mk.linear(x, w),
        lambda: mk.linear_backward(x[:, :150], x, w)[1],
        lambda: mk.Mish()(x),
        lambda: mk.Softargmax()(x),
        lambda: mk.logsumexp(x),
        lambda: mk.SquaredError().gradient(x, x[::-1]),
    ]
    expected = [call() for call in calls]
    with ThreadPoolExecutor(len(calls)) as pool:
        for _ in range(5):
            for y, exact in zip(pool.map(lambda call: call(), calls), expected, strict=True):
                assert_same_bits(y, exact)


def test_networks_are_trained_in_parallel(two_threads: None) -> None:
    def train(seed: int) -> Array:
        net = mk.MLP([8, 64, 3], seed=seed)
        x = np.random.default_rng(seed).normal(size=(500, 8)).astype(np.float32)
        y = x[:, :3].copy()
        mk.fit(net, x, y, loss=mk.SquaredError(), optimizer=mk.Adam(net), epochs=5)
        return net.parameters.copy()

    expected = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for parameters, exact in zip(pool.map(train, range(4)), expected, strict=True):
            assert_same_bits(parameters, exact)


def test_a_model_in_use_is_not_trained(two_threads: None) -> None:
    """While one thread trains, other threads' calls raise RuntimeError; afterwards all is well."""
    net, x = large()
    y, loss, opt = np.zeros((len(x), 10), np.float32), mk.SquaredError(), mk.SGD(net, lr=1e-3)
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            with contextlib.suppress(RuntimeError):  # one of the calls below came first
                mk.fit(net, x, y, loss=loss, optimizer=opt, epochs=1, batch_size=16)

    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: net.predict(x[:2]), "predict: the network must not be in training"),
        (lambda: net.layers[0].predict(x[:2]), "predict: the network must not be in training"),
        (lambda: net(x[:2]), "forward: the network must not be in use"),
        (net.zero_grad, "zero_grad: the network must not be in use"),
        (opt.step, "step: the network must not be in use"),
        (lambda: mk.train_step(net, loss, opt, x[:2], y[:2]), "train_step: the network must not"),
        (lambda: mk.value_and_gradient(net, loss, x[:2], y[:2]), "value_and_gradient: the network"),
    ]
    thread = threading.Thread(target=train)
    thread.start()
    try:
        for call, text in calls:
            wait_for_error(call, text)
    finally:
        stop.set()
        thread.join()
    assert_same_bits(net.predict(x), net.copy().predict(x))
    steps = opt.steps
    mk.train_step(net, loss, opt, x, y)
    assert opt.steps == steps + 1
    assert np.isfinite(net.parameters).all()


def test_predicting_does_not_hinder_predicting_but_training() -> None:
    """A network is free again as soon as the last reader has left."""
    net = mk.MLP([500, 2000, 500])
    x = np.ones((3000, 500), np.float32)
    opt, seen = mk.SGD(net, lr=0.0), threading.Event()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            net.predict(x)
            seen.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        seen.wait(10)
        wait_for_error(opt.step, "step: the network must not be in use")
    finally:
        done.set()
        thread.join()
    opt.step()


def test_arrays_are_held_during_a_call(two_threads: None) -> None:
    """Who deletes or resizes an array that a call computes with neither frees nor moves it."""
    w = np.random.default_rng(0).normal(size=(400, 400)).astype(np.float32)
    net = mk.MLP([400, 400], output="tanh")
    for call in (lambda a: mk.linear(a, w), net.predict, lambda a: mk.Tanh()(a)):
        exact = call(np.ones((3000, 400), np.float32))
        for attempt in range(4):
            holder = {"x": np.ones((3000, 400), np.float32)}
            results: list[Array] = []
            entered = threading.Event()

            def work(
                call: Callable[[Array], Array] = call,
                holder: dict[str, Array] = holder,
                results: list[Array] = results,
                entered: threading.Event = entered,
            ) -> None:
                x = holder["x"]
                entered.set()
                results.append(call(x))

            thread = threading.Thread(target=work)
            thread.start()
            entered.wait()
            if attempt % 2:
                try:  # refused, or the call has ended; a moved array would give other bits
                    holder["x"].resize((1, 1))
                except ValueError as error:
                    assert "resize" in str(error)  # noqa: PT017
            del holder["x"]
            gc.collect()
            garbage = [np.full((3000, 400), np.nan, np.float32) for _ in range(3)]
            thread.join()
            del garbage
            assert_same_bits(results[0], exact)


def test_composing_during_a_call(two_threads: None) -> None:
    """The arrays move; a call that has begun goes on with those it began with."""
    for seed in range(10):
        net, x = large()
        net.parameters[...] *= 1 + seed
        expected = net.predict(x)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(net.predict, x)
            outer = mk.Chain(net, mk.Linear(10, 2))
            outer.parameters[...] = np.nan
            y = future.result()
        if not np.isnan(y).any():  # it had begun before
            assert_same_bits(y, expected)
        assert np.isnan(net.predict(x)).all()


# --- fork ---------------------------------------------------------------------------------------
def compute_everything() -> list[bytes]:
    net, x = large()
    y = np.zeros((len(x), 10), np.float32)
    out = [mk.linear(x, net.layers[0].w).tobytes(), net.predict(x).tobytes()]
    mk.fit(net, x, y, loss=mk.SquaredError(), optimizer=mk.Adam(net), epochs=1)
    return [*out, net.parameters.tobytes()]


def child(connection: Connection) -> None:
    connection.send((mk.get_num_threads(), compute_everything()))
    connection.close()


def in_fork() -> tuple[int, list[bytes]]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(sender,))
    process.start()
    sender.close()
    try:
        assert receiver.poll(30), "the child hangs"
        result = receiver.recv()
        process.join(30)
        assert process.exitcode == 0
    finally:
        receiver.close()
        if process.is_alive():
            process.kill()
            process.join()
    return result


@unix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_with_the_pool_running(two_threads: None) -> None:
    expected = compute_everything()
    for _ in range(3):
        assert in_fork() == (2, expected)
    assert compute_everything() == expected  # and the parent's pool still serves


@unix
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_while_another_thread_computes(two_threads: None) -> None:
    expected = compute_everything()
    done = threading.Event()
    x = np.ones((2000, 300), np.float32)

    def work() -> None:
        while not done.is_set():
            mk.linear(x, x[:300])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            assert in_fork() == (2, expected)
    finally:
        done.set()
        thread.join()


# --- Ctrl-C -------------------------------------------------------------------------------------
def run(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


# A shell without job control has its background jobs, and what they start, ignore SIGINT.
HEAR_SIGINT = """
    import signal
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def interrupt(code: str, **environment: str) -> tuple[float, dict[str, Any]]:
    """Starts a program, sends SIGINT 0.7 s after its first line, and reads its last line.

    That is JSON with the time at which KeyboardInterrupt arrived.
    """
    process = run(HEAR_SIGINT + code, **environment)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if first != "ready\n":
            process.kill()  # or it would run for ever
            pytest.fail(f"it says {first!r} first; {process.communicate()[1]}")
        time.sleep(0.7)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=WATCHDOG + 15)
        except subprocess.TimeoutExpired:
            pytest.fail("the program does not end")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    latency = result["time"] - sent
    print(f"KeyboardInterrupt after {latency * 1e3:.0f} ms")
    return latency, result


FIT = """
    import json, time, numpy as np, mlpkern as mk
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 32)).astype(np.float32)
    y = rng.normal(size=(20000, 4)).astype(np.float32)
    loss, batch = mk.SquaredError(), {batch}

    def start():
        net = mk.MLP({sizes})
        return net, mk.Adam(net)

    net, opt = start()
    print("ready", flush=True)
    try:
        mk.fit(net, x, y, loss=loss, optimizer=opt, epochs=10**6, batch_size=batch, seed=3)
    except KeyboardInterrupt:
        now = time.time()
    again, other = start()
    generator = np.random.default_rng(3)
    while other.steps < opt.steps:
        order = generator.permutation(len(x))
        for first in range(0, len(x), batch):
            if other.steps < opt.steps:
                rows = order[first : first + batch]
                mk.train_step(again, loss, other, x[rows], y[rows])
    same = bool((again.parameters.view(np.int32) == net.parameters.view(np.int32)).all())
    state = all(bool((opt.states[k] == other.states[k]).all()) for k in opt.states)
    mk.train_step(net, loss, opt, x, y)
    finite = bool(np.isfinite(net.predict(x)).all())
    print(json.dumps(dict(time=now, steps=other.steps, same=same, state=state, finite=finite)))
"""


@unix
@unsanitized
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("sizes", "batch"),
    [([32, 64, 4], 128), ([32, 256, 256, 4], 20000)],
    ids=["small steps", "large steps"],
)
def test_interrupt_of_fit(sizes: list[int], batch: int, threads: str) -> None:
    """The model is at its last whole step: that many steps again give the same bits."""
    code = FIT.format(sizes=sizes, batch=batch)
    latency, result = interrupt(code, MLPKERN_NUM_THREADS=threads)
    assert latency < WATCHDOG
    assert result["steps"] >= 1
    assert result["same"]
    assert result["state"]
    assert result["finite"]


CALL = """
    import json, time, numpy as np, mlpkern as mk
    {setup}
    print("ready", flush=True)
    try:
        while True:
            {call}
    except KeyboardInterrupt:
        now = time.time()
    print(json.dumps(dict(time=now)))
"""
CALLS = {
    "linear": ("x = np.ones((20000, 1500), np.float32)", "mk.linear(x, x[:1500])"),
    "activation": ("x, f = np.ones((6000, 6000), np.float32), mk.Mish()", "f(x)"),
    "predict": ("net, x = mk.MLP([9, 2000, 9]), np.ones((20000, 9), np.float32)", "net.predict(x)"),
    "one large batch": (
        "net = mk.MLP([400, 1500, 400]); x = np.ones((20000, 400), np.float32)",
        "mk.value_and_gradient(net, mk.SquaredError(), x, x)",
    ),
}


@unix
@pytest.mark.parametrize("name", CALLS)
def test_interrupt_of_one_long_call(name: str) -> None:
    """On one thread and the slowest instruction set, where nothing is done soon."""
    setup, call = CALLS[name]
    code = CALL.format(setup=setup, call=call)
    latency, _ = interrupt(code, MLPKERN_NUM_THREADS="1", MLPKERN_ISA=mk.isas()[-1])
    assert latency < WATCHDOG


@unix
def test_exceptions_of_signal_handlers_come_through() -> None:
    """Not only KeyboardInterrupt: what any handler raises ends the call, and comes out of it."""
    x = np.ones((20000, 500), np.float32)

    def handler(number: int, frame: Any) -> None:
        raise TimeoutError("the bell")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        deadline = time.monotonic() + WATCHDOG
        message = None
        while message is None and time.monotonic() < deadline:
            message = error_of(lambda: mk.linear(x, x[:500]), TimeoutError)
        assert message == "the bell"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (mk.linear(x[:2], x[:500]) == 500).all()


# --- memory -------------------------------------------------------------------------------------
LIMIT = """
    import resource
    def limit(megabytes):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        size = pages * resource.getpagesize() + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and RLIMIT_AS")


def finish(code: str, seconds: float = 10) -> str:
    process = run(LIMIT + code)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        pytest.fail("the program hangs")
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    return out


@linux
@unsanitized
def test_lack_of_memory() -> None:
    """MemoryError, nothing learned of half a step, and the network works on."""
    finish("""
    import numpy as np, mlpkern as mk
    net = mk.MLP([4, 400_000, 4])
    x = np.ones((200, 4), np.float32)  # a tile of 96 rows and its gradients take 600 MB
    opt, loss = mk.SGD(net), mk.SquaredError()
    mk.train_step(net, loss, opt, x[:9], x[:9])
    expected, parameters = net.predict(x[:9]), net.parameters.copy()
    limit(300)
    for call in (
        lambda: net(x),
        lambda: mk.train_step(net, loss, opt, x, x),
        lambda: mk.value_and_gradient(net, loss, x, x),
    ):
        try:
            call()
        except MemoryError:
            pass
        else:
            raise SystemExit("no MemoryError")
    assert (net.parameters == parameters).all() and opt.steps == 1
    assert (net.predict(x[:9]) == expected).all()
    try:
        net.backward(x)
    except RuntimeError:
        pass
    else:
        raise SystemExit("backward without a forward pass")
    net(x[:9])
    net.backward(x[:9])
    mk.train_step(net, loss, opt, x[:9], x[:9])
    assert opt.steps == 2
    """)


@linux
@unsanitized
def test_threads_that_cannot_be_started() -> None:
    """The call raises, or computes with the threads there are; it neither hangs nor aborts."""
    finish("""
    import numpy as np, mlpkern as mk
    x = np.ones((2000, 500), np.float32)
    mk.set_num_threads(1)
    expected = mk.linear(x, x[:500])
    limit(150)  # a thread reserves 8 MB for its stack
    mk.set_num_threads(64)
    try:
        assert (mk.linear(x, x[:500]) == expected).all()
    except (RuntimeError, MemoryError, OSError):
        pass
    mk.set_num_threads(1)
    assert (mk.linear(x, x[:500]) == expected).all()
    """)


# --- the floating-point environment -------------------------------------------------------------
SOURCE = """
#include <xmmintrin.h>
unsigned get_mode(void) { return _mm_getcsr(); }
void set_mode(unsigned mode) { _mm_setcsr(mode); }
"""
DEFAULT, FLAGS = 0x1F80, 0x3F
MODES = {
    "flush to zero": 0x8040 | DEFAULT,  # and denormals are zero
    "down": 0x2000 | DEFAULT,
    "up": 0x4000 | DEFAULT,
    "toward zero, flushed": 0xE040 | DEFAULT,
}


@pytest.fixture(scope="module")
def mode(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Reads and writes the control register of the running thread."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if platform.machine() != "x86_64" or compiler is None:
        pytest.skip("needs x86 and a C compiler")
    folder: Path = tmp_path_factory.mktemp("mode")
    (folder / "mode.c").write_text(SOURCE)
    library = folder / "mode.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(folder / "mode.c")]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.get_mode.restype = ctypes.c_uint
    loaded.set_mode.argtypes = [ctypes.c_uint]
    return loaded


def everything(dtype: Any, threads: int) -> list[Callable[[], Any]]:
    """Calls whose results feel subnormals and rounding; each gives arrays."""
    rng = np.random.default_rng(1)
    x, w, b = (rng.normal(size=s).astype(dtype) for s in ((700, 40), (40, 50), (50,)))
    tiny = (x * np.finfo(dtype).smallest_normal * 0.1).astype(dtype)
    y = rng.uniform(size=(700, 50)).astype(dtype)
    net = mk.MLP([40, 60, 50], hidden="gelu", output="softargmax", dtype=dtype)
    begin = net.parameters.copy()  # drawn before the mode changes: that is NumPy's arithmetic

    def train() -> Array:
        with mk.num_threads(1):
            pass  # a new pool, whose threads begin in the caller's mode
        with mk.num_threads(threads):
            fresh = mk.MLP([40, 60, 50], output="sigmoid", dtype=dtype)
            fresh.parameters[...] = begin
            opt = mk.Adam(fresh)
            loss = mk.BinaryCrossEntropy()
            cost = mk.train_step(fresh, loss, opt, x, y)
            more = mk.fit(fresh, x, y, loss=loss, optimizer=opt, epochs=2, batch_size=300)["loss"]
            return np.concatenate([fresh.parameters, [cost, *more]])

    def forward_and_backward() -> Array:
        net.zero_grad()
        out = net(x)
        net.backward(mk.CrossEntropy().gradient(out, y))
        return net.gradients.copy()

    return [
        lambda: mk.linear(tiny, w, b * 0),
        lambda: mk.linear(x, w, b),
        lambda: mk.linear_backward(y, x, w)[1],
        lambda: mk.Tanh()(tiny),
        lambda: mk.Exp()(x * 0 - 88 if dtype is np.float32 else x * 0 - 709),
        lambda: mk.GELU()(x),
        lambda: mk.Mish().derivative(x),
        lambda: mk.Tanh().jvp(x, tiny),
        lambda: mk.logsumexp(x),
        lambda: mk.SquaredError().gradient(tiny, tiny[::-1]),
        lambda: np.array([mk.SquaredError()(x, x[::-1]), mk.CrossEntropy()(y, y)]),
        lambda: net.predict(x),
        forward_and_backward,
        train,
    ]


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("threads", [1, 2])
def test_modes_of_the_caller(name: str, threads: int, dtype: type, mode: Any) -> None:
    """The same bits in whatever mode the caller is, and the mode is left as it was."""
    calls = everything(dtype, threads)
    with mk.num_threads(threads):
        expected = [call() for call in calls]
        assert any((np.abs(a) < np.finfo(dtype).smallest_normal).any() for a in expected)
        wanted, results, modes = MODES[name], [], []
        for call in calls:
            before = mode.get_mode()
            mode.set_mode(wanted)
            try:
                results.append(call())
                modes.append(mode.get_mode())
            finally:
                mode.set_mode(before)
    assert {found & ~FLAGS for found in modes} == {wanted & ~FLAGS}
    for i, (actual, exact) in enumerate(zip(results, expected, strict=True)):
        try:
            assert_same_bits(actual, exact)
        except AssertionError as error:
            raise AssertionError(f"call {i}: {error}") from None


# --- copies through Python ----------------------------------------------------------------------
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
@pytest.mark.parametrize(
    "thing",
    [
        mk.Linear(3, 2),
        mk.MLP([3, 4, 2]),
        mk.Chain(mk.Linear(3, 3), mk.Sum(mk.Tanh(), mk.Identity())),
        mk.MLP([3, 4, 2]).freeze(),
        mk.Softplus(2.0),
        mk.GELU("tanh"),
    ],
    ids=repr,
)
def test_copies_through_python(thing: Any, how: str) -> None:
    """A copy computes the same and shares nothing, or else a TypeError says that there is none."""
    make = copy.deepcopy if how == "deepcopy" else lambda v: pickle.loads(pickle.dumps(v))
    message = error_of(lambda: make(thing), TypeError)
    if message is not None:
        assert re.search(r"copy\(\)|save", message), message
        return
    other = make(thing)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert_same_bits(other.predict(x), thing.predict(x))
    assert repr(other) == repr(thing)
    if hasattr(thing, "parameters") and thing.parameters.size:
        other.parameters[...] = 0
        assert (thing.parameters != 0).any()
        assert (other.predict(x) != thing.predict(x)).any()


@unix
def test_a_network_in_use_at_the_fork_is_free_in_the_child(two_threads: None) -> None:
    net, x = large()
    stop = threading.Event()

    def predict() -> None:
        while not stop.is_set():
            net.predict(x)

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        for _ in range(5):
            time.sleep(0.02)
            child = os.fork()
            if child == 0:
                try:
                    net.zero_grad()
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_hyperparameters_of_an_optimizer_at_work() -> None:
    """While a thread trains, another one cannot change what its steps read."""
    x = np.random.default_rng(0).normal(size=(4000, 200)).astype(np.float32)
    net = mk.MLP([200, 200, 200])
    opt = mk.SGD(net, lr=1e-9, groups={"b": {"lr": 0.0}})
    fit = threading.Thread(
        target=mk.fit,
        args=(net, x, x),
        kwargs={"loss": mk.SquaredError(), "optimizer": opt, "epochs": 20},
    )
    refused: list[str] = []
    fit.start()
    while fit.is_alive():
        try:
            opt.groups = {"w": {"lr": 0.0}}
        except RuntimeError as error:
            refused.append(str(error))
    fit.join()
    assert "optimizer: the network must not be in training; another thread trains it" in refused
    opt.lr = 0.5
