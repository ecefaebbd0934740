"""The training step and `fit`: the same bits as the steps by hand, in the same order."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import mlpkern as mk
from compare import assert_close, assert_same_bits, gamma
from mlpkern import reference
from mlpkern.datasets import load_digits
from test_models import FIVE, Named

Array = Any


def optimizers(net: mk.Map) -> list[mk.Optimizer]:
    return [
        mk.SGD(net, lr=0.05),
        mk.SGD(net, lr=0.05, momentum=0.9, dampening=0.1, weight_decay=1e-3),
        mk.SGD(net, lr=0.05, momentum=0.9, nesterov=True),
        mk.Adam(net, weight_decay=1e-2),
        mk.AdamW(net),
        mk.RMSprop(net, centered=True, momentum=0.5),
        mk.Adagrad(net, lr_decay=0.1),
    ]


class Problem:
    """A network of math.md, section 1, its cost and samples."""

    def __init__(
        self, named: Named, n: int, dtype: Any = np.float32, sizes: Any = (4, 6, 3)
    ) -> None:
        rng = np.random.default_rng(n)
        self.net = named.net(mk, list(sizes), dtype)
        self.loss = named.cost(mk)
        self.x = rng.normal(size=(n, sizes[0])).astype(dtype)
        self.y = named.targets(rng, n, sizes[-1], dtype)


@pytest.fixture(params=FIVE.values(), ids=FIVE)
def named(request: pytest.FixtureRequest) -> Named:
    return request.param


def five_steps(p: Problem, opt: mk.Optimizer, x: Array, y: Array, weight: Array = None) -> float:
    y_pred = p.net(x)
    cost = p.loss(y_pred, y, weight)
    opt.zero_grad()
    p.net.backward(p.loss.gradient(y_pred, y, weight))
    opt.step()
    return cost


@pytest.mark.parametrize("which", range(7))
def test_train_step_is_the_five_steps(named: Named, dtype: type, which: int) -> None:
    one, five = Problem(named, 130, dtype), Problem(named, 130, dtype)
    opt_one, opt_five = optimizers(one.net)[which], optimizers(five.net)[which]
    for _ in range(4):
        cost = five_steps(five, opt_five, five.x, five.y)
        assert mk.train_step(one.net, one.loss, opt_one, one.x, one.y) == cost
        assert_same_bits(one.net.gradients.copy(), five.net.gradients.copy())
        assert_same_bits(one.net.parameters.copy(), five.net.parameters.copy())
    assert opt_one.steps == opt_five.steps == 4
    for state in opt_one.states:
        assert_same_bits(opt_one.states[state], opt_five.states[state])


@pytest.mark.parametrize("n", [1, 63, 65, 97, 1025])
@pytest.mark.parametrize("threads", [1, 2])
def test_train_step_is_the_five_steps_for_any_batch(n: int, threads: int, isa: str) -> None:
    """Sizes of tiles and chunks, one more, one less; more than 512 kB are another path."""
    for sizes in ([20, 60, 3], [300, 600, 3]):
        one, five = (Problem(FIVE["multi_class"], n, sizes=sizes) for _ in range(2))
        with mk.num_threads(1):
            cost = five_steps(five, mk.Adam(five.net), five.x, five.y)
        with mk.num_threads(threads):
            assert mk.train_step(one.net, one.loss, mk.Adam(one.net), one.x, one.y) == cost
        assert_same_bits(one.net.gradients.copy(), five.net.gradients.copy())
        assert_same_bits(one.net.parameters.copy(), five.net.parameters.copy())


def test_train_step_is_the_oracles(named: Named) -> None:
    p = Problem(named, 20, np.float64)
    oracle = named.net(reference, [4, 6, 3])
    oracle.parameters[...] = p.net.parameters
    loss, opt, exact_opt = named.cost(reference), mk.SGD(p.net), reference.SGD(oracle)
    bound = gamma(2000, np.float64)  # 5 steps of some 100 roundings, each felt by the next ones
    for _ in range(5):
        exact = reference.train_step(oracle, loss, exact_opt, p.x, p.y)
        assert_close(mk.train_step(p.net, p.loss, opt, p.x, p.y), exact, bound)
        assert_close(p.net.parameters, oracle.parameters, bound)


def test_train_step_takes_samples_of_any_shape(dtype: type) -> None:
    flat, deep = (Problem(FIVE["regression"], 6, dtype) for _ in range(2))
    cost = mk.train_step(flat.net, flat.loss, mk.SGD(flat.net), flat.x, flat.y)
    x, y = deep.x.reshape(2, 3, 4), np.asfortranarray(deep.y.reshape(2, 3, 3))
    assert mk.train_step(deep.net, deep.loss, mk.SGD(deep.net), x, y) == cost
    assert_same_bits(deep.net.parameters.copy(), flat.net.parameters.copy())
    one, row = (Problem(FIVE["regression"], 6, dtype) for _ in range(2))
    cost = mk.train_step(one.net, one.loss, mk.SGD(one.net), one.x[:1], one.y[:1])
    assert mk.train_step(row.net, row.loss, mk.SGD(row.net), row.x[0], row.y[0]) == cost
    assert_same_bits(one.net.parameters.copy(), row.net.parameters.copy())


def test_step_on_no_samples() -> None:
    p = Problem(FIVE["regression"], 4)
    p.net.gradients[...] = 5
    before = p.net.parameters.copy()
    loss = mk.SquaredError(reduction="sum")
    assert mk.train_step(p.net, loss, mk.SGD(p.net), p.x[:0], p.y[:0]) == 0
    assert_same_bits(p.net.parameters.copy(), before)
    assert (p.net.gradients == 0).all()


def test_value_and_gradient(named: Named, dtype: type) -> None:
    p = Problem(named, 90, dtype)
    p.net.gradients[...] = 7
    parameters = p.net.parameters.copy()
    cost, gradient = mk.value_and_gradient(p.net, p.loss, p.x, p.y)
    assert (p.net.gradients == 7).all()
    assert_same_bits(p.net.parameters.copy(), parameters)
    assert gradient.dtype == dtype
    assert not np.shares_memory(gradient, p.net.gradients)
    p.net.zero_grad()
    y_pred = p.net(p.x)
    assert p.loss(y_pred, p.y) == cost
    p.net.backward(p.loss.gradient(y_pred, p.y))
    assert_same_bits(p.net.gradients.copy(), gradient)


def test_value_and_gradient_without_a_bias_and_with_shared_maps(rng: np.random.Generator) -> None:
    f = mk.Linear(4, 4, bias=False, dtype=np.float64)
    net = mk.Chain(f, mk.Tanh(), mk.Sum(f, mk.Linear(4, 4, dtype=np.float64)))
    x, y = rng.normal(size=(2, 8, 4))
    _, gradient = mk.value_and_gradient(net, mk.SquaredError(), x, y)
    start, h = net.parameters.copy(), 1e-6
    direction = rng.normal(size=start.size)
    costs = []
    for sign in (1, -1):
        net.parameters[...] = start + sign * h * direction
        costs.append(mk.SquaredError()(net.predict(x), y))
    # h^2 C''' and u C/h are both about 1e-10
    assert (costs[0] - costs[1]) / (2 * h) == pytest.approx(gradient @ direction, rel=1e-7)
    assert gradient.shape == (36,)


def fit(p: Problem, opt: mk.Optimizer, **arguments: Any) -> mk.History:
    return mk.fit(p.net, p.x, p.y, loss=p.loss, optimizer=opt, **arguments)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 50, 51, 1000])
@pytest.mark.parametrize("shuffle", [True, False])
def test_epochs_are_the_steps_by_hand(
    named: Named, dtype: type, batch_size: int, shuffle: bool
) -> None:
    """The order of each epoch is one permutation of the generator that the seed gives."""
    n = 50
    one, many = Problem(named, n, dtype), Problem(named, n, dtype)
    opt_one, opt_many = (mk.Adam(p.net, lr=0.01) for p in (one, many))
    history = fit(one, opt_one, epochs=3, batch_size=batch_size, shuffle=shuffle, seed=4)
    generator = np.random.default_rng(4)
    costs = []
    for _ in range(3):
        order = generator.permutation(n) if shuffle else np.arange(n)
        total = 0.0
        for start in range(0, n, batch_size):
            batch = order[start : start + batch_size]
            cost = mk.train_step(many.net, many.loss, opt_many, many.x[batch], many.y[batch])
            total += cost * len(batch)
        costs.append(total / n)
    assert_same_bits(one.net.parameters.copy(), many.net.parameters.copy())
    assert opt_one.steps == opt_many.steps == 3 * -(-n // batch_size)
    np.testing.assert_allclose(history["loss"], costs, rtol=gamma(60, np.float64))


def test_epochs_are_the_steps_by_hand_with_weights() -> None:
    p, by_hand = (Problem(FIVE["classification"], 30) for _ in range(2))
    weight = np.random.default_rng(1).uniform(0.5, 2, 30).astype(np.float32)
    fit(p, mk.SGD(p.net), epochs=2, batch_size=8, sample_weight=weight, seed=2)
    opt, generator = mk.SGD(by_hand.net), np.random.default_rng(2)
    for _ in range(2):
        order = generator.permutation(30)
        for start in range(0, 30, 8):
            batch = order[start : start + 8]
            five_steps(by_hand, opt, by_hand.x[batch], by_hand.y[batch], weight[batch])
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())


def test_reported_cost_with_reduction_sum() -> None:
    p = Problem(FIVE["regression"], 30)
    p.loss = mk.SquaredError(reduction="sum")
    exact = reference.SquaredError(reduction="sum")(p.net.predict(p.x), p.y)
    history = fit(p, mk.SGD(p.net, lr=0.0), epochs=1, batch_size=7)
    assert_close(history["loss"][0], exact, gamma(60, np.float32))


def test_the_reported_cost_weighs_a_smaller_batch_less() -> None:
    """Without learning, the mean over the epoch is the mean over the samples."""
    p = Problem(FIVE["regression"], 50)
    exact = reference.SquaredError()(p.net.predict(p.x), p.y)
    history = fit(p, mk.SGD(p.net, lr=0.0), epochs=1, batch_size=49)
    assert_close(history["loss"][0], exact, gamma(60, np.float32))


def test_shuffling() -> None:
    def after(seed: Any, shuffle: bool = True) -> Array:
        p = Problem(FIVE["regression"], 40)
        fit(p, mk.SGD(p.net, lr=0.01), epochs=2, batch_size=5, shuffle=shuffle, seed=seed)
        return p.net.parameters.copy()

    assert_same_bits(after(3), after(3))
    assert (after(3) != after(4)).any()
    assert (after(None) != after(None)).any()
    assert_same_bits(after(3, shuffle=False), after(4, shuffle=False))
    assert (after(3, shuffle=False) != after(3)).any()


def test_inputs_stay_as_they_are() -> None:
    p = Problem(FIVE["regression"], 40)
    x, y = p.x.copy(), p.y.copy()
    p.x.flags.writeable = p.y.flags.writeable = False
    fit(p, mk.SGD(p.net), epochs=2, batch_size=7, validation=0.2)
    assert_same_bits(p.x, x)
    assert_same_bits(p.y, y)


def test_validation_by_a_pair(named: Named) -> None:
    p, plain = Problem(named, 40), Problem(named, 40)
    held_out = Problem(named, 17)
    costs = []

    def look(history: mk.History) -> None:
        costs.append(mk.value_and_gradient(p.net, p.loss, held_out.x, held_out.y)[0])

    history = fit(p, mk.SGD(p.net), epochs=3, validation=(held_out.x, held_out.y), callbacks=[look])
    assert history["val_loss"] == costs
    assert len(set(costs)) == 3
    fit(plain, mk.SGD(plain.net), epochs=3)
    assert_same_bits(p.net.parameters.copy(), plain.net.parameters.copy())  # not trained on


def test_validation_by_a_fraction() -> None:
    """The last part is set aside, of samples, targets and weights."""
    p, by_hand = (Problem(FIVE["multi_class"], 50) for _ in range(2))
    weight = np.random.default_rng(1).uniform(0.5, 2, 50)
    history = fit(p, mk.SGD(p.net), epochs=2, validation=0.2, sample_weight=weight)
    expected = mk.fit(
        by_hand.net,
        by_hand.x[:40],
        by_hand.y[:40],
        loss=by_hand.loss,
        optimizer=mk.SGD(by_hand.net),
        epochs=2,
        sample_weight=weight[:40],
        validation=(by_hand.x[40:], by_hand.y[40:]),
    )
    assert dict(history) == dict(expected)
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())


@pytest.mark.parametrize(
    "validation",
    [
        (np.zeros((5, 3), np.float32), np.zeros((5, 3), np.float32)),
        (np.zeros((5, 4), np.float64), np.zeros((5, 3), np.float32)),
        (np.zeros((5, 4), np.float32), np.zeros((4, 3), np.float32)),
        (np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32)),
    ],
    ids=["columns", "dtype", "rows", "empty"],
)
def test_bad_validation_is_refused_before_training(validation: Any) -> None:
    p = Problem(FIVE["regression"], 40)
    before = p.net.parameters.copy()
    with pytest.raises((TypeError, ValueError)):
        fit(p, mk.SGD(p.net), epochs=2, validation=validation)
    assert_same_bits(p.net.parameters.copy(), before)


def test_bad_callbacks_are_refused_before_training() -> None:
    p = Problem(FIVE["regression"], 40)
    before = p.net.parameters.copy()
    with pytest.raises(TypeError):
        fit(p, mk.SGD(p.net), epochs=2, callbacks=[3])  # type: ignore[list-item]
    assert_same_bits(p.net.parameters.copy(), before)


def test_history() -> None:
    p = Problem(FIVE["regression"], 40)
    opt = mk.SGD(p.net, lr=0.01)
    history = fit(p, opt, epochs=4)
    assert isinstance(history, mk.History)
    assert list(history) == ["loss"]
    assert history.epochs == len(history["loss"]) == 4
    assert all(type(cost) is float for cost in history["loss"])
    assert history["loss"] == sorted(history["loss"], reverse=True)
    assert history.net is p.net
    assert history.optimizer is opt
    assert history.seconds > 0
    assert repr(history).startswith("<History: 4 epochs, ")
    with_validation = fit(p, opt, epochs=2, validation=0.5)
    assert list(with_validation) == ["loss", "val_loss"]
    assert len(with_validation["val_loss"]) == 2
    assert "val_loss" in repr(with_validation)
    nothing = fit(p, opt, epochs=0)
    assert nothing.epochs == 0
    assert dict(nothing) == {"loss": []}
    assert opt.steps == 6


def test_callbacks() -> None:
    p = Problem(FIVE["regression"], 40)
    seen: list[int] = []
    lengths: list[int] = []

    def first(history: mk.History) -> bool:
        seen.append(history.epochs)
        lengths.append(len(history["val_loss"]))
        return len(seen) == 3

    also: list[int] = []
    history = fit(
        p,
        mk.SGD(p.net),
        epochs=10,
        validation=0.25,
        callbacks=[first, lambda h: also.append(h.epochs)],
    )
    assert seen == also == lengths == [1, 2, 3]  # all of them are called in the last epoch too
    assert history.epochs == 3


@pytest.mark.parametrize("answer", [None, False, 0, ""])
def test_callbacks_that_do_not_stop(answer: Any) -> None:
    p = Problem(FIVE["regression"], 40)
    assert fit(p, mk.SGD(p.net), epochs=3, callbacks=[lambda h: answer]).epochs == 3


def test_numpy_true_stops() -> None:
    """``np.mean(...) < 0.1`` is a numpy.bool, and means what it says."""
    p = Problem(FIVE["regression"], 40)
    assert fit(p, mk.SGD(p.net), epochs=3, callbacks=[lambda h: np.bool_(True)]).epochs == 1


def test_an_exception_in_a_callback() -> None:
    """It comes out; the model is as its last epoch left it, and may be trained further."""
    p, other = (Problem(FIVE["regression"], 40) for _ in range(2))
    opt = mk.SGD(p.net, lr=0.01)
    ended: list[int] = []

    class Fails:
        def __call__(self, history: mk.History) -> None:
            if history.epochs == 2:
                raise LookupError("enough")

        def end(self, history: mk.History) -> None:
            ended.append(history.epochs)

    with pytest.raises(LookupError, match="enough"):
        fit(p, opt, epochs=5, callbacks=[Fails()])
    assert ended == [2]
    other_opt = mk.SGD(other.net, lr=0.01)
    fit(other, other_opt, epochs=2)
    assert_same_bits(p.net.parameters.copy(), other.net.parameters.copy())
    assert opt.steps == other_opt.steps
    fit(p, opt, epochs=1), fit(other, other_opt, epochs=1)
    assert_same_bits(p.net.parameters.copy(), other.net.parameters.copy())


def history_of(costs: list[float], net: mk.Map, key: str = "loss") -> mk.History:
    history = mk.History(net, mk.SGD(net))
    history["loss"] = [0.0] * len(costs)
    history[key] = costs
    return history


@pytest.mark.parametrize(
    ("costs", "patience", "min_delta", "stops_after", "best"),
    [
        ([3, 2, 1, 1, 1, 1], 2, 0.0, 5, 3),
        ([3, 2, 2.5, 1, 1.5, 1.2], 2, 0.0, 6, 4),
        ([3, 2.9, 2.8, 2.7], 2, 0.5, 3, 1),
        ([3, 2, 1, 0], 1, 0.0, None, 4),
        ([float("nan")] * 3, 2, 0.0, 2, 0),
        ([2, float("nan"), 1, 3], 2, 0.0, None, 3),
    ],
)
def test_early_stopping(
    costs: list[float], patience: int, min_delta: float, stops_after: int | None, best: int
) -> None:
    net = mk.Linear(2, 1)
    stop = mk.EarlyStopping(patience, min_delta=min_delta)
    for epoch in range(1, len(costs) + 1):
        net.parameters[...] = epoch
        history = history_of(costs[:epoch], net)
        if stop(history):
            break
    else:
        epoch = 0
    assert epoch == (stops_after or 0)
    assert stop.best_epoch == best
    last = net.parameters[0]
    stop.end(history)
    assert (net.parameters == (best or last)).all()


def test_early_stopping_in_fit() -> None:
    """A step size that overshoots: the best epoch is the first, and its parameters come back."""
    p, first = (Problem(FIVE["regression"], 40) for _ in range(2))
    stop = mk.EarlyStopping(3)
    opt = mk.SGD(p.net, lr=0.3)
    history = fit(p, opt, epochs=50, batch_size=20, validation=0.5, callbacks=[stop])
    assert history.epochs == stop.best_epoch + 3 < 50
    fit(first, mk.SGD(first.net, lr=0.3), epochs=stop.best_epoch, batch_size=20, validation=0.5)
    assert_same_bits(p.net.parameters.copy(), first.net.parameters.copy())
    cost = mk.value_and_gradient(p.net, p.loss, p.x[20:], p.y[20:])[0]
    assert cost == min(history["val_loss"]) == stop.best


def test_early_stopping_monitors() -> None:
    net = mk.Linear(2, 1)
    stop = mk.EarlyStopping(1)
    stop(history_of([1.0, 2.0], net, "val_loss"))
    assert stop.best == 2.0
    stop = mk.EarlyStopping(1, monitor="loss")
    stop(history_of([1.0, 2.0], net, "val_loss"))
    assert stop.best == 0.0
    with pytest.raises(ValueError, match=r"monitor must be one of loss; got 'val_loss'"):
        mk.EarlyStopping(1, monitor="val_loss")(history_of([1.0], net))


def test_early_stopping_without_restoring() -> None:
    p = Problem(FIVE["regression"], 40)
    stop = mk.EarlyStopping(2, restore_best=False)
    opt = mk.SGD(p.net, lr=0.3)
    history = fit(p, opt, epochs=50, batch_size=20, validation=0.5, callbacks=[stop])
    again = Problem(FIVE["regression"], 40)
    fit(again, mk.SGD(again.net, lr=0.3), epochs=history.epochs, batch_size=20, validation=0.5)
    assert_same_bits(p.net.parameters.copy(), again.net.parameters.copy())


def test_early_stopping_begins_afresh() -> None:
    p = Problem(FIVE["regression"], 40)
    stop = mk.EarlyStopping(2)
    opt = mk.SGD(p.net, lr=1e-4)
    fit(p, opt, epochs=3, callbacks=[stop])
    p.net.parameters[...] *= 3  # much worse than what the callback saw
    assert fit(p, opt, epochs=5, callbacks=[stop]).epochs == 5
    assert stop.best_epoch == 5


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    p, quiet = (Problem(FIVE["regression"], 40) for _ in range(2))
    fit(quiet, mk.SGD(quiet.net), epochs=3, validation=0.5)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    history = fit(p, mk.SGD(p.net), epochs=3, validation=0.5, progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3/3" in captured.err
    for key in ("loss", "val_loss"):
        assert f"{key}={history[key][-1]:.4g}" in captured.err
    assert_same_bits(p.net.parameters.copy(), quiet.net.parameters.copy())


def test_progress_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    p = Problem(FIVE["regression"], 40)
    before = p.net.parameters.copy()
    opt = mk.SGD(p.net)
    with pytest.raises(ImportError, match=r"^fit: progress=True needs tqdm; install it with: pip "):
        fit(p, opt, progress=True)
    assert_same_bits(p.net.parameters.copy(), before)
    assert fit(p, opt, epochs=2).epochs == 2


def test_optimizer_of_another_network_is_refused() -> None:
    p, other = (Problem(FIVE["regression"], 40) for _ in range(2))
    before = p.net.parameters.copy()
    for train in (
        lambda: fit(p, mk.SGD(other.net)),
        lambda: mk.train_step(p.net, p.loss, mk.SGD(other.net), p.x, p.y),
    ):
        with pytest.raises(ValueError, match="must be made for this network; it is for Chain"):
            train()
    assert_same_bits(p.net.parameters.copy(), before)


def test_optimizer_of_a_network_that_moved_is_refused() -> None:
    p = Problem(FIVE["regression"], 40)
    opt = mk.SGD(p.net)
    outer = mk.Chain(p.net, mk.Linear(3, 3))
    before = outer.parameters.copy()
    for act in (
        lambda: mk.train_step(p.net, p.loss, opt, p.x, p.y),
        lambda: fit(p, opt),
        opt.step,
    ):
        with pytest.raises(RuntimeError, match="make a new optimizer"):
            act()
    assert_same_bits(outer.parameters.copy(), before)
    mk.train_step(p.net, p.loss, mk.SGD(p.net), p.x, p.y)
    assert (outer.parameters != before).any()


def test_a_part_of_a_network_can_be_trained() -> None:
    first, second = mk.Linear(4, 5), mk.Linear(5, 3)
    net = mk.Chain(first, mk.Tanh(), second)
    opt = mk.SGD(second, lr=0.1)
    p = Problem(FIVE["regression"], 20)
    kept, moved = first.parameters.copy(), second.parameters.copy()
    net(p.x)
    net.backward(np.ones((20, 3), np.float32))
    opt.step()
    assert_same_bits(first.parameters.copy(), kept)
    assert (second.parameters != moved).any()
    opt.zero_grad()
    assert (second.gradients == 0).all()
    assert (first.gradients != 0).any()


def test_learning_rate_between_steps() -> None:
    p = Problem(FIVE["regression"], 40)
    opt = mk.SGD(p.net, lr=0.01)
    before = p.net.parameters.copy()
    opt.lr = 0.0
    mk.train_step(p.net, p.loss, opt, p.x, p.y)
    assert_same_bits(p.net.parameters.copy(), before)
    opt.lr = 0.25
    assert opt.lr == 0.25
    mk.train_step(p.net, p.loss, opt, p.x, p.y)
    # a power of two times the gradient is exact: one rounding is left, of the difference
    assert_same_bits(p.net.parameters.copy(), before - np.float32(0.25) * p.net.gradients)
    with pytest.raises(ValueError, match="lr must be finite and at least 0"):
        opt.lr = -1
    assert opt.lr == 0.25


def test_learning_rate_from_a_callback() -> None:
    p, by_hand = (Problem(FIVE["regression"], 40) for _ in range(2))
    opt = mk.Adam(p.net)

    def halve(history: mk.History) -> None:
        history.optimizer.lr *= 0.5  # type: ignore[attr-defined]

    fit(p, opt, epochs=3, callbacks=[halve], shuffle=False)
    other = mk.Adam(by_hand.net)
    for lr in (1e-3, 5e-4, 2.5e-4):
        other.lr = lr
        fit(by_hand, other, epochs=1, shuffle=False)
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())


def test_states_can_be_written() -> None:
    """A state that is put back continues the same training."""
    p, other = (Problem(FIVE["regression"], 40) for _ in range(2))
    opt = mk.SGD(p.net, momentum=0.9, lr=0.01)
    fit(p, opt, epochs=2)
    other.net.parameters[...] = p.net.parameters
    again = mk.SGD(other.net, momentum=0.9, lr=0.01)
    fit(other, again, epochs=0)
    again.states["momentum_buffer"][...] = opt.states["momentum_buffer"]
    again._core.steps = opt.steps
    fit(p, opt, epochs=1), fit(other, again, epochs=1)
    assert_same_bits(p.net.parameters.copy(), other.net.parameters.copy())


def test_fixed_hyperparameters() -> None:
    net = mk.Linear(2, 1)
    opt = mk.SGD(net, momentum=0.5)
    with pytest.raises(AttributeError, match="SGD: momentum is fixed"):
        opt.momentum = 0.9
    assert opt.momentum == 0.5
    with pytest.raises(AttributeError, match="no attribute 'momentun'"):
        _ = opt.momentun  # type: ignore[attr-defined]
    rms = mk.RMSprop(net)
    with pytest.raises(AttributeError, match="RMSprop: centered is fixed"):
        rms.centered = True


def test_nesterov_cannot_be_turned_on_without_a_momentum() -> None:
    """The rule of the constructor holds for the attribute too."""
    opt = mk.SGD(mk.Linear(2, 1))
    with pytest.raises((ValueError, AttributeError), match="nesterov"):
        opt.nesterov = True


def test_network_without_parameters() -> None:
    net = mk.Chain(mk.Tanh())
    opt = mk.SGD(net)
    x = np.ones((3, 2), np.float32)
    cost = mk.train_step(net, mk.SquaredError(), opt, x, x)
    # (1 - tanh 1)^2, twice a sample; tanh within 1 ULP of 1, felt as 2 (1 - tanh 1) times as much
    assert_close(cost, 2 * (1 - np.tanh(1.0)) ** 2, gamma(40, np.float32))


@pytest.mark.parametrize("optimizer", mk.OPTIMIZERS)
def test_it_learns_a_curve(optimizer: str) -> None:
    """sin on (-2, 2): the mean squared error falls below 1e-3 of what it was or 0.02."""
    x = np.linspace(-2, 2, 200, dtype=np.float32)[:, None]
    y = np.sin(2 * x)
    net = mk.MLP([1, 24, 1], seed=1)
    lr = {"SGD": 0.05, "Adam": 0.02, "AdamW": 0.02, "RMSprop": 0.01, "Adagrad": 0.1}[optimizer]
    opt = mk.OPTIMIZERS[optimizer](net, lr=lr)
    history = mk.fit(net, x, y, loss=mk.SquaredError(), optimizer=opt, epochs=200, batch_size=20)
    assert history["loss"][0] > 0.2
    assert history["loss"][-1] < 0.02


def test_it_learns_exclusive_or() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    y = np.array([[0], [1], [1], [0]], np.float64)
    net = mk.MLP([2, 8, 1], output="sigmoid", dtype=np.float64)
    opt = mk.Adam(net, lr=0.05)
    mk.fit(net, x, y, loss=mk.BinaryCrossEntropy(), optimizer=opt, epochs=300, batch_size=4)
    assert ((net.predict(x) > 0.5) == y).all()


def test_it_learns_the_digits(named: Named) -> None:
    """Every network of math.md reads nine of ten held-out digits or more after a few epochs."""
    x, labels = load_digits()
    y = labels if named.loss == "CrossEntropy" else np.eye(10, dtype=np.float32)[labels]
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1400], order[1400:]
    net = named.net(mk, [64, 48, 10])
    opt = mk.Adam(net, lr=3e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mk.fit(
            net, x[train], y[train], loss=named.cost(mk), optimizer=opt, epochs=12, batch_size=32
        )
    accuracy = (net.predict(x[test]).argmax(1) == labels[test]).mean()
    assert accuracy > 0.9


def test_a_batch_without_weight_makes_no_step() -> None:
    p, other = Problem(FIVE["regression"], 60), Problem(FIVE["regression"], 60)
    weight = np.zeros(60)
    weight[:20] = 1
    opt = mk.SGD(p.net)
    history = fit(p, opt, epochs=1, batch_size=20, shuffle=False, sample_weight=weight)
    cost = mk.train_step(other.net, other.loss, mk.SGD(other.net), other.x[:20], other.y[:20])
    assert opt.steps == 1
    assert history["loss"] == [cost]
    assert_same_bits(p.net.parameters.copy(), other.net.parameters.copy())


class Ends:
    """A callback that notes when it is told of the end."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def __call__(self, history: mk.History) -> None:
        pass

    def end(self, history: mk.History) -> None:
        self.ended.append(history.epochs)


