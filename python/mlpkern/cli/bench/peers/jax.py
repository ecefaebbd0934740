"""JAX: a whole step in one jit with donated buffers; inputs stay on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..cases import FEW_WEIGHTS
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared


def start(threads: int) -> str:
    """Return the version; the number of threads is that of the cores."""
    jax.config.update("jax_enable_x64", True)  # float32 stays what it is
    return str(jax.__version__)


def forward(data: Problem, layers: Any, x: Any) -> Any:
    """Return the last layer's s."""
    f = {"tanh": jnp.tanh, "relu": jax.nn.relu}[data.case.hidden]
    for w, b in layers[:-1]:
        x = f(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


def _cost(data: Problem, layers: Any, x: Any, y: Any) -> Any:
    return costs(data.case.output)(forward(data, layers, x), y)


def costs(output: str) -> Callable[[Any, Any], Any]:
    if output == "softargmax":
        return lambda s, y: -jnp.take_along_axis(jax.nn.log_softmax(s), y[:, None], 1).mean()
    return lambda s, y: jnp.sum((s - y) ** 2) / len(y)


# Each optimizer: the number of its states, and (p, g, states, t, lr) -> (p, states).
Update = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any]]


def _sgd(p: Any, g: Any, states: Any, t: Any, lr: Any) -> tuple[Any, Any]:
    return p - lr * g, states


def _momentum(p: Any, g: Any, states: Any, t: Any, lr: Any) -> tuple[Any, Any]:
    m = 0.9 * states[0] + g
    return p - lr * m, (m,)


def _rmsprop(p: Any, g: Any, states: Any, t: Any, lr: Any) -> tuple[Any, Any]:
    v = 0.99 * states[0] + 0.01 * g * g
    return p - lr * g / (jnp.sqrt(v) + 1e-8), (v,)


def _adagrad(p: Any, g: Any, states: Any, t: Any, lr: Any) -> tuple[Any, Any]:
    v = states[0] + g * g
    return p - lr * g / (jnp.sqrt(v) + 1e-10), (v,)


def _adam(p: Any, g: Any, states: Any, t: Any, lr: Any) -> tuple[Any, Any]:
    m = 0.9 * states[0] + 0.1 * g
    v = 0.999 * states[1] + 0.001 * g * g
    rate, scale = lr / (1 - 0.9**t), (1 - 0.999**t) ** -0.5
    return p - rate * m / (jnp.sqrt(v) * scale + 1e-8), (m, v)


_OPTIMIZERS: dict[str, tuple[int, Update]] = {
    "SGD": (0, _sgd),
    "SGD, momentum": (1, _momentum),
    "RMSprop": (1, _rmsprop),
    "Adagrad": (1, _adagrad),
    "Adam": (2, _adam),
}


