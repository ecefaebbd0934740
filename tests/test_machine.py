"""Instruction sets, threads, what the package prints of itself, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits
from mlpkern import _core

ISAS = ["avx512", "avx2", "neon", "baseline"]


def python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs a program with these variables, None for one that must not be set."""
    variables = {**os.environ, **{k: v for k, v in environment.items() if v is not None}}
    for name, value in environment.items():
        if value is None:
            variables.pop(name, None)
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=60)


def answer(code: str, **environment: str | None) -> str:
    done = python(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- instruction sets ---------------------------------------------------------------------------
def test_isas() -> None:
    names = mk.isas()
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= set(_core.all_isas()) <= set(ISAS)
    assert names == [name for name in ISAS if name in names]  # best first
    assert mk.isa() in names
    names.clear()
    assert mk.isas()


def test_isas_are_what_the_processor_says() -> None:
    """Against the kernel's list of features, which is not what the package asks."""
    try:
        with open("/proc/cpuinfo") as file:
            text = file.read()
    except OSError:
        pytest.skip("needs /proc/cpuinfo")
    line = next((line for line in text.splitlines() if line.startswith("flags")), None)
    if line is None:
        pytest.skip("needs the flags of an x86 processor")
    flags = set(line.split())
    needs = {"avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "avx2": {"avx2", "fma"}}
    for name in _core.all_isas():
        assert (name in mk.isas()) == (needs.get(name, set()) <= flags)


def test_the_best_is_chosen() -> None:
    code = "import mlpkern as mk; print(mk.isa())"
    for unset in (None, ""):
        assert answer(code, MLPKERN_ISA=unset) == mk.isas()[0]


@pytest.mark.parametrize("name", mk.isas())
def test_the_variable_forces_one(name: str) -> None:
    code = "import mlpkern as mk; print(mk.isa(), mk.runtime_info()['isa'])"
    assert answer(code, MLPKERN_ISA=name) == f"{name} {name}"


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 ", "neon" if "avx2" in ISAS else "avx2"])
def test_a_wrong_variable_lists_the_choices(name: str) -> None:
    if name in mk.isas():
        pytest.skip("this machine has it")
    done = python("import mlpkern as mk; mk.Tanh()([1.0])", MLPKERN_ISA=name)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    choices = ", ".join(mk.isas())
    assert last == (
        "ValueError: MLPKERN_ISA must name an instruction set that this machine has "
        f"({choices}); got '{name}'"
    )


def test_set_isa(isa: str) -> None:
    assert mk.isa() == isa
    with pytest.raises(ValueError, match="sse9"):
        mk.set_isa("sse9")
    assert mk.isa() == isa
    assert mk.runtime_info()["isa"] == isa


@pytest.mark.skipif(not {"baseline", "avx2"} <= set(mk.isas()), reason="needs AVX2")
def test_what_is_chosen_is_what_computes(rng: np.random.Generator) -> None:
    """The portable baseline has no fused multiply-add, so its bits tell that it is at work."""
    x = rng.normal(size=(20, 50)).astype(np.float32)
    w = rng.normal(size=(50, 30)).astype(np.float32)
    before, results = mk.isa(), {}
    try:
        for name in mk.isas():
            mk.set_isa(name)
            results[name] = mk.linear(x, w)
    finally:
        mk.set_isa(before)
    assert (results["baseline"] != results["avx2"]).any()
    by_roundings = np.zeros((20, 30), np.float32)
    for k in range(50):
        by_roundings += x[:, k : k + 1] * w[k]
    assert_same_bits(results["baseline"], by_roundings)
    if "avx512" in results:
        assert_same_bits(results["avx512"], results["avx2"])


# --- threads ------------------------------------------------------------------------------------
COUNT = "import mlpkern as mk; print(mk.get_num_threads())"


def test_threads_at_first() -> None:
    processors = _core.available_processors()
    assert 1 <= processors <= (os.cpu_count() or 1)
    assert answer(COUNT, MLPKERN_NUM_THREADS=None) == str(processors)


@pytest.mark.parametrize("count", ["1", "3", "17"])
def test_the_variable_sets_the_threads(count: str) -> None:
    assert answer(COUNT, MLPKERN_NUM_THREADS=count) == count


@pytest.mark.parametrize("count", ["many", "0", "-2", "1.5", "2x"])
def test_a_wrong_number_of_threads_is_told(count: str) -> None:
    """As a wrong MLPKERN_ISA is: nothing else would say that the variable has no effect."""
    done = python(COUNT, MLPKERN_NUM_THREADS=count)
    assert done.returncode != 0, f"taken as {done.stdout}"
    assert "MLPKERN_NUM_THREADS must be" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_threads_respect_the_affinity() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); {COUNT}"
    assert answer(code, MLPKERN_NUM_THREADS=None) == "1"


def test_set_num_threads() -> None:
    before = mk.get_num_threads()
    try:
        for n in (1, 3, 2, np.int64(4)):
            mk.set_num_threads(n)  # type: ignore[arg-type]
            assert mk.get_num_threads() == n
            assert mk.runtime_info()["threads"] == n
        with pytest.raises(ValueError, match="at least 1"):
            mk.set_num_threads(0)
        assert mk.get_num_threads() == 4
    finally:
        mk.set_num_threads(before)


def test_num_threads_is_a_context() -> None:
    before = mk.get_num_threads()
    with mk.num_threads(before + 2):
        assert mk.get_num_threads() == before + 2
        with mk.num_threads(1):
            assert mk.get_num_threads() == 1
        assert mk.get_num_threads() == before + 2
    assert mk.get_num_threads() == before


def test_num_threads_is_restored_after_an_exception() -> None:
    before = mk.get_num_threads()
    with pytest.raises(LookupError), mk.num_threads(before + 1):
        raise LookupError
    assert mk.get_num_threads() == before
    with pytest.raises(ValueError, match="at least 1"), mk.num_threads(0):
        pass
    assert mk.get_num_threads() == before


def test_threads_are_used_and_let_go(rng: np.random.Generator) -> None:
    """The pool is there when it is needed, and gone when one thread is asked for."""
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs /proc")
    x = rng.normal(size=(2000, 300)).astype(np.float32)
    with mk.num_threads(1):
        alone = len(os.listdir("/proc/self/task"))
        mk.linear(x, x[:300])
        assert len(os.listdir("/proc/self/task")) == alone
        mk.set_num_threads(3)
        assert len(os.listdir("/proc/self/task")) == alone  # started when first needed
        mk.linear(x[:1], x[:300])
        assert len(os.listdir("/proc/self/task")) == alone  # not for so little
        mk.linear(x, x[:300])
        assert len(os.listdir("/proc/self/task")) == alone + 2
        mk.set_num_threads(1)
        deadline = time.monotonic() + 5  # the kernel lists a thread for a moment after it has ended
        while len(os.listdir("/proc/self/task")) > alone and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/task")) == alone


SLEEPER = """
import os, threading, time
import numpy as np
import mlpkern as mk

def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1e-3)

def affinity():
    return os.sched_getaffinity(worker)

allowed = os.sched_getaffinity(0)
before = set(os.listdir("/proc/self/task"))
mk.set_num_threads(2)
x = np.ones((512, 512), np.float32)
mk.linear(x, x)
(worker,) = map(int, set(os.listdir("/proc/self/task")) - before)
until(lambda: len(affinity()) == max(len(allowed) - 1, 1))
"""
needs_linux = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux")


@needs_linux
def test_a_sleeping_worker_keeps_off_the_callers_processor() -> None:
    """Where there are two; awake, it may run on all of them again."""
    code = """
done = threading.Event()
def work():
    while not done.is_set():
        mk.linear(x, x)
busy = threading.Thread(target=work)
busy.start()
try:
    until(lambda: affinity() == allowed)
finally:
    done.set()
    busy.join()
"""
    answer(SLEEPER + code)


@needs_linux
def test_an_affinity_that_others_give_a_worker_stays() -> None:
    code = """
others = allowed - affinity() or allowed
os.sched_setaffinity(worker, others)
for _ in range(20):
    mk.linear(x, x)
    time.sleep(1e-3)
    assert affinity() == others
"""
    answer(SLEEPER + code)


# --- what it says of itself ---------------------------------------------------------------------
def test_show_config_and_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    info = mk.runtime_info()

    def shown() -> dict[str, str]:
        out = capsys.readouterr().out
        return {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}

    def text(value: Any) -> str:
        return ", ".join(value) if isinstance(value, list) else str(value)

    mk.show_config()
    config = shown()
    assert set(config) == {"mlpkern", "compiler", "isas_built"}
    mk.show_runtime()
    runtime = shown()
    assert {"python", "numpy", "machine", "isa", "isas", "threads", "processors"} <= set(runtime)
    for name, value in {**config, **runtime}.items():
        assert value == text(info[name])
    assert set(config) | set(runtime) == set(info)


def test_versions() -> None:
    from importlib.metadata import version

    assert mk.__version__ == _core.__version__ == version("mlpkern")
    assert mk.runtime_info()["numpy"] == np.__version__


# --- importing ----------------------------------------------------------------------------------
def test_importing_is_light() -> None:
    """NumPy and the standard library, nothing else; and no thread is started."""
    code = """
import sys, numpy
before = set(sys.modules)
import mlpkern
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(new - set(sys.stdlib_module_names) - {"mlpkern"}))
"""
    assert answer(code) in ("", "numpy")
    heavy = "tqdm matplotlib sklearn torch scipy pandas multiprocessing asyncio argparse"
    code = f"""
import sys, mlpkern
print(*[name for name in {heavy.split()!r} if name in sys.modules])
"""
    assert answer(code) == ""


def test_importing_starts_no_thread() -> None:
    code = "import os, numpy; a = len(os.listdir('/proc/self/task')); import mlpkern; "
    code += "print(len(os.listdir('/proc/self/task')) - a)"
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs /proc")
    assert answer(code) == "0"


def test_import_without_the_compiled_module() -> None:
    """The error tells the cure."""
    code = """
import sys
sys.modules["mlpkern._core"] = None
try:
    import mlpkern
except ImportError as error:
    print(*error.__notes__)
"""
    assert "pip install ." in answer(code)
