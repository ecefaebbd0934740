"""What a trace shows: its formulas, as text and as a table in a notebook."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

import mlpkern as mk


def traced(hidden="tanh", output="identity", n=2):
    net = mk.MLP([3, 4, 2], hidden, output)
    x, y = np.ones((n, 3), np.float32), np.zeros((n, 2), np.float32)
    return net.trace(x, y, mk.SquaredError())


@pytest.mark.parametrize(
    ("f", "value", "jacobian"),
    [
        ("tanh", "Tanh(s1)", "diag(Tanh'(s1))"),
        (mk.ReLU(scale=3.0), "ReLU(s1, scale=3)", "diag(ReLU'(s1, scale=3))"),
        (mk.Hardtanh(-2.0, 2.0), "Hardtanh(s1, ...)", "diag(Hardtanh'(s1, ...))"),
        ("identity", "Identity(s1)", "I"),
        ("softargmax", "Softargmax(s1)", "Jacobian of Softargmax"),
    ],
    ids=str,
)
def test_formulas_of_an_activation(f, value, jacobian):
    t = traced(hidden=f)
    assert (t.formula("a1"), t.formula("da1/ds1")) == (value, jacobian)
    assert traced(output=f).formula("dy_pred/ds2") == jacobian.replace("s1", "s2")
    assert max(map(len, str(t).splitlines())) <= 80


def test_formula_of_a_name_that_there_is_not():
    with pytest.raises(KeyError, match="trace: name must be one of x, y, W1"):
        traced().formula("s3")


def test_a_table_in_a_notebook():
    t = traced()
    table = ET.fromstring(t._repr_html_())
    head, *rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert head == ["name", "is", "shape", "first entries"]
    assert [row[0] for row in rows] == list(t)
    assert [row[1] for row in rows] == [t.formula(name) for name in t]
    by_name = {row[0]: row[2:] for row in rows}
    assert by_name["C"] == ["number", f"{t['C']:.4g}"]
    assert by_name["da1/ds1"][0] == "(2, 4, 4)"
    first = by_name["dC/dW1"][1].removesuffix(" ...").split()
    np.testing.assert_allclose(list(map(float, first)), t["dC/dW1"].ravel()[: len(first)], 1e-3)
