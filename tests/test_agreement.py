"""One name in four places: the compiled tables, the package, the oracles, the stubs."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import make_stubs
import mlpkern as mk
from mlpkern import _core, reference

PACKAGE = Path(mk.__file__).parent
# What the kernels take and the oracles do not: where a result goes, and what need not be computed;
# what surrounds an optimizer's formula (test_clipping.py, test_parameter_groups.py); and what drops
# elements while one trains (test_dropout.py).
EXTRAS = {"out", "need_dx", "clip_norm", "clip_value", "groups", "dropout"}


def parameters(f: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults; the dtype of new parameters is each side's own."""
    found = []
    for p in inspect.signature(f).parameters.values():
        default = "dtype" if p.name == "dtype" else p.default
        name = "**" if p.kind is p.VAR_KEYWORD else p.name
        found.append((name, p.kind, default))
    return found


def assert_same_signature(ours: Any, oracle: Any) -> None:
    exact = parameters(oracle)
    names = {name for name, _, _ in exact}
    actual = [p for p in parameters(ours) if p[0] in names or p[0] not in EXTRAS]
    assert actual == exact


@pytest.mark.parametrize("name", reference.__all__)
def test_names_and_signatures_of_the_oracles(name: str) -> None:
    assert name in mk.__all__
    ours, oracle = getattr(mk, name), getattr(reference, name)
    assert inspect.isclass(ours) == inspect.isclass(oracle)
    assert_same_signature(ours, oracle)
    if not inspect.isclass(oracle):
        return
    for method in dir(oracle):
        public = not method.startswith("_") or method == "__call__"
        if public and hasattr(ours, method) and inspect.isfunction(getattr(oracle, method)):
            assert_same_signature(getattr(ours, method), getattr(oracle, method))


METHODS = {
    "activations": "derivative second_derivative jacobian jvp vjp",
    "losses": "gradient per_sample",
    "models": "predict backward zero_grad parameters gradients",
    "optimizers": "zero_grad step",
}


@pytest.mark.parametrize("name", reference.__all__)
def test_both_sides_have_the_methods(name: str) -> None:
    oracle, ours = getattr(reference, name), getattr(mk, name)
    if not inspect.isclass(ours):
        return
    kinds = [
        (mk.Activation, "activations"),
        (mk.Loss, "losses"),
        (mk.Map, "models"),
        (mk.Optimizer, "optimizers"),
    ]
    kind = next(kind for base, kind in kinds if issubclass(ours, base))
    for method in METHODS[kind].split():
        assert hasattr(ours, method)
        assert hasattr(oracle, method)


def classes(module: ModuleType, methods: set[str]) -> set[str]:
    """Names of the public classes with these methods."""
    return {
        name
        for name in module.__all__
        if inspect.isclass(getattr(module, name)) and methods <= set(dir(getattr(module, name)))
    }


def test_activations() -> None:
    table = dict(_core.activation_specs())
    assert list(table.pop("GELUTanh")) == []
    assert list(table) == list(mk.ACTIVATIONS)
    aliases = {"Softmax", "LogSoftmax"}
    assert classes(reference, {"jvp", "vjp", "jacobian"}) - aliases == set(table)
    ours = {name for name in mk.__all__ if name not in ("Activation", *aliases)}
    assert {
        n
        for n in ours
        if inspect.isclass(getattr(mk, n)) and issubclass(getattr(mk, n), mk.Activation)
    } == set(table)
    for name, cls in mk.ACTIVATIONS.items():
        assert getattr(mk, name) is cls
        assert cls.__name__ == name
        if name != "GELU":
            assert cls.__doc__.startswith(inspect.getdoc(getattr(reference, name)))
            assert re.findall(r"^(\w+) : float, default (\S+)$", cls.__doc__, re.MULTILINE) == [
                (p, str(d)) for p, d in table[name]
            ]
            defaults = [(p, d) for p, _, d in parameters(cls)]
            assert defaults == table[name]
        assert cls.by_rows == _core.by_rows(name)
        assert cls.by_rows == (not issubclass(getattr(reference, name), reference.Tanh.__bases__))


