"""PyTorch's derivatives: torch.func in eager mode, each row in the fastest of its forms.

The batch is a dimension of the products (a sum over the rows makes one cotangent serve all of
them), or it is vmap's; autograd's own products are among the forms as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from ..derivative_oracles import some, stride
from ..problems import LR, Problem
from . import SETTLED_LR, Prepared, fastest

Call = Callable[[], Any]
MOST_HESSIAN = 2**18  # numbers of a Hessian that is formed for its trace
MOST_UNROLLED = 4  # inputs whose derivatives are also tried one after the other
MOST_COLUMNS = 4  # times as many columns as rows: a Jacobian that is also tried by columns


def derivative(data: Problem, network: Callable[[Problem], Any]) -> Prepared:
    """The row's fastest form; the first one for the measurement of memory."""
    net = network(data)
    make = {
        "jacobian": _jacobian,
        "jvp": _jvp,
        "vjp": _vjp,
        "sample gradients": _sample_gradients,
        "hvp": _hvp,
        "laplacian": _laplacian,
        "training step": _training,
    }[data.case.what]
    return make(data, net)


def _map(data: Problem, net: Any) -> Any:
    """Return the network with its output's activation, without gradients of its parameters."""
    net.requires_grad_(False)
    if data.case.output == "softargmax":
        net.append(torch.nn.Softmax(dim=-1))
    return net


def _jacobian(data: Problem, net: Any) -> Prepared:
    f, x = _map(data, net), torch.from_numpy(data.x)
    calls = [
        lambda: jacrev(lambda x: f(x).sum(0))(x).movedim(0, 1),
        lambda: vmap(jacrev(f))(x),
    ]
    if data.case.sizes[0] <= MOST_COLUMNS * data.case.sizes[-1]:
        calls += [lambda: vmap(jacfwd(f))(x), lambda: _columns(f, x)[1].movedim(0, 2)]
    run = calls[0] if data.case.group == "memory" else fastest(calls)
    return Prepared(run, lambda j: (some(j),))


def _columns(f: Any, x: Any) -> Any:
    """Return y (D times), and the derivatives (D, n, K)."""
    basis = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)
    return vmap(lambda e: jvp(f, (x,), (e,)))(basis)


def _jvp(data: Problem, net: Any) -> Prepared:
    f, x, v = _map(data, net), torch.from_numpy(data.x), torch.from_numpy(data.v)
    return Prepared(lambda: jvp(f, (x,), (v,)), lambda both: [some(a) for a in both])


def _vjp(data: Problem, net: Any) -> Prepared:
    f, x, g = _map(data, net), torch.from_numpy(data.x), torch.from_numpy(data.g)
    tracked = x.clone().requires_grad_()

    def functional() -> Any:
        y, back = vjp(f, x)
        return y, back(g)[0]

    def autograd() -> Any:
        y = f(tracked)
        return y, torch.autograd.grad(y, tracked, g)[0]

    return Prepared(fastest([functional, autograd]), lambda both: [some(a.detach()) for a in both])


def _costs(data: Problem, net: Any) -> Any:
    """Return the mean cost of a batch, a function of the parameters by name, x and y."""

    def cost(parameters: Any, x: Any, y: Any) -> Any:
        s = functional_call(net, parameters, (x,))
        if data.case.output == "softargmax":
            return torch.nn.functional.cross_entropy(s, y)
        return ((s - y) ** 2).sum() / len(y)

    return cost


def _flat(parameters: Any, leading: int = 0) -> Any:
    """Return the parameters, or what has their shapes, in mlpkern's order."""
    parts = [p.mT if p.ndim == leading + 2 else p for p in parameters.values()]
    return torch.cat([p.reshape(*p.shape[:leading], -1) for p in parts], dim=leading)


def _sample_gradients(data: Problem, net: Any) -> Prepared:
    cost = _costs(data, net)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    each = vmap(
        grad(lambda parameters, x, y: cost(parameters, x[None], y[None])), in_dims=(None, 0, 0)
    )

    def result(gradients: Any) -> Any:
        return (_flat({name: g[:: stride(len(g))] for name, g in gradients.items()}, 1),)

    return Prepared(partial(each, parameters, x, y), result)


