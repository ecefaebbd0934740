"""The benchmark: what it prints, and that what is wrong in it is found. No time is judged here."""

import json
import math
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mlpkern as mk
from mlpkern.cli import bench, main
from mlpkern.cli.bench import peers, picture, report, sklearn_rows, workers
from mlpkern.cli.bench.cases import FORMS, GROUPS, Case, cases, widths_text
from mlpkern.cli.bench.peers import Prepared, numpy_ops
from mlpkern.cli.bench.problems import expected, problem
from mlpkern.cli.bench.worker import Worker, compare, tolerance
from mlpkern.cli.common import machine

NUMPY = ["bench", "--quick", "--against", "numpy", "--threads", "1"]


# --- the whole command -------------------------------------------------------------------------


@pytest.mark.slow
def test_against_numpy(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    sizes = ["--sizes", "4-8-2", "2-20x8-1", "784-16-10", "--batches", "1", "33"]
    files = ["--json", str(tmp_path / "b.json"), "--picture", str(tmp_path / "b.png")]
    assert main([*NUMPY, *sizes, *files]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["machine"]["isa"] == mk.isa()
    assert result["machine"]["libraries"]["numpy"] == np.__version__
    assert min(result["limits"]["1"].values()) > 0
    assert {row["group"] for row in result["rows"]} == set(GROUPS) - {"epoch", "sklearn"}
    for row in result["rows"]:
        assert re.search(rf"^{re.escape(row['name'])} ", text, re.MULTILINE)
        if "ratio" in row:
            assert row["best"] == "numpy"
            assert 0 < row["ratio"]["q1"] <= row["ratio"]["median"] <= row["ratio"]["q3"]
    assert "calls of np.tanh with one element" in text
    (steps,) = (p for p in result["summary"] if (p["group"], p["part"]) == ("step", ""))
    ratios = [row["ratio"]["median"] for row in result["rows"] if row["group"] == "step"]
    assert len(ratios) == 12
    assert steps["mean"] == pytest.approx(math.prod(ratios) ** (1 / 12))
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_several_threads_and_json_on_the_terminal(capsys):
    command = ["bench", "--quick", "--against", "numpy", "--threads", "1", "2", "--only", "step"]
    assert main([*command, "--sizes", "4-8-2", "--batches", "1", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert [row["threads"] for row in json.loads(captured.out)["rows"]] == [1, 1, 2, 2]
    assert "optimizer; 2 threads\n" in captured.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--sizes 4", "--sizes needs two widths or more, as 4-16-2, not 4"),
        ("--sizes 4-x", "must be widths such as 64-32 or 2-20x8-1, not '4-x'"),
        ("--sizes 4-20x0", "must be widths such as 64-32 or 2-20x8-1, not '4-20x0'"),
        (
            "--against numpy,tensorflow",
            "must be of numpy, torch, jax, sklearn, onnxruntime, one-thread, not",
        ),
        ("--threads 0", "must be a whole number of 1 or more, not '0'"),
        ("--only steps", "invalid choice: 'steps'"),
    ],
)
def test_wrong_usage(capsys, arguments, text):
    assert main(["bench", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err.splitlines()[-1]


def test_a_library_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr(bench, "installed", lambda name: name == "numpy")
    assert main(["bench", "--against", "numpy,torch"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("error: torch is not installed: pip install 'mlpkern[bench]'\n")


def test_onnxruntime_needs_onnx(monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: name != "onnx" or None)
    assert peers.installed("torch")
    assert not peers.installed("onnxruntime")


def test_an_error_in_a_row_is_a_failure_at_the_end(capsys, monkeypatch):
    real = bench.measure

    def measure(team, case, quick):
        return real(team, case, quick) | {"errors": {"numpy": "numpy: ValueError: wrong result"}}

    monkeypatch.setattr(bench, "measure", measure)
    assert main([*NUMPY, "--only", "step", "--sizes", "4-2", "--batches", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("  error: numpy: ValueError: wrong result") == 2
    assert captured.err.endswith("2 of 2 rows have errors\n")


# --- the processes -----------------------------------------------------------------------------


@pytest.fixture
def numpy_process():
    process = workers.Worker("numpy", 1)
    assert process.answer() == np.__version__
    yield process
    process.close()


STEP = Case("step", "Adam", (4, 8, 2), 3)


def test_a_process_that_dies_is_told_of(numpy_process):
    assert numpy_process.ask("prepare", STEP, expected(problem(STEP))) > 0
    os.kill(numpy_process._process.pid, signal.SIGKILL)
    with pytest.raises(workers.WorkerError, match=r"^numpy: its process ended with exit code -9"):
        numpy_process.ask("time", 1)
    assert not numpy_process.alive


def test_a_process_that_cannot_start_says_why():
    process = workers.Worker("nothing", 1)
    with pytest.raises(workers.WorkerError, match=r"exit code 1: ModuleNotFoundError: .*nothing"):
        process.answer()
    process.close()


def test_a_process_that_does_not_answer(numpy_process):
    with pytest.raises(workers.WorkerError, match="numpy: no answer after 0 s"):
        numpy_process.answer(timeout=0.01)


def test_a_wrong_result_comes_back_as_an_error(numpy_process):
    right = expected(problem(STEP))
    with pytest.raises(workers.WorkerError, match=r"numpy: ValueError: wrong result: off by 5\.0"):
        numpy_process.ask("prepare", STEP, [2 * a for a in right])
    assert numpy_process.ask("prepare", STEP, right) > 0  # it lives on


def test_a_library_that_lacks_the_operation_has_a_blank(numpy_process):
    case = Case("activation", "gelu", (8,), 3)
    assert numpy_process.ask("prepare", case, expected(problem(case))) is None


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (np.array([1, 1, 1.01]), r"wrong result: off by 5\.8e-03"),
        (np.array([1, 1, np.nan]), "wrong result: off by nan"),
        (np.ones((1, 3)), r"wrong shape: \(1, 3\), not \(3,\)"),
    ],
)
def test_the_comparer_fails_where_it_must(result, text):
    worker = Worker(SimpleNamespace(inference=lambda data: Prepared(lambda: result)))
    with pytest.raises(ValueError, match=text):
        worker.prepare(Case("inference", "predict", (4, 3), 1), [np.ones(3)])
    compare([np.ones(3)], [np.ones(3)], 1e-15)


# --- the libraries -----------------------------------------------------------------------------


def some_cases():
    """One small case for each thing that a library does."""
    for net in ((4, 8, 8, 2), (17, 8, 3), (784, 8, 10), (2, *[20] * 8, 1)):
        dtype = "float64" if net[0] == 2 else "float32"
        for n in (1, 33):
            yield Case("inference", "predict", net, n, dtype)
            for optimizer in ("SGD", "Adam"):
                yield Case("step", optimizer, net, n, dtype)
    for case in cases(None, None, quick=True):
        if case.group in ("activation", "loss", "call"):
            yield case
        if case.group == "optimizer" and case.sizes[0] < 1e6:
            yield case
    for form in FORMS:
        yield Case("linear", form, (7, 5), 3)


FAST = ("mlpkern", "numpy")
SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in peers.LIBRARIES if n != "numpy"]


@pytest.mark.parametrize("name", [*FAST, *SLOW])
def test_every_library_is_right(name):
    if name in peers.LIBRARIES and not peers.installed(name):
        pytest.skip(f"{name} is not installed")
    process = workers.Worker(name, 1)
    try:
        process.answer()
        done = {
            case.group
            for case in some_cases()
            if process.ask("prepare", case, expected(problem(case))) is not None
        }
    finally:
        process.close()
    assert {"inference", "call"} <= done


@pytest.mark.slow
def test_torch_compile_is_right():
    if not peers.installed("torch"):
        pytest.skip("torch is not installed")
    process = workers.Worker("torch.compile", 1)
    try:
        process.answer()
        for group, what in (("step", "SGD"), ("inference", "predict")):
            case = Case(group, what, (4, 16, 2), 1)
            assert process.ask("prepare", case, expected(problem(case))) > 0
    finally:
        process.close()


@pytest.mark.parametrize("name", numpy_ops.ACTIVATIONS)
def test_numpys_activations_are_the_oracles(name):
    s = np.linspace(-9, 9, 1001, dtype=np.float32)
    tanh = name == "gelu_tanh"
    oracle = mk.reference.GELU("tanh") if tanh else mk.reference.activation(name)
    value, derivative = numpy_ops.ACTIVATIONS[name]
    for theirs, right in ((value(s), oracle(s)), (derivative(s), oracle.derivative(s))):
        assert theirs.dtype == np.float32
        np.testing.assert_allclose(theirs, right, rtol=1e-5, atol=1e-5)


# --- cases and tables --------------------------------------------------------------------------


def test_names_are_unique_and_fit_the_table():
    every = list(cases(None, None, quick=False))
    names = [(case.group, case.name) for case in every]
    assert len(set(names)) == len(names)
    assert max(len(case.name) for case in every) <= 36
    assert {case.group for case in every} == set(GROUPS)


@pytest.mark.parametrize("text", ["4-16-2", "2-20x8-1", "1024x5", "784-512-512-10"])
def test_widths_are_written_as_they_are_read(text):
    assert widths_text(bench._widths(text)) == text


def test_arithmetic_and_traffic():
    net = (3, 5, 7)
    assert Case("inference", "predict", net, 10).flops == 10 * 2 * (15 + 35)
    assert Case("step", "SGD", net, 10).flops == 10 * (6 * (15 + 35) - 2 * 15)
    assert Case("linear", "x' ds", (3, 5), 10).flops == 10 * 2 * 15
    assert Case("optimizer", "Adam", (100,), 1).traffic == 7 * 400
    assert Case("optimizer", "Adam", (100,), 1).flops == 0
    assert tolerance(Case("step", "SGD", net, 1, "float64")) == 1e-6


@pytest.mark.slow
def test_threads_against_one(capsys, tmp_path):
    """The same library twice, with as many threads as asked for and with one."""
    file = tmp_path / "bench.json"
    command = ["bench", "--quick", "--against", "one-thread", "--threads", "2", "--only", "step"]
    assert main([*command, "--sizes", "4-16-2", "--batches", "32", "--json", str(file)]) == 0
    assert "against one-thread 0." in capsys.readouterr().out
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == 2
    for row in rows:
        assert row["threads"] == 2
        assert set(row["times"]) == {"mlpkern", "one-thread"}
        assert row["best"] == "one-thread"


def test_estimators_against_scikit_learn(capsys, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(sklearn_rows, "MNIST", Path("nowhere"))
    command = ["bench", "--quick", "--against", "sklearn", "--threads", "1", "--only", "sklearn"]
    assert main([*command, "--json", str(tmp_path / "b.json")]) == 0
    text = capsys.readouterr().out
    assert "(left out: MNIST, which is not in nowhere)" in text
    assert max(map(len, text.splitlines())) <= 100
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [row["what"] for row in rows] == 2 * ["digits", "breast cancer", "diabetes"]
    for row in rows:
        assert row["best"] == "sklearn"
        assert set(row["scores"]) == {"mlpkern", "sklearn"}
        assert row["scores"]["mlpkern"] == pytest.approx(row["scores"]["sklearn"], abs=0.02)


def a_row(group, what, ratio, threads=1):
    case = Case(group, what, (4, 16, 2), 32)
    quartiles = {"q1": 0.9 * ratio, "median": ratio, "q3": 1.1 * ratio}
    return {
        "group": group,
        "what": what,
        "name": case.name,
        "sizes": [4, 16, 2],
        "batch": 32,
        "threads": threads,
        "best": "numpy",
        "ratio": quartiles,
        "errors": {},
    }


def test_the_summary_counts_what_is_lost():
    rows = [a_row("step", "SGD", 0.5), a_row("step", "Adam", 8.0), a_row("step", "SGD", 3.0, 2)]
    rows.append(a_row("step", "SGD", 0.25) | {"sizes": [3, 5, 5, 5, 2]})
    rows.append(a_row("epoch", "Adam", 2.0))
    parts = {(p["group"], p["part"], p["threads"]): p for p in report.summary(rows)}
    networks = {("step", "4-16-2", 1), ("step", "3-5x3-2", 1), ("step", "4-16-2", 2)}
    assert set(parts) == networks | {("step", "", 1), ("epoch", "", 1), ("step", "", 2)}
    one, two = parts["step", "4-16-2", 1], parts["step", "", 2]
    assert (one["rows"], one["lost"], one["mean"], one["worst"]) == (2, 1, pytest.approx(2), 0.5)
    assert one["worst_name"] == "4-16-2, 32, SGD"
    assert (parts["step", "", 1]["rows"], parts["step", "", 1]["mean"]) == (3, pytest.approx(1))
    assert (two["threads"], two["lost"]) == (2, 0)
    assert max(map(len, report.summary_text(list(parts.values())).splitlines())) <= 100


def test_results_are_drawn_from_their_files(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    files = []
    for name, row in (("a", a_row("step", "SGD", 0.5)), ("b", a_row("inference", "predict", 2.0))):
        files.append(str(tmp_path / f"{name}.json"))
        Path(files[-1]).write_text(json.dumps({"machine": machine(), "rows": [row]}))
    out = tmp_path / "both.png"
    assert main(["plot", "bench", *files, "--out", str(out)]) == 0
    assert out.stat().st_size > 1000
    for text in ("[]", "{}", "no JSON", '{"machine": {}, "rows": []}'):
        Path(files[1]).write_text(text)
        before = out.read_bytes()
        assert main(["plot", "bench", *files, "--out", str(out)]) == 1
        message = "b.json was not written by mlpkern bench --json"
        assert message in capsys.readouterr().err
        assert out.read_bytes() == before


def test_the_picture_has_maps_and_lines():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    rows = [a_row("step", "SGD", 0.5), a_row("step", "Adam", 12.0), a_row("epoch", "Adam", 2.0)]
    figure = picture.draw({"rows": rows}, "title")
    assert [axes.get_title() for axes in figure.axes] == [
        *("step, SGD, 1 thread", "step, Adam, 1 thread"),
        "",
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "0.50\N{MULTIPLICATION SIGN}\nnumpy"
    ]
    for part in (rows[:1], rows[2:]):
        assert len(picture.draw({"rows": part}, "").axes) == 1
    with pytest.raises(ValueError, match="no row has a ratio"):
        picture.draw({"rows": []}, "")
