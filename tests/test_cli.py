"""The command line: what it prints, its exit codes and the text of its errors."""

import csv
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest

import mlpkern as mk
from mlpkern.cli import common, demo, main, numpy_peer, train
from mlpkern.fitting import Fitting
from mlpkern.persistence import load_with_metadata

COMMANDS = ["demo", "train", "predict", "convert", "bench", "gradcheck", "plot", "info"]
PICTURES = ["activations", "graph", "jacobian", "soft", "loss", "bench"]


def last_json(text):
    """The last line of an output, as a program would read it: strictly."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text.splitlines()[-1], parse_constant=refuse)


@pytest.fixture
def flowers(tmp_path):
    """A CSV file: three classes by name, two columns that tell them apart."""
    rng = np.random.default_rng(0)
    path = tmp_path / "flowers.csv"
    with path.open("w") as file:
        file.write("length,width,kind\n")
        for i in range(150):
            x = rng.normal((10 * (i % 3), 500), (1, 100))
            file.write(f"{x[0]},{x[1]},{('rose', 'lily', 'iris')[i % 3]}\n")
    return path


@pytest.fixture
def line(tmp_path):
    """A CSV file with a number to predict, y = 3 a - 2 b + 100."""
    rng = np.random.default_rng(0)
    path = tmp_path / "line.csv"
    with path.open("w") as file:
        file.write("a,y,b\n")
        for a, b in rng.normal(size=(200, 2)):
            file.write(f"{a},{3 * a - 2 * b + 100},{b}\n")
    return path


# --- usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [[], *([name] for name in COMMANDS), *(["plot", x] for x in PICTURES)],
    ids=" ".join,
)
def test_help_fits_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: mlpkern", *command]))
    assert max(map(len, text.splitlines())) <= 80


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mlpkern {mk.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("train", "required: --data"),
        ("train --data x --epochs 0", "must be a whole number of 1 or more, not '0'"),
        ("train --data x --epochs two", "must be a whole number of 1 or more, not 'two'"),
        ("train --data x --seed -1", "must be a whole number of 0 or more, not '-1'"),
        ("train --data x --lr 0", "must be a number above 0, not '0'"),
        ("train --data x --lr nan", "must be a number above 0, not 'nan'"),
        ("train --data x --test-fraction 1", "must be a number between 0 and 1, not '1'"),
        ("train --data x --hidden 4,x", "must be widths such as 64,32, not '4,x'"),
        ("train --data x --activation rely", "'rely'"),
        ("train --data x --optimizer sdg", "invalid choice: 'sdg'"),
        ("train --data x --task sort", "invalid choice: 'sort'"),
        ("train --data x --dropout 1", "must be a number between 0 and 1, not '1'"),
        ("train --data x --schedule linear", "must be one of constant, step, exponential, cosine"),
        ("train --data x --schedule step", "step takes step_size[,gamma], not ''"),
        ("train --data x --schedule step:1,2,3", "step takes step_size[,gamma], not '1,2,3'"),
        ("train --data x --schedule exponential:x", "exponential takes gamma, not 'x'"),
        ("train --data x --schedule plateau:0.5,inf", "plateau takes [factor[,patience]], not '0"),
        ("train --data x --schedule cosine:-1", "CosineSchedule: minimum must be finite and at"),
        ("train --data x --schedule cosine:low", "cosine takes [minimum], not 'low'"),
        ("train --data x --resume", "--resume needs --checkpoint"),
        ("train --data x --checkpoint-every 2", "--checkpoint-every needs --checkpoint"),
        ("train --data x --warm-up 10", "--warm-up must be less than --epochs 10, not 10.0"),
        (
            "train --data x --hidden none --dropout 0.2",
            "--dropout needs a hidden layer to drop from, and --hidden is none",
        ),
        ("predict --data x", "required: --model"),
        ("plot", "required: WHAT"),
        ("plot graph --out x.svg", "one of the arguments --model --sizes is required"),
        ("plot graph --sizes 4 --out x.svg", "--sizes needs two widths or more, as 64-128-10"),
        ("plot graph --sizes 4-2 --out x.png", "must end in .svg or .dot, not 'x.png'"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys, arguments, text):
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err.splitlines()[-1]


def test_a_failure_is_one_line_and_exit_code_1(capsys, tmp_path):
    assert main(["train", "--data", str(tmp_path / "none.csv")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    path = tmp_path / "none.csv"
    assert captured.err == f"mlpkern train: error: {path}: No such file or directory\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ValueError("two\nlines"), 1, "mlpkern info: error: two lines\n"),
        (RuntimeError(), 1, "mlpkern info: error: RuntimeError\n"),
        (MemoryError(), 1, "mlpkern info: error: out of memory\n"),
        (OSError("odd"), 1, "mlpkern info: error: odd\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "mlpkern info: error: No space left on device\n",
        ),
        (common.UsageError("no"), 2, "mlpkern info: error: no\n"),
        (KeyboardInterrupt(), 130, "mlpkern info: interrupted\n"),
    ],
)
def test_how_errors_end(capsys, monkeypatch, error, code, text):
    def fail(*args):
        raise error

    monkeypatch.setattr("mlpkern.cli.info.machine", fail)
    assert main(["info"]) == code
    assert capsys.readouterr().err == text


def test_python_m_mlpkern():
    command = [sys.executable, "-m", "mlpkern", "info", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = last_json(result.stdout)
    assert facts["mlpkern"] == mk.__version__
    assert facts["isa"] in facts["isas"]
    assert facts["threads"] >= 1
    assert result.stderr == ""


def test_a_reader_that_leaves_early_is_no_failure_to_tell():
    command = f"'{sys.executable}' -m mlpkern info | true"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert "Traceback" not in result.stderr


def test_info(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"^mlpkern +{re.escape(mk.__version__)}$", text, re.MULTILINE)
    assert re.search(rf"^numpy +{re.escape(np.__version__)}$", text, re.MULTILINE)


# --- train and predict -------------------------------------------------------------------------


def test_a_classifier_from_csv_to_predictions(capsys, tmp_path, flowers):
    model, output = str(tmp_path / "model.npz"), tmp_path / "predictions.csv"
    arguments = ["train", "--data", str(flowers), "--epochs", "30", "--lr", "0.01"]
    assert main([*arguments, "--batch-size", "16", "--save", model, "--json"]) == 0
    captured = capsys.readouterr()
    result = last_json(captured.out)
    assert result["test_accuracy"] == 1
    assert result["task"] == "classification"
    assert result["seconds"] > 0
    assert (result["epochs"], result["network"]) == (30, "2-128-3")
    assert (result["train_rows"], result["test_rows"]) == (120, 30)
    assert result["saved"] == model
    assert len(captured.out.splitlines()) == 1
    assert "quality   test accuracy 100.00 %, 30 of 30" in captured.err

    assert main(["predict", "--model", model, "--data", str(flowers), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"rows 150, output {output}, accuracy 1.0\n"
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows[:3]] == ["rose", "lily", "iris"]

    unlabelled = tmp_path / "unlabelled.csv"
    unlabelled.write_text("width,more,length\n500,1,20\n")
    arguments = ["predict", "--model", model, "--data", str(unlabelled), "--proba"]
    assert main(arguments) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "kind,p(iris),p(lily),p(rose)"
    label, *p = row.split(",")
    assert label == "iris"
    np.testing.assert_allclose(sum(map(float, p)), 1, rtol=1e-6)
    assert main([*arguments, "--json"]) == 0
    result = last_json(capsys.readouterr().out)
    assert result["columns"] == header.split(",")
    assert result["predictions"][0][0] == "iris"
    assert "accuracy" not in result


def test_a_regressor_from_csv_to_predictions(capsys, tmp_path, line):
    model = str(tmp_path / "model.npz")
    arguments = ["train", "--data", str(line), "--target", "y", "--epochs", "60", "--lr", "0.01"]
    assert (
        main([*arguments, "--batch-size", "16", "--hidden", "none", "--save", model, "--json"]) == 0
    )
    result = last_json(capsys.readouterr().out)
    assert result["test_r2"] > 0.99
    assert result["task"] == "regression"
    assert result["network"] == "2-1"

    new = tmp_path / "new.csv"
    new.write_text("b,a\n1,2\n")
    assert main(["predict", "--model", model, "--data", str(new)]) == 0
    header, value = capsys.readouterr().out.splitlines()
    assert header == "y"
    assert abs(float(value) - 104) < 1
    assert main(["predict", "--model", model, "--data", str(line), "--json"]) == 0
    assert last_json(capsys.readouterr().out)["r2"] > 0.99


def test_columns_of_text_and_ignored_ones(capsys, tmp_path):
    data, model = tmp_path / "shops.csv", str(tmp_path / "model.npz")
    rng = np.random.default_rng(0)
    with data.open("w") as file:
        file.write("id,town,size,price\n")
        for i in range(300):
            town, size = ("Rome", "Oslo", "Bonn")[i % 3], rng.normal()
            file.write(f"no{i},{town},{size},{size + (i % 3) * 10}\n")
    command = ["train", "--data", str(data), "--hidden", "none", "--save", model, "--lr", "0.05"]
    assert main(command) == 1
    text = "column 'id' must have at most 100 different texts, and has more: ignore it, or turn it"
    assert text in capsys.readouterr().err
    assert main([*command, "--ignore", " id ", "--epochs", "100"]) == 0
    captured = capsys.readouterr()
    assert ", 4 inputs of 2 columns, target price\n" in captured.out
    metadata = load_with_metadata(model)[1]
    assert metadata["columns"] == ["town", "size"]
    assert metadata["categories"] == {"town": ["Bonn", "Oslo", "Rome"]}
    assert predictions(capsys, model, data)["r2"] > 0.99
    new = tmp_path / "new.csv"
    new.write_text("size,town\n0,Oslo\n0,Cork\n0,Bern\n")
    assert main(["predict", "--model", model, "--data", str(new), "--json"]) == 0
    captured = capsys.readouterr()
    assert abs(last_json(captured.out)["predictions"][0][0] - 10) < 0.5
    assert captured.err == (
        "note: column 'town' has 2 cells of no category that the model knows, the first on line 3, "
        "'Cork': taken as none of them\n"
    )
    for wrong in ({"town": "Bonn"}, {"street": ["a"]}, ["town"]):
        mk.save(model, mk.load(model), metadata | {"categories": wrong})
        assert main(["predict", "--model", model, "--data", str(new)]) == 1
        assert "categories must be lists of text" in capsys.readouterr().err


def predictions(capsys, model, data):
    assert main(["predict", "--model", str(model), "--data", str(data), "--json"]) == 0
    return last_json(capsys.readouterr().out)


def test_a_saved_classifier_takes_raw_rows(capsys, tmp_path, flowers):
    model = tmp_path / "model.npz"
    arguments = ["train", "--data", str(flowers), "--epochs", "30", "--lr", "0.01"]
    assert main([*arguments, "--save", str(model)]) == 0
    capsys.readouterr()
    with flowers.open() as file:
        rows = list(csv.DictReader(file))
    x = np.array([[row["length"], row["width"]] for row in rows], np.float32)
    names = np.array(["iris", "lily", "rose"])[mk.load(model).predict(x).argmax(axis=1)]
    assert [[name] for name in names] == predictions(capsys, model, flowers)["predictions"]
    assert np.mean(names == [row["kind"] for row in rows]) == 1


@pytest.mark.parametrize(("start", "dtype"), [(0.0, np.float32), (1.7e9, np.float64)])
def test_a_saved_regressor_takes_raw_rows_and_gives_raw_targets(capsys, tmp_path, start, dtype):
    x = start + np.random.default_rng(1).uniform(0, 100, (200, 2))
    y = 1000 + 3 * (x - start) @ [1, -1]
    np.savez(tmp_path / "data.npz", x=x, y=y)
    model = tmp_path / "model.npz"
    arguments = ["train", "--data", str(tmp_path / "data.npz"), "--epochs", "100", "--lr", "0.05"]
    assert main([*arguments, "--hidden", "none", "--save", str(model)]) == 0
    capsys.readouterr()
    net = mk.load(model)
    assert net.dtype == dtype
    assert np.abs(net.predict(x.astype(dtype))[:, 0] - y).max() < 5
    result = predictions(capsys, model, tmp_path / "data.npz")
    np.testing.assert_array_equal(result["predictions"], net.predict(x.astype(dtype)))
    assert result["r2"] > 0.999


def test_several_outputs(capsys, tmp_path):
    x = np.random.default_rng(0).normal(size=(100, 3))
    np.savez(tmp_path / "data.npz", x=x, y=x[:, :2] * [1, 50] + 7)
    model = str(tmp_path / "model.npz")
    arguments = ["train", "--data", str(tmp_path / "data.npz"), "--epochs", "100", "--lr", "0.1"]
    assert main([*arguments, "--hidden", "none", "--save", model, "--json"]) == 0
    assert last_json(capsys.readouterr().out)["test_r2"] > 0.95
    assert main(["predict", "--model", model, "--data", str(tmp_path / "data.npz")]) == 0
    assert capsys.readouterr().out.startswith("y0,y1\n")


def test_every_optimizer_and_early_stopping(capsys, tmp_path, flowers):
    for optimizer in ("sgd", "adam", "adamw", "rmsprop", "adagrad"):
        arguments = ["train", "--data", str(flowers), "--optimizer", optimizer, "--epochs", "200"]
        arguments += ["--lr", "0.05", "--early-stopping", "3", "--hidden", "8,8", "--json"]
        assert main([*arguments, "--activation", "tanh", "--seed", "1", "--threads", "1"]) == 0
        result = last_json(capsys.readouterr().out)
        assert result["test_accuracy"] > 0.9
        assert (result["network"], result["threads"]) == ("2-8-8-3", 1)


def test_the_same_seed_gives_the_same_model(tmp_path, capsys, flowers):
    def parameters(seed):
        path = tmp_path / "model.npz"
        arguments = ["train", "--data", str(flowers), "--epochs", "2", "--seed", seed]
        assert main([*arguments, "--save", str(path)]) == 0
        return mk.load(path).parameters.tobytes()

    assert parameters("3") == parameters("3") != parameters("4")
    assert "saved     " in capsys.readouterr().out


def test_what_train_leaves_in_the_file(tmp_path, flowers):
    path = tmp_path / "model.npz"
    assert main(["train", "--data", str(flowers), "--epochs", "2", "--save", str(path)]) == 0
    net, metadata = load_with_metadata(path)
    assert isinstance(net.layers[0], mk.Standardize)
    assert net.inputs == 2
    assert metadata["classes"] == ["iris", "lily", "rose"]
    assert metadata["columns"] == ["length", "width"]
    assert len(metadata["history"]["loss"]) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--target none", "there is no column 'none'; the columns are length, width, kind"),
        ("--task regression", "a regression needs numbers as targets, not "),
        ("--save /nowhere/model.npz --epochs 1", "No such file or directory"),
        (
            "--target length --optimizer sgd --lr 1e30",
            "the model is as it was before that step; a smaller learning rate or clip_norm may",
        ),
    ],
)
def test_failures_of_train(capsys, flowers, arguments, text):
    if "target length" in arguments:
        flowers.write_text("a,length\n" + "".join(f"{i},{i / 7}\n" for i in range(50)))
    assert main(["train", "--data", str(flowers), *arguments.split()]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    "schedule",
    ["constant:0.5", "step:5,0.5", "exponential:0.95", "cosine", "one-cycle:0.4", "plateau:0.5,3"],
)
def test_schedules_of_train(capsys, flowers, schedule):
    arguments = ["train", "--data", str(flowers), "--schedule", schedule, "--warm-up", "2"]
    arguments += ["--clip-norm", "1", "--weight-decay", "1e-3", "--lr", "0.02", "--epochs", "30"]
    assert main([*arguments, "--batch-size", "16", "--json"]) == 0
    captured = capsys.readouterr()
    assert last_json(captured.out)["test_accuracy"] > 0.9
    assert "epoch     30 of 30: loss " in captured.err
    assert ", lr " in captured.err


def test_help_has_the_form_of_every_schedule(capsys):
    assert main(["train", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert (
        "ofthelearningrate:constant[:factor],step:step_size[,gamma],exponential:gamma,"
        "cosine[:minimum],one-cycle[:peak_at[,start_factor[,end_factor]]],"
        "plateau[:factor[,patience]];timesinepochs"
    ) in text


def test_dropout_of_train(tmp_path, flowers):
    path = tmp_path / "model.npz"
    arguments = ["train", "--data", str(flowers), "--dropout", "0.25", "--hidden", "8,4"]
    assert main([*arguments, "--save", str(path)]) == 0
    assert json.dumps(mk.load(path).config()).count('{"type": "Dropout", "p": 0.25') == 2
    net = mk.MLP([2, 8, 4, 3], "relu", "softargmax", dropout=0.25)
    assert mk.load(path).layers[1].config() == net.config()


def test_train_goes_on_from_a_checkpoint(capsys, tmp_path, flowers):
    def parameters(epochs, *more):
        path = tmp_path / "model.npz"
        arguments = ["train", "--data", str(flowers), "--save", str(path), "--epochs", epochs]
        arguments += ["--early-stopping", "50", "--schedule", "plateau:0.5,1", "--json"]
        assert main([*arguments, *more]) == 0
        return mk.load(path).parameters.tobytes()

    checkpoint = str(tmp_path / "run.npz")
    more = ["--checkpoint", checkpoint, "--checkpoint-every", "2", "--resume"]
    first = parameters("3", *more)  # nothing is there yet
    result = last_json(capsys.readouterr().out)
    assert (result["epochs"], result["checkpoint"]) == (3, checkpoint)
    assert parameters("6", *more) == parameters("6") != first
    command = ["train", "--data", str(flowers), "--epochs", "9", "--checkpoint", checkpoint]
    capsys.readouterr()
    assert main(command) == 2  # a training is not lost for a forgotten word
    assert "run.npz is there already: --resume goes on from it" in capsys.readouterr().err
    assert main([*command, "--early-stopping", "50", "--resume"]) == 0
    assert f"resuming  {checkpoint}, 6 of 9 epochs done" in capsys.readouterr().out
    command += ["--early-stopping", "50", "--resume", "--seed", "1"]  # other rows held out
    assert main(command) == 1
    text = f"fit: x and y must be as in the training of {checkpoint}; got other numbers"
    assert capsys.readouterr().err == f"mlpkern train: error: {text}\n"
    mk.save(checkpoint, mk.MLP([2, 2]))
    assert main(["train", "--data", str(flowers), "--checkpoint", checkpoint, "--resume"]) == 1
    assert "is not a checkpoint that can be read: it holds a network" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "done", "text"),
    [
        (["--checkpoint"], 0, "2 of 10 epochs: --resume goes on from it"),
        (["--checkpoint"], 1, "2 of 10 epochs and 120 of 120 rows of the next: --resume goes on"),
        ([], 0, None),
    ],
)
def test_an_interrupt_tells_how_to_go_on(
    capsys, tmp_path, monkeypatch, flowers, arguments, done, text
):
    checkpoint, steps = str(tmp_path / "run.npz"), Fitting._steps

    def interrupted(self):
        """Before the steps of the third epoch, or behind them."""
        at = self.history.epochs == 2
        cost = None if at and not done else steps(self)
        if at:
            raise KeyboardInterrupt
        return cost

    more = [*arguments, checkpoint] if arguments else []
    command = ["train", "--data", str(flowers), *more]
    with monkeypatch.context() as patch:
        patch.setattr(Fitting, "_steps", interrupted)
        assert main(command) == 130
    (line,) = capsys.readouterr().err.splitlines()
    begins = "mlpkern train: interrupted"
    assert line.startswith(begins if text is None else f"{begins}; {checkpoint} holds {text}")
    assert (line == begins) == (text is None)
    if arguments:
        assert main([*command, "--resume"]) == 0


def test_early_stopping_needs_rows(capsys, tmp_path):
    (tmp_path / "few.csv").write_text("a,y\n" + "1,x\n2,z\n" * 4)
    assert main(["train", "--data", str(tmp_path / "few.csv"), "--early-stopping", "2"]) == 2
    assert "--early-stopping needs 10 training rows or more, not 6" in capsys.readouterr().err


def test_one_of_a_thing_is_singular(capsys, tmp_path):
    data, checkpoint = tmp_path / "two.csv", str(tmp_path / "run.npz")
    data.write_text("a,y\n1,0.5\n2,0.25\n")
    arguments = ["train", "--data", str(data), "--task", "regression", "--hidden", "none"]
    arguments += ["--epochs", "1", "--threads", "1", "--checkpoint", checkpoint, "--resume"]
    for _ in range(2):
        assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data      1 training row, 1 test row, 1 input, target y"
    assert lines[1] == "network   1-1, ReLU(scale=1.0), 2 parameters"
    assert re.match(r"training  1 epoch in \d+\.\d\d s, 1 thread, ", lines[3])
    assert f"resuming  {checkpoint}, 1 of 1 epoch done" in lines


def test_r2_of_constant_targets_is_not_defined(capsys, tmp_path):
    np.savez(
        tmp_path / "data.npz",
        x_train=np.ones((5, 1)),
        y_train=np.arange(5) / 2,
        x_test=np.ones((2, 1)),
        y_test=np.ones(2) / 2,
    )
    arguments = ["train", "--data", str(tmp_path / "data.npz"), "--epochs", "1"]
    assert main([*arguments, "--json"]) == 0
    assert last_json(capsys.readouterr().out)["test_r2"] is None
    assert main(arguments) == 0
    assert (
        "test R² is not defined: the held-out targets are all the same" in capsys.readouterr().out
    )


def test_r2():
    y = np.array([[1.0], [2.0], [3.0]])
    assert train.r2(y, y) == 1
    assert train.r2(np.full((3, 1), 2.0), y) == 0
    assert train.r2(y, np.ones((3, 1))) is None


def test_failures_of_predict(capsys, tmp_path, flowers):
    model = tmp_path / "model.npz"
    mk.save(model, mk.MLP([2, 2]))
    arguments = ["predict", "--model", str(model), "--data", str(flowers)]

    def message():
        assert main(arguments) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1
        return captured.err

    assert "was not saved by mlpkern train: it says nothing about its data" in message()
    good = {"task": "classification", "inputs": 2, "columns": ["length", "width"], "target": "kind"}
    good |= {"classes": ["a", "b"]}
    for change, text in (
        ({"classes": [1, 2]}, "classes, columns and categories must be lists"),
        ({"columns": 5}, "classes, columns and categories must be lists"),
        ({"columns": [["c"]]}, "classes, columns and categories must be lists"),
        ({"scaling": {"shift": 0, "scale": 1}}, "whose networks took scaled inputs"),
        ({"columns": ["length"]}, "the model takes 2 inputs, and"),
        ({"columns": ["depth"]}, "line 1: there is no column 'depth'"),
        ({"classes": ["a", "b", "c"]}, "has 2 outputs and names 3 classes"),
    ):
        mk.save(model, mk.MLP([2, 2]), good | change)
        assert text in message()
    net = mk.MLP([2, 2], output="softargmax")
    net.parameters[...] = np.nan
    mk.save(model, net, good)
    arguments.append("--proba")
    assert "the probabilities are not finite" in message()
    model.write_bytes(b"PK\x03\x04")
    assert "is not a model that can be read" in message()


def test_predict_names_what_reads_another_format(capsys, tmp_path, flowers):
    model = tmp_path / "model.onnx"
    model.write_bytes(b"\x08\x08\x12\x07mlpkern")
    assert main(["predict", "--model", str(model), "--data", str(flowers)]) == 1
    assert capsys.readouterr().err == (
        f"mlpkern predict: error: load: path must be a file that save wrote; got {model}, an ONNX "
        "model: from_onnx reads it, and mlpkern convert makes an .npz of it\n"
    )


@pytest.mark.slow
def test_mnist(capsys, mnist):
    arguments = ["--hidden", "128", "--activation", "relu", "--epochs", "10", "--batch-size", "128"]
    assert main(["train", "--data", str(mnist), *arguments, "--json"]) == 0
    result = last_json(capsys.readouterr().out)
    assert result["test_accuracy"] >= 0.975
    assert (result["network"], result["test_rows"]) == ("784-128-10", 10000)


# --- demo --------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", demo.NETWORKS, ids=lambda network: network.name)
def test_each_of_the_five_networks_reads_digits(network):
    result = demo.train(network, demo.Digits.load())
    assert result.accuracy >= 0.96
    assert len(result.history["loss"]) == len(result.history["val_loss"]) == demo.EPOCHS
    assert result.seconds > 0
    assert result.numpy_seconds > 0


@pytest.mark.parametrize("network", demo.NETWORKS, ids=lambda network: network.name)
def test_numpys_part_takes_the_same_steps(network):
    """The costs of the first steps agree; the tolerance is float32's rounding, 5 steps deep."""
    digits = demo.Digits.load()
    y, _ = digits.targets(network)
    sizes = [64, 32, 10]
    net = mk.MLP(sizes, hidden=network.hidden, output=network.output)
    optimizer = mk.Adam(net, lr=demo.LR)
    peer = numpy_peer.Network(sizes, *network.peer, net.parameters, 100, demo.LR)
    x = digits.x[:100]
    np.testing.assert_allclose(peer.forward(x)[0][-1], net.predict(x), rtol=0, atol=1e-5)
    for start in range(0, 500, 100):
        rows = slice(start, start + 100)
        ours = mk.train_step(net, network.loss, optimizer, digits.x[rows], y[rows])
        theirs = peer.step(digits.x[rows], y[rows])
        assert abs(ours - theirs) < 1e-4 * ours
    np.testing.assert_allclose(
        peer.evaluate(x, y[:100]), network.loss(net.predict(x), y[:100]), rtol=1e-4
    )


