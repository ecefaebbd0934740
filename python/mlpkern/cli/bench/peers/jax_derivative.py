"""JAX's derivatives: a row in one jit, in the fastest of its forms.

jet is Taylor mode; parameters are an array a layer, or one flat array where there are few. What is
given is an argument of the jit, or else the compiler would compute with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet
from jax.flatten_util import ravel_pytree

from ..cases import FEW_WEIGHTS
from ..derivative_oracles import some
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared, fastest
from .jax import costs, forward

Form = Callable[..., Any]
Call = Callable[[], Any]
MOST_HESSIAN = 2**23  # numbers of a Hessian that is formed for its diagonal
MOST_COLUMNS = 4  # times as many columns as rows: a Jacobian that is also tried by columns
MOST_UNROLLED = 4  # inputs whose derivatives are also tried one after the other


def derivative(data: Problem) -> Prepared:
    """The row's fastest form; the first one for the measurement of memory."""
    make = {
        "jacobian": _jacobian,
        "jvp": _jvp,
        "vjp": _vjp,
        "sample gradients": _sample_gradients,
        "hvp": _hvp,
        "laplacian": _laplacian,
        "training step": _training,
    }[data.case.what]
    return make(data)


def _calls(data: Problem, forms: Sequence[Form], *arguments: Any) -> list[Call]:
    """Return calls of the forms, jitted, with the parameters and the arguments on the device."""
    few = data.case.weights <= FEW_WEIGHTS
    calls = _by_layers(data, forms, *arguments)
    return calls + (_by_one_array(data, forms, *arguments) if few else [])


def _by_layers(data: Problem, forms: Sequence[Form], *arguments: Any) -> list[Call]:
    there = jax.tree.map(jnp.asarray, (data.layers, *arguments))
    return [partial(_blocking, jax.jit(form), *there) for form in forms]


def _by_one_array(data: Problem, forms: Sequence[Form], *arguments: Any) -> list[Call]:
    p, unravel = ravel_pytree(data.layers)
    there = jax.tree.map(jnp.asarray, arguments)

    def jitted(form: Form) -> Any:
        return jax.jit(lambda p, *arrays: form(unravel(p), *arrays))

    return [partial(_blocking, jitted(form), p, *there) for form in forms]


def _blocking(f: Form, *arguments: Any) -> Any:
    return jax.block_until_ready(f(*arguments))


def _map(data: Problem) -> Form:
    """Return the network, (layers, x) -> y, for a batch or for a sample."""
    output = jax.nn.softmax if data.case.output == "softargmax" else lambda s: s
    return lambda layers, x: output(forward(data, layers, x))


def _along_inputs(f: Form, x: Any) -> Any:
    """Return the derivatives (D, n, K) of f by each input."""
    basis = jnp.broadcast_to(jnp.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))
    return jax.vmap(lambda e: jax.jvp(f, (x,), (e,))[1])(basis)


def _jacobian(data: Problem) -> Prepared:
    f = _map(data)

    def summed(layers: Any, x: Any) -> Any:
        return jnp.moveaxis(jax.jacrev(lambda x: f(layers, x).sum(0))(x), 0, 1)

    def columns(layers: Any, x: Any) -> Any:
        return jnp.moveaxis(_along_inputs(partial(f, layers), x), 0, 2)

    def unrolled(layers: Any, x: Any) -> Any:
        y, back = jax.vjp(partial(f, layers), x)
        return jnp.stack(
            [back(jnp.broadcast_to(e, y.shape))[0] for e in jnp.eye(y.shape[1], dtype=y.dtype)], 1
        )

    forms = [summed, jax.vmap(jax.jacrev(f, 1), (None, 0))]
    if data.case.sizes[-1] <= MOST_UNROLLED:
        forms.append(unrolled)
    if data.case.sizes[0] <= MOST_COLUMNS * data.case.sizes[-1]:
        forms += [columns, jax.vmap(jax.jacfwd(f, 1), (None, 0))]
    calls = _calls(data, forms, data.x)
    run = calls[0] if data.case.group == "memory" else fastest(calls)
    return Prepared(run, lambda j: (some(j),))


def _jvp(data: Problem) -> Prepared:
    f = _map(data)

    def product(layers: Any, x: Any, v: Any) -> Any:
        return jax.jvp(partial(f, layers), (x,), (v,))

    calls = _calls(data, [product], data.x, data.v)
    return Prepared(fastest(calls), lambda both: [some(a) for a in both])


def _vjp(data: Problem) -> Prepared:
    f = _map(data)

    def product(layers: Any, x: Any, g: Any) -> Any:
        y, back = jax.vjp(partial(f, layers), x)
        return y, back(g)[0]

    calls = _calls(data, [product], data.x, data.g)
    return Prepared(fastest(calls), lambda both: [some(a) for a in both])


def _cost(data: Problem, layers: Any, x: Any, y: Any) -> Any:
    return costs(data.case.output)(forward(data, layers, x), y)


def _sample_gradients(data: Problem) -> Prepared:
    each = jax.grad(lambda layers, x, y: _cost(data, layers, x[None], y[None]))
    calls = _calls(data, [jax.vmap(each, (None, 0, 0))], data.x, data.y)

    def result(layers: Any) -> Any:
        parts = [some(a).reshape(len(some(a)), -1) for layer in layers for a in layer]
        return (np.concatenate(parts, axis=1),)

    return Prepared(fastest(calls), result)


