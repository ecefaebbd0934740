"""Optimizers: each step against mlpkern.reference, hyperparameters that change, states, NaN.

Error model. From the optimizer's own state before a step, the oracle takes the same step in
extended precision. Every element may be off by the rounding of the result, u |w|, and by the
roundings on the way to the update. There are at most 16 of those one behind the other:
hyperparameters rounded to the dtype (lr, two betas, eps, weight decay: 5), the penalized gradient
(1), a mean (2), a mean of squares (3, of which the root leaves half), the root, its scaling, eps
added, product, quotient, sum (6). What they multiply is the update that the absolute values of w, g
and the means would give, where nothing cancels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import compare
import mlpkern as mk
from mlpkern import reference as ref

ROUNDINGS = 16
P = 83  # five whole vectors of 16, and three more
Wide = np.longdouble

# Names of the states: the kernel's (PyTorch's) and the reference's.
STATES = {
    "SGD": {"momentum_buffer": "m"},
    "Adam": {"exp_avg": "m", "exp_avg_sq": "v"},
    "AdamW": {"exp_avg": "m", "exp_avg_sq": "v"},
    "RMSprop": {"square_avg": "v", "momentum_buffer": "m", "grad_avg": "mean"},
    "Adagrad": {"sum": "v"},
}


class Case(NamedTuple):
    name: str
    options: dict[str, Any]

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    def kernel(self, net: Any) -> Any:
        return mk.OPTIMIZERS[self.name](net, **self.options)

    def oracle(self, net: Any) -> Any:
        return getattr(ref, self.name)(net, **self.options)


CASES = [
    Case("SGD", {}),
    Case("SGD", {"lr": 0.03, "weight_decay": 0.1}),
    Case("SGD", {"momentum": 0.9}),
    Case("SGD", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}),
    Case("SGD", {"momentum": 0.8, "nesterov": True}),
    Case("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.3}),
    Case("SGD", {"lr": 0.0, "momentum": 0.5}),
    Case("Adam", {}),
    Case("Adam", {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    Case("Adam", {"betas": (0.0, 0.0)}),
    Case("Adam", {"betas": (0.0, 0.99), "weight_decay": 0.2}),
    Case("Adam", {"weight_decay": 0.1, "eps": 0.0}),
    Case("AdamW", {}),
    Case("AdamW", {"weight_decay": 0.0}),
    Case("AdamW", {"lr": 0.05, "weight_decay": 0.5, "betas": (0.3, 0.6), "eps": 1e-6}),
    Case("RMSprop", {}),
    Case("RMSprop", {"alpha": 0.0, "eps": 1e-2}),
    Case("RMSprop", {"alpha": 0.5, "weight_decay": 0.1}),
    Case("RMSprop", {"momentum": 0.9}),
    Case("RMSprop", {"centered": True, "alpha": 0.9}),
    Case("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "alpha": 0.6}),
    Case("Adagrad", {}),
    Case("Adagrad", {"lr": 0.5, "lr_decay": 0.1}),
    Case("Adagrad", {"weight_decay": 0.2, "initial_accumulator_value": 0.5, "eps": 1e-3}),
]
all_cases = pytest.mark.parametrize("case", CASES, ids=str)


def network(dtype: type) -> Any:
    """P parameters; their values come from the caller."""
    return mk.Linear(P - 1, 1, dtype=dtype)


def wide_oracle(case: Case, values: Any) -> Any:
    """The reference in extended precision: its arrays take the precision of the network's."""
    net = ref.Linear(P - 1, 1)
    net.bind(values.astype(Wide), np.zeros(P, Wide), 0)
    opt = case.oracle(net)
    for name, value in vars(opt).items():  # 1 - beta and beta^t in extended precision too
        if type(value) is float:
            setattr(opt, name, Wide(value))
    if hasattr(opt, "betas"):
        opt.betas = tuple(Wide(b) for b in opt.betas)
    return opt


def oracle_step(case: Case, opt: Any, w: Any, g: Any, absolute: bool) -> tuple[Any, dict[str, Any]]:
    """The step from the kernel's state, or from the absolute values of all that may cancel."""
    size = np.abs if absolute else np.asarray
    oracle = wide_oracle(case, size(w.astype(Wide)))
    oracle.t = opt.steps
    for name, value in vars(opt)["_values"].items():
        if name != "betas" and type(value) is float:
            setattr(oracle, name, Wide(value))
    if absolute and getattr(oracle, "centered", False):
        oracle.centered = False
    for ours, theirs in STATES[case.name].items():
        if ours in opt.states:
            setattr(oracle, theirs, size(opt.states[ours].astype(Wide)))
    oracle.net.gradients[...] = size(g.astype(Wide))
    oracle.step()
    return oracle.net.parameters.copy(), {
        ours: getattr(oracle, theirs) for ours, theirs in STATES[case.name].items()
    }