def test_demo(capsys, tmp_path):
    assert main(["demo", "--epochs", "2", "--no-plots", "--out", str(tmp_path / "none")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for network in demo.NETWORKS:
        assert re.search(rf"^{network.name} +\d\d\.\d % ", text, re.MULTILINE)
    assert not (tmp_path / "none").exists()


def test_demo_draws(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    monkeypatch.setattr("mlpkern.plots._every_activation", lambda: [mk.Tanh()])  # all take seconds
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path / "new")]) == 0
    names = {"graph.svg", "graph.dot", "loss.png", "activations.png", "digits.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    assert "graph.svg" in capsys.readouterr().out.splitlines()[-1]


def test_demo_without_matplotlib(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--epochs", "1", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "pictures need matplotlib: pip install 'mlpkern[demo]'" in lines
    assert {path.name for path in tmp_path.iterdir()} == {"graph.svg", "graph.dot"}


# --- what the commands share -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.234, "1.23 s"), (0.0999, "99.9 ms"), (1e-3, "1 ms"), (4.56e-6, "4.56 µs"), (7e-9, "7 ns")],
)
def test_durations(seconds, text):
    assert common.duration(seconds) == text


def test_threads_are_put_back():
    before = mk.get_num_threads()
    with common.threads(1):
        assert mk.get_num_threads() == 1
    with common.threads(None):
        assert mk.get_num_threads() == before


def test_no_bar_without_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert common.can_show_progress() == (importlib.util.find_spec("tqdm") is not None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert not common.can_show_progress()