@pytest.mark.parametrize(("shuffle", "row"), [(False, 23), (True, 23), (True, 0)])
def test_a_cost_that_is_nan_ends_training_before_its_step(shuffle: bool, row: int) -> None:
    """The samples turn bad after the first epoch; the steps before the bad batch are taken."""
    p, by_hand = (Problem(FIVE["regression"], 40) for _ in range(2))
    opt, other, ends = mk.Adam(p.net), mk.Adam(by_hand.net), Ends()

    def spoil(history: mk.History) -> None:
        p.x[row] = np.nan

    with pytest.raises(FloatingPointError) as caught:
        fit(p, opt, epochs=5, batch_size=8, seed=1, shuffle=shuffle, callbacks=[spoil, ends])
    generator = np.random.default_rng(1)
    orders = [generator.permutation(40) if shuffle else np.arange(40) for _ in range(2)]
    batch = int(np.flatnonzero(orders[1] == row)[0]) // 8
    assert str(caught.value) == (
        f"fit: the cost of step {5 + batch + 1} (epoch 2, batch {batch + 1}) is nan; the model is "
        f"as it was before that step; row {row} of x holds NaN or infinity"
    )
    history = caught.value.history  # type: ignore[attr-defined]
    assert (history.epochs, ends.ended) == (1, [1])
    for i in [*orders[0].reshape(5, 8), *orders[1].reshape(5, 8)[:batch]]:
        mk.train_step(by_hand.net, by_hand.loss, other, by_hand.x[i], by_hand.y[i])
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())
    assert opt.steps == other.steps == 5 + batch