def _hvp(data: Problem, net: Any) -> Prepared:
    cost = _costs(data, net)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    v, start = {}, 0
    for name, p in parameters.items():
        part = torch.from_numpy(data.v[start : start + p.numel()])
        v[name] = part.reshape(p.T.shape).T.contiguous() if p.ndim == 2 else part
        start += p.numel()
    tracked = {name: p.clone().requires_grad_() for name, p in parameters.items()}

    def functional() -> Any:
        return jvp(lambda p: grad(cost)(p, x, y), (parameters,), (v,))[1]

    def autograd() -> Any:
        gradients = torch.autograd.grad(cost(tracked, x, y), tracked.values(), create_graph=True)
        products = torch.autograd.grad(gradients, tracked.values(), tuple(v.values()))
        return dict(zip(tracked, products, strict=True))

    return Prepared(fastest([functional, autograd]), lambda product: (_flat(product),))


def _along(f: Any, x: Any, e: Any) -> Any:
    """Return ((u, u_e), (u_e, u_ee)), the derivatives along e."""
    return jvp(lambda x: jvp(f, (x,), (e,)), (x,), (e,))


def _second_columns(f: Any, x: Any) -> Any:
    """Return u (n, K), and its first and second derivatives by each input, (D, n, K)."""
    basis = torch.eye(x.shape[1], dtype=x.dtype)[:, None].expand(-1, *x.shape)
    each = vmap(partial(_along, f, x), out_dims=((None, 0), (0, 0)))
    (u, u_x), (_, u_xx) = each(basis)
    return u, u_x, u_xx


def _unrolled_columns(f: Any, x: Any) -> Any:
    """Return the same, one input after the other: the products are matrices' then."""
    each = [_along(f, x, e.expand(x.shape)) for e in torch.eye(x.shape[1], dtype=x.dtype)]
    u_x, u_xx = (torch.stack([second[i] for _, second in each]) for i in (0, 1))
    return each[0][0][0], u_x, u_xx


def _laplacian(data: Problem, net: Any) -> Prepared:
    f, x = _map(data, net), torch.from_numpy(data.x)
    n, inputs = data.x.shape
    calls: list[Call] = [lambda: _second_columns(f, x)[2].sum(0)]
    if inputs <= MOST_UNROLLED:
        calls.append(lambda: _unrolled_columns(f, x)[2].sum(0))
    if n * data.case.sizes[-1] * inputs**2 < MOST_HESSIAN:
        for second in (hessian, lambda f: jacfwd(jacfwd(f)), lambda f: jacrev(jacrev(f))):
            trace = vmap(lambda x, second=second: second(f)(x).diagonal(dim1=-2, dim2=-1).sum(-1))
            calls.append(partial(trace, x))
    return Prepared(fastest(calls), lambda u: (some(u),))


def _tracked_columns(f: Any, x: Any) -> Any:
    """Return what `_second_columns` does, by autograd: 1 + D products for each output."""
    u = f(x)
    u_x, u_xx = [], []
    for k in range(u.shape[1]):
        (g,) = torch.autograd.grad(u[:, k].sum(), x, create_graph=True)
        seconds = [
            torch.autograd.grad(g[:, i].sum(), x, create_graph=True)[0][:, i]
            for i in range(x.shape[1])
        ]
        u_x.append(g.T)
        u_xx.append(torch.stack(seconds))
    return u, torch.stack(u_x, -1), torch.stack(u_xx, -1)


def _training(data: Problem, net: Any) -> Prepared:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0, fused=True)
    x = torch.from_numpy(data.x)
    tracked = x.clone().requires_grad_()
    start = _flat({str(i): p.detach() for i, p in enumerate(net.parameters())}).numpy().copy()

    def step(derivatives: Any, x: Any) -> float:
        u, u_x, u_xx = derivatives(net, x)
        optimizer.zero_grad(set_to_none=True)
        cost = ((u_xx.sum(0) + (u_x**2).sum(0) - u) ** 2).sum() / len(x)
        cost.backward(inputs=list(net.parameters()))
        optimizer.step()
        return float(cost.item())

    def set_lr(lr: float) -> None:
        optimizer.param_groups[0]["lr"] = lr

    def change(_: Any) -> Any:
        now = _flat({str(i): p.detach() for i, p in enumerate(net.parameters())})
        return (now.numpy() - start,)

    forms = [(_second_columns, x), (_unrolled_columns, x), (_tracked_columns, tracked)]
    run = fastest([partial(step, *form) for form in forms])
    set_lr(LR)
    return Prepared(run, change, partial(set_lr, SETTLED_LR))
