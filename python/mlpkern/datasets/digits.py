"""The handwritten digits that ship with the package; uci_digits.md says whose they are."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return 1,797 handwritten digits: images (1797, 64) in [0, 1], labels (1797,) in 0 to 9.

    An image is 8 rows of 8 pixels, 0 for paper and 1 for ink. Source: E. Alpaydin and C. Kaynak,
    Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998 (CC BY 4.0),
    https://doi.org/10.24432/C50P49.

    Examples
    --------
    >>> images, labels = load_digits()
    >>> images.shape, labels[:5].tolist()
    ((1797, 64), [0, 1, 2, 3, 4])
    """
    with (
        files(__package__).joinpath("uci_digits.npz").open("rb") as file,
        np.load(file) as data,
    ):
        return data["images"] / np.float32(16), data["labels"].astype(np.int64)
