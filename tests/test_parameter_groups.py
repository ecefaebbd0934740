"""Groups of parameters: each moves as under an optimizer of its own hyperparameters."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_same_bits

CLASSES = pytest.mark.parametrize("name", list(mk.OPTIMIZERS))


def network(dtype: type = np.float64) -> Any:
    net = mk.Chain(
        mk.Linear(3, 4, dtype=dtype),
        mk.Tanh(),
        mk.Linear(4, 2, bias=False, dtype=dtype),
        mk.Linear(2, 1, dtype=dtype, seed=3),
    )
    net.gradients[...] = np.random.default_rng(1).normal(size=net.gradients.size)
    return net


def after(steps: int, net: Any, opt: Any) -> Any:
    for _ in range(steps):
        opt.step()
    return net.parameters.copy()


def alone(name: str, **options: Any) -> Any:
    net = network()
    return after(3, net, mk.OPTIMIZERS[name](net, **options))


@CLASSES
def test_each_group_as_by_itself(name: str) -> None:
    net = network()
    groups = {"b": {"weight_decay": 0.0}, net.layers[2]: {"lr": 0.5}, (0, "w"): {"lr": 0.0}}
    got = after(3, net, mk.OPTIMIZERS[name](net, lr=0.01, weight_decay=0.1, groups=groups))
    first_b, second_w, third_b = slice(12, 16), slice(16, 24), slice(26, 27)
    decayed, free = (alone(name, lr=0.01, weight_decay=d) for d in (0.1, 0.0))
    fast = alone(name, lr=0.5, weight_decay=0.1)
    assert not np.array_equal(decayed[first_b], free[first_b])
    assert_same_bits(got[:12], network().parameters[:12].copy())
    assert_same_bits(got[first_b], free[first_b])
    assert_same_bits(got[second_w], fast[second_w])
    assert_same_bits(got[24:26], decayed[24:26])
    assert_same_bits(got[third_b], free[third_b])


def test_later_groups_prevail() -> None:
    net = network()
    opt = mk.SGD(net, groups=[("w", {"lr": 0.3}), (net, {"lr": 0.2}), (2, {"lr": 0.1})])
    got = after(3, net, opt)
    assert_same_bits(got[:24], alone("SGD", lr=0.2)[:24])
    assert_same_bits(got[24:], alone("SGD", lr=0.1)[24:])


def test_no_groups_are_one_piece() -> None:
    net = network()
    plain = after(3, net, mk.Adam(net, groups={}))
    assert_same_bits(plain, alone("Adam"))
    assert_same_bits(alone("Adam", groups={"b": {}}), plain.copy())


def test_groups_and_hyperparameters_may_be_set() -> None:
    net = network()
    opt = mk.SGD(net, groups={"b": {"lr": 0.0}})
    opt.lr = 0.2
    got = after(3, net, opt)
    assert_same_bits(got[:12], alone("SGD", lr=0.2)[:12])
    assert_same_bits(got[12:16], network().parameters[12:16].copy())
    with pytest.raises(ValueError, match="lr must be finite"):
        opt.groups = {"w": {"lr": np.nan}}
    assert opt.groups == [mk.ParameterGroup(None, "b", {"lr": 0.0})]
    opt.groups[0].values["lr"] = 5.0  # a copy
    assert opt.groups[0].values == {"lr": 0.0}
    opt.groups = None
    assert opt.groups == []


@pytest.mark.parametrize("threads", [1, 2])
def test_large_groups(threads: int, rng: Any) -> None:
    """Blocks of a group begin at its own place."""
    w = rng.normal(size=(300, 300))

    def moved(**options: Any) -> Any:
        net = mk.Chain(mk.Linear(300, 300, dtype=np.float64), mk.Linear(300, 300, dtype=np.float64))
        net.gradients[...] = np.concatenate([w.ravel(), w[0], w.ravel(), w[1]])
        mk.Adam(net, **options).step()
        return net.parameters.copy()

    with mk.num_threads(threads):
        got = moved(groups={(1, "w"): {"lr": 0.5}, "b": {"lr": 0.25}})
        half, quarter, plain = moved(lr=0.5), moved(lr=0.25), moved()
    assert_same_bits(got[:90_000], plain[:90_000])
    assert_same_bits(got[90_000:90_300], quarter[90_000:90_300])
    assert_same_bits(got[90_300:180_300], half[90_300:180_300])
    assert_same_bits(got[180_300:], quarter[180_300:])


@CLASSES
def test_like_again(name: str) -> None:
    """config, copy and pickle: an optimizer that goes on with the same bits."""
    net = network()
    groups = {"b": {"lr": 0.0}, net.layers[2]: {"weight_decay": 0.2}}
    opt = mk.OPTIMIZERS[name](net, lr=0.05, clip_norm=2.0, groups=groups)
    config = json.loads(json.dumps(opt.config()))
    made = mk.optimizer_from_config(network(), config)
    assert made.config() == opt.config()
    assert repr(made) == repr(opt)
    opt.step()
    again = pickle.loads(pickle.dumps(opt))
    np.testing.assert_array_equal(again.net.gradients, 0)  # which pickles leave out
    again.net.gradients[...] = net.gradients
    assert copy.copy(opt).steps == again.steps == 1
    assert_same_bits(after(2, again.net, again), after(2, net, opt))