def test_a_training_that_diverges() -> None:
    p = Problem(FIVE["regression"], 40)
    with pytest.raises(
        FloatingPointError,
        match=r"^fit: the cost of step \d+ \(epoch \d+, batch \d+\) is (inf|nan); the model is as "
        r"it was before that step; a smaller learning rate or clip_norm may help$",
    ):
        fit(p, mk.SGD(p.net, lr=1e6), epochs=50)
    clipped = Problem(FIVE["regression"], 40)
    history = fit(clipped, mk.SGD(clipped.net, lr=1e6, clip_norm=1e-7), epochs=50)
    assert np.isfinite(history["loss"]).all()


def test_nan_may_go_on() -> None:
    p, by_hand = (Problem(FIVE["regression"], 40) for _ in range(2))
    p.y[3] = by_hand.y[3] = np.inf
    history = fit(p, mk.SGD(p.net), epochs=2, batch_size=8, shuffle=False, stop_on_nan=False)
    assert not np.isfinite(history["loss"]).any()
    opt = mk.SGD(by_hand.net)
    for _ in range(2):
        for i in np.arange(40).reshape(5, 8):
            mk.train_step(by_hand.net, by_hand.loss, opt, by_hand.x[i], by_hand.y[i])
    assert_same_bits(p.net.parameters.copy(), by_hand.net.parameters.copy())
    with pytest.raises(FloatingPointError, match="row 3 of y holds NaN or infinity"):
        fit(p, mk.SGD(p.net))
    with pytest.raises(TypeError, match="fit: stop_on_nan must be True or False; got 1"):
        fit(p, mk.SGD(p.net), stop_on_nan=1)