def test_aliases() -> None:
    assert mk.Softmax is mk.Softargmax
    assert mk.LogSoftmax is mk.LogSoftargmax
    assert reference.Softmax is reference.Softargmax
    assert reference.LogSoftmax is reference.LogSoftargmax


@pytest.mark.parametrize("name", [*mk.ACTIVATIONS, "Softmax", "LogSoftmax", "Swish"])
def test_activations_by_name(name: str) -> None:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    for spelled in (name, name.lower(), name.upper(), snake, snake.lower().replace("_", "-")):
        ours = mk.activation(spelled)
        assert type(ours).__name__ == {"Swish": "SiLU", "Softmax": "Softargmax"}.get(
            name, name.replace("LogSoftmax", "LogSoftargmax")
        )
    for spelled in (name, name.lower(), snake.lower()):
        assert type(reference.activation(spelled)).__name__ == type(ours).__name__


def test_losses() -> None:
    table = dict(_core.loss_specs())
    names = {name.removesuffix("WithLogits") for name in table}
    assert set(mk.LOSSES) == names == classes(reference, {"per_sample"})
    for name, cls in mk.LOSSES.items():
        assert getattr(mk, name) is cls
        if f"{name}WithLogits" in table:  # the form that is made for the pair
            assert "from_logits" in inspect.signature(cls).parameters
            assert set(table[name]) <= set(table[f"{name}WithLogits"])
        defaults = {
            p: float(d) for p, kind, d in parameters(cls) if kind != inspect.Parameter.KEYWORD_ONLY
        }
        defaults.pop("from_logits", None)
        assert defaults == dict(table[name])


def test_optimizers() -> None:
    table = dict(_core.optimizer_specs())
    assert list(mk.OPTIMIZERS) == list(table)
    assert set(table) == classes(reference, {"step", "update"})
    for name, cls in mk.OPTIMIZERS.items():
        assert getattr(mk, name) is cls
        defaults: list[tuple[str, float]] = []
        for parameter, _, default in parameters(cls)[1:]:
            if parameter in EXTRAS:
                continue
            if parameter == "betas":
                defaults += [(f"beta{i}", value) for i, value in enumerate(default, 1)]
            else:
                defaults.append((parameter, float(default)))
        assert defaults == table[name]
        opt = cls(mk.Linear(2, 1))
        assert set(opt.states) <= set(_core.optimizer_states(name))


# --- the public names ---------------------------------------------------------------------------
def test_all_is_complete() -> None:
    assert len(set(mk.__all__)) == len(mk.__all__)
    public = {
        name
        for name, value in vars(mk).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    public -= {"annotations", "Any", "TYPE_CHECKING"}
    assert public | {"reference", *mk._LATER} == set(mk.__all__)


CONTRACT = """
linear linear_backward logsumexp activation Softmax LogSoftmax Identity ReLU LeakyReLU ReLU6 ELU
SELU CELU GELU Sigmoid LogSigmoid Tanh Softplus Softsign SiLU Mish Hardsigmoid Hardswish Hardtanh
Tanhshrink Softshrink Hardshrink Squareplus Sine Gaussian Exp Softargmax LogSoftargmax
SquaredError MeanSquaredError AbsoluteError Huber Quantile PoissonNLL BinaryCrossEntropy
CrossEntropy
Linear Chain Sum MLP SGD Adam AdamW RMSprop Adagrad train_step fit value_and_gradient
show_config show_runtime isas isa get_num_threads set_num_threads num_threads reference save load
"""


def test_the_contract() -> None:
    """Every name of the design's public API that this version has."""
    assert set(CONTRACT.split()) <= set(mk.__all__)
    for name in ("backward", "parameters", "predict", "freeze", "zero_grad", "trace", "graph"):
        assert hasattr(mk.MLP, name)


@pytest.mark.parametrize("name", mk.__all__)
def test_everything_is_documented(name: str) -> None:
    thing = getattr(mk, name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing)):
        assert isinstance(thing, dict)  # a list of classes
        return
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        for method, value in inspect.getmembers(thing):
            if method.startswith("_") or hasattr(dict, method):
                continue
            if inspect.isfunction(value) or isinstance(value, property):
                assert inspect.getdoc(value), f"{name}.{method}"