def amplification(case: Case, opt: Any, states: dict[str, Any]) -> Any:
    """How much larger relative errors become: in v - mean^2, and in a small 1 - beta^t."""
    factor = np.ones(P, Wide)
    if case.options.get("centered"):
        variance = states["square_avg"] - states["grad_avg"] ** 2
        # the update of the uncentered oracle is smaller by sqrt(variance/v)
        factor = (2 * states["square_avg"] / variance) ** 1.5
    if case.name.startswith("Adam"):
        # beta^t is rounded to a double: 2^-53 of 1 is more of 1 - beta^t. Nothing for float32.
        t = opt.steps + 1
        part = sum(beta**t / (1 - beta**t) for beta in opt.betas)
        factor = factor + part * 2.0**-53 / compare.UNIT[opt.states["exp_avg"].dtype]
    return factor


def gradients(rng: np.random.Generator, dtype: type, steps: int) -> Any:
    """Graded over 2^±10; a column of zeros (no gradient ever) and one that changes its sign."""
    g = rng.normal(size=(steps, P)) * 2.0 ** rng.integers(-10, 11, P)
    g[:, 7] = 0
    g[:, 8] = 0.5 * (-1.0) ** np.arange(steps)
    return g.astype(dtype)


def assert_step(case: Case, opt: Any, g: Any) -> None:
    """One step of the kernel, its parameters and states, within the error model."""
    net, dtype = opt.net, opt.net.parameters.dtype
    u = compare.UNIT[dtype]
    w = net.parameters.copy()
    exact, states = oracle_step(case, opt, w, g, absolute=False)
    moved, sizes = oracle_step(case, opt, w, g, absolute=True)
    update = np.abs(w).astype(Wide) - moved
    with np.errstate(invalid="ignore"):
        update = update * amplification(case, opt, states)
    finite = np.isfinite(exact)
    net.gradients[...] = g
    opt.step()
    # w itself, and for AdamW w (1 - lr weight_decay), are rounded
    bound = u * (2 * np.abs(exact) + np.abs(w)) + ROUNDINGS * u * np.nan_to_num(update)
    compare.assert_within(net.parameters[finite], exact[finite], bound[finite])
    np.testing.assert_array_equal(np.isfinite(net.parameters), finite)
    for name, state in opt.states.items():
        # a mean is start + weight (end - start): as large as twice |start| weight + |end| weight
        bound = ROUNDINGS * u * sizes[name] + np.finfo(dtype).smallest_subnormal
        if case.options.get("centered") and name == "momentum_buffer":
            bound = bound * amplification(case, opt, states)
        compare.assert_within(state[finite], states[name][finite], bound[finite])


# --- steps against the reference
@all_cases
def test_twenty_steps(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    net = network(dtype)
    net.parameters[...] = rng.normal(size=P) * 2.0 ** rng.integers(-5, 6, P)
    opt = case.kernel(net)
    for g in gradients(rng, dtype, 20):
        # eps = 0 gives 0/0 where there never was a gradient: NaN, as the formula says
        if case.options.get("eps") == 0 and not case.options.get("weight_decay"):
            g[7] = 1
        assert_step(case, opt, g)
    assert opt.steps == 20


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if not c.options.get("centered") and c.options.get("eps") != 0],
    ids=str,
)
def test_the_whole_way(isa: str, dtype: type, case: Case, rng: np.random.Generator) -> None:
    """20 steps of both, each from its own states: errors add up over the steps.

    A state's relative error after t steps is at most t times that of one; so is an update's. Cases
    that divide by a difference (centered) or by small numbers are left to the test above.
    """
    net = network(dtype)
    net.parameters[...] = rng.normal(size=P)
    opt, oracle = case.kernel(net), wide_oracle(case, net.parameters)
    u = compare.UNIT[np.dtype(dtype)]
    travelled, size = np.zeros(P, Wide), np.abs(net.parameters).astype(Wide)
    for g in gradients(rng, dtype, 20):
        net.gradients[...] = oracle.net.gradients[...] = np.abs(g)  # one sign: nothing cancels
        before = oracle.net.parameters.copy()
        amplified = amplification(case, opt, {})
        opt.step()
        oracle.step()
        travelled += np.abs(oracle.net.parameters - before) * amplified
        size = np.maximum(size, np.abs(oracle.net.parameters))
    decay = case.options.get("weight_decay", 0.01 if case.name == "AdamW" else 0)
    # weight decay lets w's own sign into g: then w counts as what travelled, 20 times
    bound = 20 * ROUNDINGS * u * (travelled + (20 * size if decay else 0)) + 20 * u * 2 * size
    compare.assert_within(net.parameters, oracle.net.parameters, bound)
    assert (travelled[[0, 1, 2]] > 0).all() or case.options.get("lr") == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33])
