"""scikit-learn's multilayer perceptrons on mlpkern: the same parameters, attributes and numbers.

    from mlpkern.sklearn import MLPClassifier, MLPRegressor

Where a parameter, an attribute or a method has scikit-learn's name it means the same; what goes
beyond stands in the classes' documentation. Needs scikit-learn and SciPy.
"""

from __future__ import annotations

try:
    import scipy  # noqa: F401
    import sklearn  # noqa: F401  absolute: scikit-learn
except ImportError as error:
    raise ImportError(
        f"mlpkern.sklearn needs {error.name}; install it with: pip install 'mlpkern[sklearn]'"
    ) from None

from mlpkern.sklearn._classifier import MLPClassifier
from mlpkern.sklearn._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