def test_functions_document_their_parameters() -> None:
    """A function with several parameters names each of them in its docstring."""
    for name in mk.__all__:
        thing = getattr(mk, name)
        if inspect.isfunction(thing) and len(inspect.signature(thing).parameters) > 2:
            text = inspect.getdoc(thing) or ""
            if "Arguments as in" in text:
                continue
            for parameter in inspect.signature(thing).parameters:
                assert re.search(rf"\b{parameter}\b", text), f"{name}: {parameter}"


# --- the stubs ----------------------------------------------------------------------------------
def stub_of_core() -> ast.Module:
    return ast.parse((PACKAGE / "_core.pyi").read_text())


def public_members(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_the_stub_of_the_core_lists_what_is_there() -> None:
    functions, members = set(), {}
    for node in stub_of_core().body:
        if isinstance(node, ast.FunctionDef):
            functions.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            names |= {
                n.target.id
                for n in node.body
                if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
            }
            members[node.name] = {n for n in names if n != "__init__"}
    there = {n: v for n, v in vars(_core).items() if not n.startswith("__")}
    assert functions == {n for n, v in there.items() if not inspect.isclass(v)}
    assert members == {n: public_members(v) for n, v in there.items() if inspect.isclass(v)}


def arguments(doc: str) -> list[str]:
    """Names of the arguments in the first line of a docstring of pybind11, `*` among them."""
    inside = doc.splitlines()[0].split("(", 1)[1].rsplit(")", 1)[0]
    depth, part, parts = 0, "", []
    for character in inside + ",":
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    names = [p.split(":")[0].strip() + ("=" if "=" in p else "") for p in parts if p]
    return [n for n in names if n != "self"]


def stub_arguments(node: ast.FunctionDef) -> list[str]:
    a = node.args
    plain = [arg.arg for arg in a.args]
    first = len(plain) - len(a.defaults)
    names = [n + ("=" if i >= first else "") for i, n in enumerate(plain)]
    names += ["*"] if a.kwonlyargs else []
    names += [
        k.arg + ("=" if d is not None else "")
        for k, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)
    ]
    return [n for n in names if n != "self"]


def test_the_stub_of_the_core_has_its_signatures() -> None:
    def check(node: ast.FunctionDef, function: Any) -> None:
        assert stub_arguments(node) == arguments(function.__doc__), node.name

    for node in stub_of_core().body:
        if isinstance(node, ast.FunctionDef):
            check(node, getattr(_core, node.name))
        elif isinstance(node, ast.ClassDef):
            cls = getattr(_core, node.name)
            for inner in node.body:
                is_property = isinstance(inner, ast.FunctionDef) and inner.decorator_list
                if isinstance(inner, ast.FunctionDef) and not is_property:
                    check(inner, getattr(cls, inner.name))


def test_the_stub_of_the_activations_is_current() -> None:
    """`python tests/make_stubs.py` writes it."""
    there, made = (ast.parse(text) for text in (make_stubs.STUB.read_text(), make_stubs.stub()))
    assert ast.dump(there) == ast.dump(made)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_reference_is_exact_to_float64() -> None:
    """Whatever comes in, the oracles compute and return float64."""
    x = np.ones((2, 3), np.float32)
    assert reference.Tanh()(x).dtype == np.float64
    assert reference.linear(x, x.T).dtype == np.float64
    assert reference.MLP([3, 2]).predict(x).dtype == np.float64
