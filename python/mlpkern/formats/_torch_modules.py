"""PyTorch modules for what PyTorch lacks: sums of branches, and activations of mlpkern alone."""

from __future__ import annotations

from typing import Any

import torch

from mlpkern.activations import ACTIVATIONS, Activation


class Sum(torch.nn.Module):  # type: ignore[misc]
    """The sum of modules of one input."""

    def __init__(self, *branches: torch.nn.Module) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """f(x) + g(x) + …"""
        total = self.layers[0](x)
        for branch in self.layers[1:]:
            total = total + branch(x)
        return total


class Standardize(torch.nn.Module):  # type: ignore[misc]
    """(x - mean)/scale in float64, rounded once."""

    def __init__(self, mean: Any, scale: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the dtype of x."""
        return ((x.double() - self.mean) / self.scale).to(x.dtype)


class Elementary(torch.nn.Module):  # type: ignore[misc]
    """An activation with mlpkern's name and parameters."""

    def __init__(self, **parameters: float) -> None:
        super().__init__()
        self.parameters_of_f = parameters

    def activation(self) -> Activation:
        """The same in mlpkern."""
        return ACTIVATIONS[type(self).__name__](**self.parameters_of_f)

    def extra_repr(self) -> str:
        """Its parameters."""
        return ", ".join(f"{k}={v!r}" for k, v in self.parameters_of_f.items())

    def __getattr__(self, name: str) -> Any:
        inside = self.__dict__.get("parameters_of_f", {})
        return inside[name] if name in inside else super().__getattr__(name)


class ReLU(Elementary):
    """scale max(s, 0)."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return self.scale * torch.relu(s)


class Squareplus(Elementary):
    """(s + sqrt(s^2 + b))/2, as max(s, 0) + b/(2 (sqrt(s^2 + b) + |s|))."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return torch.relu(s) + self.b / (2 * (torch.sqrt(s * s + self.b) + torch.abs(s)))


class Sine(Elementary):
    """sin(omega s)."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.omega * s)


class Gaussian(Elementary):
    """exp(-s^2)."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return torch.exp(-s * s)


class Exp(Elementary):
    """exp(s)."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return torch.exp(s)


class Softargmax(Elementary):
    """softargmax of the last axis, with an inverse temperature."""

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.beta * s, dim=-1)