def test_weights_whose_sum_overflows_are_refused() -> None:
    p = Problem(FIVE["regression"], 4)
    with pytest.raises(ValueError, match="the sum of sample_weight must be finite; got inf"):
        p.loss(p.net.predict(p.x), p.y, np.full(4, 1e308))


def test_composing_in_a_callback_is_refused() -> None:
    p = Problem(FIVE["regression"], 20)
    kept: list[Any] = []
    with pytest.raises(RuntimeError, match="fit: the optimizer must be made after"):
        fit(
            p,
            mk.SGD(p.net),
            epochs=3,
            callbacks=[lambda _: kept.append(mk.Chain(p.net, mk.Tanh()))],
        )


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_losses_and_optimizers_can_be_copied(how: Any) -> None:
    p = Problem(FIVE["regression"], 20)
    opt = mk.Adam(p.net, lr=0.02)
    mk.train_step(p.net, p.loss, opt, p.x, p.y)
    loss = how(mk.CrossEntropy(label_smoothing=0.1, reduction="sum"))
    assert repr(loss) == "CrossEntropy(from_logits=False, label_smoothing=0.1, reduction='sum')"
    other = how(opt)
    assert (other.lr, other.steps) == (0.02, 1)
    other.lr = 0.5
    assert opt.lr == 0.02
    for name, state in opt.states.items():
        assert_same_bits(other.states[name].copy(), state.copy())