def _hvp(data: Problem) -> Prepared:
    """Forward over reverse, and reverse over reverse, by the layers or by one flat array."""
    _, unravel = ravel_pytree(data.layers)
    v = unravel(jnp.asarray(data.v))
    gradient = jax.grad(partial(_cost, data))

    def forward_over_reverse(layers: Any, v: Any, x: Any, y: Any) -> Any:
        return jax.jvp(lambda layers: gradient(layers, x, y), (layers,), (v,))[1]

    def reverse_over_reverse(layers: Any, v: Any, x: Any, y: Any) -> Any:
        def product(layers: Any) -> Any:
            pairs = zip(jax.tree.leaves(gradient(layers, x, y)), jax.tree.leaves(v), strict=True)
            return sum(jnp.vdot(g, part) for g, part in pairs)

        return jax.grad(product)(layers)

    def flat(layers: Any, v: Any, x: Any, y: Any) -> Any:
        return ravel_pytree(forward_over_reverse(layers, unravel(v), x, y))[0]

    calls = _by_layers(data, [forward_over_reverse, reverse_over_reverse], v, data.x, data.y)
    if data.case.weights <= FEW_WEIGHTS:
        calls += _by_one_array(data, [flat], data.v, data.x, data.y)
    return Prepared(fastest(calls), lambda product: (ravel_pytree(product)[0],))


def _second_forms(data: Problem) -> list[Form]:
    """Return what gives u (n, K), and its derivatives by each input (D, n, K), of f and x."""

    def nested(f: Form, x: Any, e: Any) -> Any:
        (u, u_x), (_, u_xx) = jax.jvp(lambda x: jax.jvp(f, (x,), (e,)), (x,), (e,))
        return u, u_x, u_xx

    def taylor(f: Form, x: Any, e: Any) -> Any:
        u, (u_x, u_xx) = jet(f, (x,), ((e, jnp.zeros_like(e)),))
        return u, u_x, u_xx

    def over_inputs(along: Form) -> Form:
        def derivatives(f: Form, x: Any) -> Any:
            eye = jnp.eye(x.shape[1], dtype=x.dtype)[:, None]
            basis = jnp.broadcast_to(eye, (x.shape[1], *x.shape))
            return jax.vmap(partial(along, f, x), out_axes=(None, 0, 0))(basis)

        return derivatives

    def unrolled(along: Form) -> Form:
        def derivatives(f: Form, x: Any) -> Any:
            eye = jnp.eye(x.shape[1], dtype=x.dtype)
            each = [along(f, x, jnp.broadcast_to(e, x.shape)) for e in eye]
            return each[0][0], *(jnp.stack([d[i] for d in each]) for i in (1, 2))

        return derivatives

    def hessian(f: Form, x: Any) -> Any:
        u_x = jax.vmap(jax.jacrev(f))(x)
        u_xx = jnp.diagonal(jax.vmap(jax.jacfwd(jax.jacrev(f)))(x), axis1=2, axis2=3)
        return f(x), jnp.moveaxis(u_x, 2, 0), jnp.moveaxis(u_xx, 2, 0)

    n, inputs = data.x.shape
    small = n * data.case.sizes[-1] * inputs**2 < MOST_HESSIAN
    forms = [over_inputs(nested), over_inputs(taylor), *([hessian] if small else [])]
    return forms + ([unrolled(nested), unrolled(taylor)] if inputs <= MOST_UNROLLED else [])


def _laplacian(data: Problem) -> Prepared:
    f = _map(data)
    forms: list[Form] = [
        lambda layers, x, d=derivatives: d(partial(f, layers), x)[2].sum(0)
        for derivatives in _second_forms(data)
    ]
    return Prepared(fastest(_calls(data, forms, data.x)), lambda u: (some(u),))


def _training(data: Problem) -> Prepared:
    """Cost, gradient and SGD in one jit with donated parameters."""
    x = jnp.asarray(data.x)
    flat, unravel = ravel_pytree([(jnp.array(w), jnp.array(b)) for w, b in data.layers])
    few = data.case.weights <= FEW_WEIGHTS
    state = {"p": flat if few else unravel(flat), "lr": jnp.zeros((), x.dtype)}

    def call(derivatives: Form) -> Call:
        def cost(p: Any, x: Any) -> Any:
            u, u_x, u_xx = derivatives(partial(forward, data, unravel(p) if few else p), x)
            return ((u_xx.sum(0) + (u_x**2).sum(0) - u) ** 2).sum() / len(x)

        @partial(jax.jit, donate_argnums=0)
        def step(p: Any, lr: Any, x: Any) -> Any:
            c, g = jax.value_and_grad(cost)(p, x)
            return jax.tree.map(lambda p, g: p - lr * g, p, g), c

        def run() -> Any:
            state["p"], c = jax.block_until_ready(step(state["p"], state["lr"], x))
            return c

        return run

    def set_lr(lr: float) -> None:
        state["lr"] = jnp.asarray(lr, x.dtype)

    run = fastest([call(derivatives) for derivatives in _second_forms(data)])
    set_lr(LR)
    return Prepared(
        run, lambda _: (ravel_pytree(state["p"])[0] - data.p,), partial(set_lr, SETTLED_LR)
    )