def test_every_number_of_parameters(isa: str, dtype: type, size: int) -> None:
    """The last, partial vector computes what a whole one does: the same bits in every place."""
    rng = np.random.default_rng(3)
    values, g = rng.normal(size=(2, 64)).astype(dtype)
    for name, cls in mk.OPTIMIZERS.items():
        results = []
        for count in (64, size):
            net = mk.Linear(count, 1, bias=False, dtype=dtype)
            net.parameters[...] = values[:count]
            opt = cls(net, **({"momentum": 0.5} if name in ("SGD", "RMSprop") else {}))
            for _ in range(3):
                net.gradients[...] = g[:count]
                opt.step()
            results.append(net.parameters[:size].copy())
        compare.assert_same_bits(results[1], results[0])


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (1 - 2.0**-20, 1 - 2.0**-30)], ids=str)
def test_bias_corrections_of_late_steps(
    isa: str, dtype: type, betas: tuple[float, float], rng: np.random.Generator
) -> None:
    """1 - beta^t, of which beta^t is a half, an ulp of 1, less than that, nothing."""
    case = Case("Adam", {"betas": betas})
    for steps in (0, 1, 2, 9, 370, 999, 40_000, 2**20, 10**9, 2**62):
        net = network(dtype)
        net.parameters[...] = rng.normal(size=P)
        opt = case.kernel(net)
        opt._core.steps = steps
        assert_step(case, opt, gradients(rng, dtype, 1)[0])
        assert opt.steps == steps + 1


