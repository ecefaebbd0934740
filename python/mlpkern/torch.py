"""A network as a differentiable function of PyTorch: `as_function`.

Forward and backward run in mlpkern; the parameters are torch tensors over the network's own memory,
so that an optimizer of either library moves them for both.
"""

from __future__ import annotations

from typing import Any

try:
    import torch
except ModuleNotFoundError:
    raise ImportError(
        "mlpkern.torch needs torch; install it with: pip install 'mlpkern[torch]'"
    ) from None

from mlpkern import maps
from mlpkern.dropout import dropouts_in
from mlpkern.formats._common import named_linears
from mlpkern.maps import Map

__all__ = ["Function", "as_function"]


def as_function(net: Map) -> Function:
    """Return a torch.nn.Module that computes the network, differentiable once.

    Its parameters, named as in safetensors files (``layers.0.w``, (D, L)), share memory with the
    layers' arrays; backward fills their ``.grad`` and leaves ``net.gradients`` alone. A Dropout is
    active while the module is in training, as PyTorch's is. It takes CPU
    tensors (..., D) or (D,) of the network's dtype. It may be called several times before a
    backward; under no_grad it keeps nothing.

    Raises
    ------
    TypeError
        `net` is no network.
    """
    return Function(net)


class Function(torch.nn.Module):  # type: ignore[misc]
    """A network of mlpkern as a module of PyTorch; :func:`as_function` makes it."""

    def __init__(self, net: Map) -> None:
        super().__init__()
        if not isinstance(net, Map):
            raise TypeError(f"as_function: net must be a network; got {type(net).__name__}")
        self.net = net
        self._slots: list[tuple[dict[str, Any], str]] = []  # where modules keep the parameters
        for name, f in named_linears(net):
            place = self._place(name)
            for what, array in (("w", f.w), ("b", f.b)):
                if array is not None:
                    place.register_parameter(what, torch.nn.Parameter(torch.from_numpy(array)))
                    self._slots.append((place._parameters, what))
        self._addresses = [p.data_ptr() for p in self.parameters()]
        self._blocks = [f._block for f in net._linears()]
        self._moves = maps.moves
        self._dtype = None if net.dtype is None else getattr(torch, net.dtype.name)
        self._dropouts = dropouts_in(net)
        self._compiled: dict[Any, Any] = {}
        self._latest: object = None  # the call whose values are kept

    def _place(self, name: str) -> torch.nn.Module:
        """The submodule of a linear map's name, made where there is none."""
        place: torch.nn.Module = self
        for part in name.split(".")[:-1]:
            if part not in place._modules:
                place.add_module(part, torch.nn.Module())
            place = place._modules[part]
        return place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output for x (..., D) or (D,)."""
        parameters = [place[what] for place, what in self._slots]
        self._check(x, parameters)
        if not torch.is_grad_enabled() and not (self.training and self._dropouts):
            return torch.from_numpy(self.net.predict(x.numpy()))
        y: torch.Tensor = _Call.apply(x, self, *parameters)
        return y

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with a network of its own."""
        fixed = [not p.requires_grad for p in self.parameters()]
        return _remade, (self.net, self.training, fixed)

    def _core(self, x: Any, training: bool) -> Any:
        """A compiled network that nobody else uses: what it keeps is of this module's last pass."""
        inputs = x.shape[-1] if self.net.inputs is None else self.net.inputs
        key = inputs, x.dtype
        if key not in self._compiled:
            self._compiled = {key: maps.Compiled(x.dtype.name, self.net, inputs)}
        compiled = self._compiled[key]
        return compiled.training.core if training else compiled.core

    def _check(self, x: Any, parameters: list[torch.Tensor]) -> None:
        if not isinstance(x, torch.Tensor):
            raise TypeError(f"as_function: x must be a torch.Tensor; got {type(x).__name__}")
        if x.device.type != "cpu" or x.layout != torch.strided:
            raise TypeError(
                f"as_function: x must be a dense tensor on the CPU; got {x.layout} on {x.device}"
            )
        if self._dtype is not None and x.dtype != self._dtype:
            raise TypeError(
                f"as_function: x must be {self._dtype}, as the network is; got {x.dtype}: "
                f"convert it with .to({self._dtype})"
            )
        moved = [p.data_ptr() for p in parameters] != self._addresses
        if not moved and self._moves != maps.moves:
            seen = maps.moves  # before looking
            here = [f._block for f in self.net._linears()]
            moved = any(a is not b for a, b in zip(here, self._blocks, strict=True))
            self._moves = self._moves if moved else seen
        if moved:
            raise RuntimeError(
                "as_function: the parameters must lie where the network has them; they have moved "
                "since (.to(), or the network became part of another one): make it anew"
            )


def _remade(net: Map, training: bool, fixed: list[bool]) -> Function:
    function = Function(net)
    function.train(training)
    for p, is_fixed in zip(function.parameters(), fixed, strict=True):
        p.requires_grad_(not is_fixed)
    return function


class _Pass:
    """One pass, and how many masks each dropout had drawn before it: it can be made again."""

    def __init__(self, function: Function) -> None:
        self.function, self.training = function, function.training
        self.passes = [f.passes for f in function._dropouts]

    def forward(self, x: Any) -> Any:
        """The output, whose way back is kept."""
        y = self.core(x).forward(x)
        self.function._latest = self
        return y

    def again(self, x: Any) -> None:
        """The same pass, where others have come between."""
        dropouts = self.function._dropouts
        now = [f.passes for f in dropouts]
        try:
            for f, passes in zip(dropouts, self.passes, strict=True):
                f.passes = passes
            self.forward(x)
        finally:
            for f, passes in zip(dropouts, now, strict=True):
                f.passes = passes

    def core(self, x: Any) -> Any:
        """The network that it goes through."""
        return self.function._core(x, self.training)


class _Call(torch.autograd.Function):  # type: ignore[misc]
    """One call. Backward runs the forward pass anew where another call has come between."""

    @staticmethod
    def forward(ctx: Any, x: Any, function: Function, *parameters: torch.Tensor) -> torch.Tensor:
        array = x.numpy()
        ctx.function, ctx.call = function, _Pass(function)
        y = ctx.call.forward(array)
        ctx.save_for_backward(x, *parameters)  # so that a change before backward is an error
        return torch.from_numpy(y)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> tuple[Any, ...]:
        x, *parameters = ctx.saved_tensors
        arguments = (dy, ctx.call, ctx.needs_input_grad[0], x, *parameters)
        again = torch.is_grad_enabled()  # with create_graph
        dx, *gradients = _Gradient.apply(*arguments) if again else _gradients(*arguments)
        return (dx, None, *gradients)


def _gradients(dy: Any, call: _Pass, need_dx: bool, x: Any, *parameters: Any) -> tuple[Any, ...]:
    """The gradients by x, where it is needed, and by the parameters."""
    array = x.numpy()
    if call.function._latest is not call:
        call.again(array)
    gradients = [torch.zeros_like(p) for p in parameters]
    arrays = iter([g.numpy() for g in gradients])
    pairs = [(next(arrays), next(arrays) if f.bias else None) for f in call.function.net._linears()]
    dx = call.core(array).backward(dy.numpy(), need_dx, False, pairs)
    return (None if dx is None else torch.from_numpy(dx), *gradients)


class _Gradient(torch.autograd.Function):  # type: ignore[misc]
    """The way back, as a function of its own: whoever differentiates it again gets an error."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Any, ...]:
        return _gradients(*arguments)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "as_function: the network can be differentiated once; mk.hvp, mk.derivatives and "
            "mk.input_hessian have second derivatives"
        )
