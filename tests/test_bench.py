"""The benchmark: what it prints, and that what is wrong in it is found. Nothing here is timed."""

import numpy as np
import pytest

import mlpkern as mk
from mlpkern.cli.bench.peers import numpy_ops


@pytest.mark.parametrize("name", numpy_ops.ACTIVATIONS)
def test_numpys_activations_are_the_oracles(name):
    """Within 1e-5 of the values' scale, ten times less than `bench` allows."""
    s = np.linspace(-9, 9, 1001, dtype=np.float32)
    tanh = name == "gelu_tanh"
    oracle = mk.reference.GELU("tanh") if tanh else mk.reference.activation(name)
    value, derivative = numpy_ops.ACTIVATIONS[name]
    for theirs, right in ((value(s), oracle(s)), (derivative(s), oracle.derivative(s))):
        assert theirs.dtype == np.float32
        np.testing.assert_allclose(theirs, right, rtol=1e-5, atol=1e-5)