# --- hyperparameters
CHANGES = [
    (Case("SGD", {"momentum": 0.9}), {"lr": 0.01, "weight_decay": 0.2, "dampening": 0.1}),
    (Case("SGD", {}), {"lr": 0.7}),
    (Case("Adam", {}), {"lr": 0.3, "eps": 1e-2, "weight_decay": 0.5}),
    (Case("AdamW", {}), {"lr": 0.3, "weight_decay": 0.1}),
    (Case("RMSprop", {"momentum": 0.5}), {"lr": 0.3, "alpha": 0.5, "eps": 1e-3}),
    (Case("Adagrad", {}), {"lr": 0.9, "lr_decay": 0.5, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("case", "changes"), CHANGES, ids=str)
def test_hyperparameters_change_between_steps(
    dtype: type, case: Case, changes: dict[str, float], rng: np.random.Generator
) -> None:
    net = network(dtype)
    net.parameters[...] = rng.normal(size=P)
    opt = case.kernel(net)
    steps = gradients(rng, dtype, 6)
    for g in steps[:3]:
        assert_step(case, opt, g)
    for name, value in changes.items():
        assert getattr(opt, name) != value
        setattr(opt, name, value)
        assert getattr(opt, name) == value
        assert f"{name}={value!r}" in repr(opt)
    for g in steps[3:]:
        assert_step(case, opt, g)
    assert opt.steps == 6


def test_betas_change_between_steps(dtype: type, rng: np.random.Generator) -> None:
    net = network(dtype)
    opt = mk.Adam(net)
    opt.betas = (0.25, 0.75)
    assert opt.betas == (0.25, 0.75)
    assert_step(Case("Adam", {"betas": (0.25, 0.75)}), opt, gradients(rng, dtype, 1)[0])


def test_learning_rate_zero_moves_nothing(isa: str, dtype: type, rng: np.random.Generator) -> None:
    for cls in mk.OPTIMIZERS.values():
        net = network(dtype)
        net.parameters[...] = rng.normal(size=P)
        before = net.parameters.copy()
        opt = cls(net, lr=0.0)
        net.gradients[...] = rng.normal(size=P)
        opt.step()
        compare.assert_same_bits(net.parameters, before)


@pytest.mark.parametrize(
    ("name", "fixed"), [("SGD", "momentum"), ("RMSprop", "momentum"), ("RMSprop", "centered")]
)
def test_what_decides_the_states_is_fixed(name: str, fixed: str) -> None:
    opt = mk.OPTIMIZERS[name](mk.Linear(2, 2))
    with pytest.raises(AttributeError, match=f"{name}: {fixed} is fixed"):
        setattr(opt, fixed, 0.5)
    assert not getattr(opt, fixed)


@pytest.mark.parametrize(
    ("name", "options", "pattern"),
    [
        ("SGD", {"lr": -1.0}, "lr must be finite and at least 0; got -1.0"),
        ("SGD", {"lr": np.nan}, "lr must be finite"),
        ("SGD", {"nesterov": True}, "nesterov needs a momentum"),
        ("SGD", {"nesterov": True, "momentum": 0.5, "dampening": 0.1}, "no dampening"),
        ("Adam", {"betas": (1.0, 0.9)}, r"betas\[0\] must be less than 1"),
        ("Adam", {"betas": (0.9, -0.1)}, r"betas\[1\] must be from 0 to 1"),
        ("RMSprop", {"alpha": 1.5}, "alpha must be from 0 to 1; got 1.5"),
        ("Adagrad", {"eps": np.inf}, "eps must be finite"),
    ],
)
def test_wrong_hyperparameters(name: str, options: dict[str, Any], pattern: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        mk.OPTIMIZERS[name](mk.Linear(2, 2), **options)


def test_a_refused_change_changes_nothing(dtype: type) -> None:
    net = network(dtype)
    opt = mk.SGD(net, lr=0.5)
    with pytest.raises(ValueError, match="lr must be finite and at least 0"):
        opt.lr = -3.0
    assert opt.lr == 0.5
    before = net.parameters.copy()
    net.gradients[...] = 1
    opt.step()
    compare.assert_same_bits(net.parameters, before - dtype(0.5))


# --- states
def test_states_by_name(dtype: type) -> None:
    def states(opt: Any) -> set[str]:
        for state in opt.states.values():
            assert state.shape == (P,)
            assert state.dtype == dtype
        return set(opt.states)

    net = network(dtype)
    assert states(mk.SGD(net)) == set()
    assert states(mk.SGD(net, momentum=0.1)) == {"momentum_buffer"}
    assert states(mk.Adam(net)) == states(mk.AdamW(net)) == {"exp_avg", "exp_avg_sq"}
    assert states(mk.RMSprop(net)) == {"square_avg"}
    assert states(mk.RMSprop(net, momentum=0.1)) == {"square_avg", "momentum_buffer"}
    assert states(mk.RMSprop(net, centered=True)) == {"square_avg", "grad_avg"}
    assert states(mk.Adagrad(net)) == {"sum"}
    full = mk.Adagrad(net, initial_accumulator_value=0.25).states["sum"]
    compare.assert_same_bits(full, np.full(P, 0.25, dtype))
    assert set(mk.OPTIMIZERS) == {case.name for case in CASES}


def test_states_are_the_ones_in_use(dtype: type) -> None:
    """What a person writes into them counts in the next step."""
    net = network(dtype)
    net.parameters[...] = 0
    opt = mk.SGD(net, lr=1.0, momentum=0.5)
    net.gradients[...] = 0
    opt.step()
    opt.states["momentum_buffer"][...] = 8
    opt.step()
    compare.assert_same_bits(net.parameters, np.full(P, -4, dtype))
    compare.assert_same_bits(opt.states["momentum_buffer"], np.full(P, 4, dtype))


def test_gradients_are_only_read(isa: str, dtype: type, rng: np.random.Generator) -> None:
    for case in CASES:
        net = network(dtype)
        opt = case.kernel(net)
        net.gradients[...] = g = gradients(rng, dtype, 1)[0]
        opt.step()
        compare.assert_same_bits(net.gradients, g)


def test_zero_grad(dtype: type) -> None:
    net = network(dtype)
    opt = mk.SGD(net)
    net.gradients[...] = np.nan
    opt.zero_grad()
    compare.assert_same_bits(net.gradients, np.zeros(P, dtype))
    assert opt.steps == 0


# --- special values
@all_cases
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
def test_special_gradients(isa: str, dtype: type, case: Case, bad: float) -> None:
    """They go where the formula sends them, and stay in their own element."""
    rng = np.random.default_rng(11)
    values, steps = rng.normal(size=P), gradients(rng, dtype, 3)
    steps[:, 7] = 1
    results = []
    for spoiled in ([], [0, 16, 63, 82]):
        net = network(dtype)
        net.parameters[...] = values
        opt = case.kernel(net)
        for i, g in enumerate(steps.copy()):
            if i > 0:
                g[spoiled] = bad
            net.gradients[...] = g
            if i == 2:
                exact, _ = oracle_step(case, opt, net.parameters.copy(), g, absolute=False)
            opt.step()
        results.append(net.parameters.copy())
    clean, got = results
    others = np.isfinite(exact) & ~np.isin(np.arange(P), spoiled)
    assert others.sum() == P - 4
    compare.assert_same_bits(got[others], clean[others])
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
    np.testing.assert_array_equal(got[np.isinf(exact)], exact[np.isinf(exact)].astype(dtype))
    assert not np.isfinite(got[spoiled]).all() or case.options.get("lr") == 0


def test_no_penalty_leaves_infinite_weights_alone(isa: str, dtype: type) -> None:
    """weight_decay = 0 adds nothing: 0 inf would be NaN."""
    for cls in mk.OPTIMIZERS.values():
        net = network(dtype)
        net.parameters[3] = np.inf
        opt = cls(net, weight_decay=0.0)
        net.gradients[...] = 1
        opt.step()
        assert net.parameters[3] == np.inf


def test_centered_rmsprop_of_a_constant_gradient_is_finite(isa: str, dtype: type) -> None:
    """v - mean^2 tends to 0, and rounding may take it below: it counts as 0 then."""
    net = network(dtype)
    net.parameters[...] = 0
    opt = mk.RMSprop(net, alpha=0.5, centered=True)
    net.gradients[...] = np.linspace(0.1, 3, P)
    for _ in range(200):
        opt.step()
    assert np.isfinite(net.parameters).all()
    assert (net.parameters < 0).all()


def test_small_and_large_gradients_neither_vanish_nor_overflow(isa: str, dtype: type) -> None:
    """SGD is exact where the arithmetic is: powers of two over nearly the whole range."""
    net = network(dtype)
    net.parameters[...] = 0
    powers = np.linspace(-120, 120, P).round()
    net.gradients[...] = 2.0**powers
    mk.SGD(net, lr=0.5).step()
    compare.assert_same_bits(net.parameters, (-(2.0 ** (powers - 1))).astype(dtype))
    tiny = np.finfo(dtype).smallest_subnormal
    net.parameters[...], net.gradients[...] = 0, tiny
    mk.SGD(net, lr=3.0).step()
    compare.assert_same_bits(net.parameters, np.full(P, -3 * tiny, dtype))


def test_first_steps_by_hand() -> None:
    """math.md and PyTorch's documentation, worked out: w = 1, g = 2, then g = -1."""
    expected = {
        ("SGD", 0.0): [1 - 0.5 * 2, 0.0 + 0.5],
        ("SGD", 0.5): [0.0, 0.0 - 0.5 * (0.5 * 2 - 1)],
        ("Adagrad", 0.0): [1 - 0.5, 0.5 + 0.5 / 5**0.5],
        ("RMSprop", 0.0): [1 - 0.5 / 0.5**0.5, 1 - 0.5 / 0.5**0.5 + 0.5 / 1.5**0.5],
        ("Adam", 0.0): [0.5, 0.5 - 0.5 * 0 / 1.0],
    }
    for (name, momentum), values in expected.items():
        net = mk.Linear(1, 1, bias=False, dtype=np.float64)
        net.parameters[...] = 1
        options: dict[str, Any] = {"lr": 0.5}
        if momentum:
            options["momentum"] = momentum
        if name == "RMSprop":
            options["alpha"] = 0.5
        if name == "Adam":
            options["betas"] = (0.5, 0.5)  # m: 1, then 0; v: 2, then 1.5
        if name != "SGD":
            options["eps"] = 0.0
        opt = mk.OPTIMIZERS[name](net, **options)
        for g, value in zip((2.0, -1.0), values, strict=True):
            net.gradients[...] = g
            opt.step()
            compare.assert_within(
                net.parameters[0], np.float64(value), compare.gamma(8, np.float64)
            )
