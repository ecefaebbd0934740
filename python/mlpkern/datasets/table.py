"""Tables of samples as their files have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Table:
    """Samples as a file has them: nothing scaled, classes not numbered yet.

    Attributes
    ----------
    x : (n, D), the inputs
    y : (n,) or (n, K), the targets: numbers or text; None where there are none
    x_test, y_test : the same for a test part that the source sets apart, or None
    columns : the inputs' names, or () where they have none
    target : the target's name
    categories : of each column of text, its categories, each of which is an input, 0 or 1
    unknown : of each column of text with cells that are none of the categories of the model that is
        to predict, how many there are, the first one, and its line
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    x_test: NDArray[Any] | None = None
    y_test: NDArray[Any] | None = None
    columns: tuple[str, ...] = ()
    target: str = "y"
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unknown: Mapping[str, tuple[int, str, int]] = field(default_factory=dict)