class _Training:
    """Parameters, states and the step's number, on the device; `step` replaces them."""

    def __init__(self, optimizer: str, parameters: Any, gradient: Callable[..., Any]) -> None:
        count, self._update = _OPTIMIZERS[optimizer]
        self._gradient = gradient  # (parameters, *batch) -> (cost, gradients)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        states = tuple(zeros(parameters) for _ in range(count))
        self.dtype = jax.tree.leaves(parameters)[0].dtype
        self.state = (parameters, states, jnp.zeros((), self.dtype))
        self.set_lr(LR)
        self._step = jax.jit(self.change, donate_argnums=0)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate, an argument of the jit."""
        self.lr = jnp.asarray(lr, self.dtype)

    def change(self, state: Any, lr: Any, *batch: Any) -> tuple[Any, Any]:
        """Return the next state and the cost."""
        parameters, states, t = state
        cost, gradients = self._gradient(parameters, *batch)
        leaves, tree = jax.tree.flatten(parameters)
        moved = [
            self._update(p, g, s, t + 1, lr)
            for p, g, *s in zip(
                leaves, jax.tree.leaves(gradients), *map(jax.tree.leaves, states), strict=True
            )
        ]
        parameters = tree.unflatten([p for p, _ in moved])
        states = tuple(tree.unflatten([s[i] for _, s in moved]) for i in range(len(states)))
        return (parameters, states, t + 1), cost

    def run(self, *batch: Any) -> Any:
        self.state, cost = self._step(self.state, self.lr, *batch)
        jax.block_until_ready((self.state, cost))
        return cost

    def parameters(self) -> Any:
        leaves = jax.tree.leaves(self.state[0])
        return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])


def _training(data: Problem) -> _Training:
    """One flat array of parameters pays for small networks: each array costs a microsecond."""
    layers = [(jnp.array(w), jnp.array(b)) for w, b in data.layers]
    if data.case.weights > FEW_WEIGHTS:
        return _Training(data.case.what, layers, jax.value_and_grad(partial(_cost, data)))
    flat, unravel = ravel_pytree(layers)
    cost = jax.value_and_grad(lambda p, x, y: _cost(data, unravel(p), x, y))
    return _Training(data.case.what, flat, cost)


def step(data: Problem) -> Prepared:
    """Forward, backward and optimizer in one jit."""
    training = _training(data)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    return Prepared(
        partial(training.run, x, y),
        lambda _: (training.parameters() - data.p,),
        partial(training.set_lr, SETTLED_LR),
    )


def inference(data: Problem) -> Prepared:
    """The forward pass in one jit."""
    output = jax.nn.softmax if data.case.output == "softargmax" else lambda s: s
    function = jax.jit(lambda layers, x: output(forward(data, layers, x)))
    layers = [(jnp.asarray(w), jnp.asarray(b)) for w, b in data.layers]
    return _blocking(partial(function, layers, jnp.asarray(data.x)))


memory = call = inference


def epoch(data: Problem) -> Prepared:
    """One epoch over shuffled batches, the whole ones in one jit and the rest as another step."""
    training = _training(data)
    training.set_lr(1e-3)
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    whole = len(x) // 128 * 128

    @partial(jax.jit, donate_argnums=0)
    def scan(state: Any, lr: Any, order: Any) -> Any:
        def body(state: Any, rows: Any) -> Any:
            return training.change(state, lr, x[rows], y[rows])

        state, _ = jax.lax.scan(body, state, order[:whole].reshape(-1, 128))
        return training.change(state, lr, x[order[whole:]], y[order[whole:]])[0]

    rng = np.random.default_rng(0)

    def run() -> None:
        order = jnp.asarray(rng.permutation(len(x)).astype(np.int32))
        training.state = jax.block_until_ready(scan(training.state, training.lr, order))

    return Prepared(run, lambda _: ())


def linear(data: Problem) -> Prepared:
    """Products."""
    x, w, b, ds = (jnp.asarray(a) for a in (data.x, data.w, data.b, data.ds))
    if data.case.what == "x w":
        return _blocking(partial(jax.jit(lambda x, w, b: x @ w + b), x, w, b))
    if data.case.what == "x' ds":
        both = jax.jit(lambda ds, x: (x.T @ ds, ds.sum(0)))
        return _blocking(partial(both, ds, x), lambda r: r)
    three = jax.jit(lambda ds, x, w: (ds @ w.T, x.T @ ds, ds.sum(0)))
    return _blocking(partial(three, ds, x, w), lambda r: r)


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(jax.nn, name)
        for name in ("relu", "leaky_relu", "elu", "sigmoid", "softplus", "silu", "mish")
    },
    "softsign": jax.nn.soft_sign,
    "hardswish": jax.nn.hard_swish,
    "tanh": jnp.tanh,
    "sine": jnp.sin,
    "exp": jnp.exp,
    "gaussian": lambda s: jnp.exp(-s * s),
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "softargmax": jax.nn.softmax,
    "logsumexp": partial(jax.nn.logsumexp, axis=1),
}


def activation(data: Problem) -> Prepared:
    """A value or a derivative, in one jit."""
    name, _, derivative = data.case.what.partition(", ")
    f = _ACTIVATIONS[name]
    if derivative:
        f = jax.grad(lambda s, f=f: f(s).sum())
    return _blocking(partial(jax.jit(f), jnp.asarray(data.x)))


def loss(data: Problem) -> Prepared:
    """A cost from logits, and its gradient."""
    kinds = {
        "squared error": costs("identity"),
        "binary cross-entropy": lambda s, y: (jax.nn.softplus(s) - s * y).sum() / len(y),
        "cross-entropy": costs("softargmax"),
    }
    function = jax.jit(jax.value_and_grad(kinds[data.case.what]))
    return _blocking(partial(function, jnp.asarray(data.x), jnp.asarray(data.y)), lambda r: r)


def optimizer(data: Problem) -> Prepared:
    """One step of an optimizer; the gradient is an argument."""
    training = _Training(data.case.what, jnp.array(data.p), lambda p, g: (jnp.float32(0), g))
    return Prepared(
        partial(training.run, jnp.asarray(data.g)),
        lambda _: (training.parameters() - data.p,),
        partial(training.set_lr, SETTLED_LR),
    )


def _blocking(
    function: Callable[[], Any], result: Callable[[Any], Any] = lambda y: (y,)
) -> Prepared:
    return Prepared(lambda: jax.block_until_ready(function()), result)


def derivative(data: Problem) -> Prepared:
    """A derivative, a product with one, or a step on second derivatives."""
    from .jax_derivative import derivative as make  # which takes `forward` from here

    return make(data)
