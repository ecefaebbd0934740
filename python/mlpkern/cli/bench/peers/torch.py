"""PyTorch: eager, fused optimizers, tensors that share NumPy's memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from ..problems import LR, OPTIMIZER_ARGUMENTS, Problem
from . import SETTLED_LR, Prepared, torch_derivative

FUSED = {"SGD", "Adam", "Adagrad"}  # the optimizers that have a fused step on the CPU


def start(threads: int) -> str:
    """Set the number of threads; return the version."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    return str(torch.__version__)


def network(data: Problem) -> Any:
    """Return the layers up to the last one's s."""
    f = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[data.case.hidden]
    layers: list[Any] = []
    for w, b in data.layers:
        layer = torch.nn.Linear(*w.shape, dtype=getattr(torch, data.case.dtype))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
            layer.bias.copy_(torch.from_numpy(b.copy()))
        layers += [layer, f()]
    return torch.nn.Sequential(*layers[:-1])


def _parameters(net: Any) -> Any:
    parts = [p.detach().T if p.ndim == 2 else p.detach() for p in net.parameters()]
    return torch.cat([p.reshape(-1) for p in parts]).numpy()


def _cost(case_output: str, s: Any, y: Any) -> Any:
    if case_output == "softargmax":
        return functional.cross_entropy(s, y)
    return functional.mse_loss(s, y, reduction="sum") / len(y)


def _optimizer(name: str, parameters: Any, lr: float, **arguments: Any) -> Any:
    fused = {"fused": True} if name in FUSED else {"foreach": True}
    return getattr(torch.optim, name)(parameters, lr=lr, **fused, **arguments)


def _set_lr(optimizer: Any, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def step(data: Problem, transform: Callable[[Any], Any] = lambda f: f) -> Prepared:
    """Forward, backward and optimizer; the cost as a number."""
    net = network(data)
    optimizer = _optimizer(data.case.what, net.parameters(), LR)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    output = data.case.output
    cost = transform(lambda x, y: _cost(output, net(x), y))

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        c = cost(x, y)
        c.backward()
        optimizer.step()
        return float(c.item())

    return Prepared(
        run, lambda _: (_parameters(net) - data.p,), partial(_set_lr, optimizer, SETTLED_LR)
    )


def inference(data: Problem, transform: Callable[[Any], Any] = lambda f: f) -> Prepared:
    """The forward pass in inference mode."""
    net = network(data)
    if data.case.output == "softargmax":
        net.append(torch.nn.Softmax(dim=1))
    net.requires_grad_(False)
    forward = transform(net)
    x = torch.from_numpy(data.x)

    def run() -> Any:
        with torch.inference_mode():
            return forward(x)

    return Prepared(run)


memory = call = inference


def epoch(data: Problem) -> Prepared:
    """One epoch over shuffled batches."""
    net = network(data)
    optimizer = _optimizer("Adam", net.parameters(), 1e-3)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)

    def run() -> None:
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad(set_to_none=True)
            _cost("softargmax", net(x[rows]), y[rows]).backward()
            optimizer.step()

    return Prepared(run, lambda _: ())


def linear(data: Problem) -> Prepared:
    """Products into tensors that exist."""
    x, w, b, ds = (torch.from_numpy(a) for a in (data.x, data.w, data.b, data.ds))
    s, dx, dw, db = (torch.empty_like(a) for a in (ds, x, w, b))
    if data.case.what == "x w":
        return Prepared(lambda: torch.addmm(b, x, w, out=s))
    if data.case.what == "x' ds":
        return Prepared(lambda: (torch.mm(x.T, ds, out=dw), torch.sum(ds, 0, out=db)), lambda r: r)
    return Prepared(
        lambda: (
            torch.mm(ds, w.T, out=dx),
            torch.mm(x.T, ds, out=dw),
            torch.sum(ds, 0, out=db),
        ),
        lambda r: r,
    )


ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": functional.softplus,
    "silu": functional.silu,
    "mish": functional.mish,
    "softsign": functional.softsign,
    "hardswish": functional.hardswish,
    "sine": torch.sin,
    "exp": torch.exp,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "softargmax": partial(torch.softmax, dim=1),
    "logsumexp": partial(torch.logsumexp, dim=1),
}
_WITH_OUT = {"sigmoid", "tanh", "sine", "exp"}


def activation(data: Problem) -> Prepared | None:
    """A value; PyTorch has no call for a derivative alone."""
    f = ACTIVATIONS.get(data.case.what)
    if f is None:
        return None
    x = torch.from_numpy(data.x)
    out = {"out": torch.empty_like(x)} if data.case.what in _WITH_OUT else {}

    def run() -> Any:
        with torch.inference_mode():
            return f(x, **out)

    return Prepared(run)


def loss(data: Problem) -> Prepared:
    """A cost from logits, and its gradient."""
    s, y = torch.from_numpy(data.x).requires_grad_(), torch.from_numpy(data.y)
    n = len(s)
    cost: Callable[[], Any] = {
        "squared error": lambda: functional.mse_loss(s, y, reduction="sum") / n,
        "binary cross-entropy": lambda: (
            functional.binary_cross_entropy_with_logits(s, y, reduction="sum") / n
        ),
        "cross-entropy": lambda: functional.cross_entropy(s, y),
    }[data.case.what]

    def run() -> tuple[float, Any]:
        c = cost()
        return float(c.item()), torch.autograd.grad(c, s)[0]

    return Prepared(run, lambda both: both)


def optimizer(data: Problem) -> Prepared:
    """One step of an optimizer."""
    name, arguments = OPTIMIZER_ARGUMENTS[data.case.what]
    p = torch.from_numpy(data.p.copy()).requires_grad_()
    p.grad = torch.from_numpy(data.g)
    steps = _optimizer(name, [p], LR, **arguments)
    return Prepared(
        steps.step,
        lambda _: (p.detach().numpy() - data.p,),
        partial(_set_lr, steps, SETTLED_LR),
    )


def derivative(data: Problem) -> Prepared:
    """A derivative, a product with one, or a step on second derivatives."""
    return torch_derivative.derivative(data, network)
