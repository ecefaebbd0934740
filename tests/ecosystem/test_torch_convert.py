"""PyTorch's modules and state_dicts to networks and back: weights bit for bit, outputs alike."""

import numpy as np
import pytest

import mlpkern as mk

torch = pytest.importorskip("torch")
nn = torch.nn

ACTIVATIONS = [
    *(cls() for cls in mk.ACTIVATIONS.values()),
    mk.ReLU(scale=3.0),
    mk.LeakyReLU(0.2),
    mk.ELU(0.3),
    mk.CELU(0.5),
    mk.GELU("tanh"),
    mk.Softplus(beta=2.0),
    mk.Hardtanh(-2.0, 0.5),
    mk.Softshrink(0.2),
    mk.Hardshrink(0.2),
    mk.Squareplus(b=0.1),
    mk.Sine(omega=3.0),
    mk.Softargmax(beta=2.0),
]
THEIRS = [
    nn.Identity(),
    nn.ReLU(),
    nn.LeakyReLU(0.3),
    nn.ReLU6(),
    nn.ELU(0.3),
    nn.SELU(),
    nn.CELU(0.3),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.Sigmoid(),
    nn.LogSigmoid(),
    nn.Tanh(),
    nn.Softplus(beta=0.5, threshold=50),
    nn.Softsign(),
    nn.SiLU(),
    nn.Mish(),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Hardtanh(-0.5, 2.0),
    nn.Tanhshrink(),
    nn.Softshrink(0.1),
    nn.Hardshrink(0.1),
    nn.Softmax(dim=-1),
    nn.LogSoftmax(dim=1),
]


def torch_dtype(dtype):
    return torch.float32 if dtype == np.float32 else torch.float64


def inputs(dtype, D=4, n=50):
    return (np.random.default_rng(0).normal(size=(n, D)) * 3).astype(dtype)


def assert_alike(net, module, x):
    """Outputs equal to 1e-6 or 1e-13, of the largest of a value, its input and 1."""
    ours = net.predict(x)
    with torch.no_grad():
        theirs = module(torch.from_numpy(x.copy())).numpy()
    assert ours.dtype == theirs.dtype
    error = np.abs(ours - theirs) / np.maximum(np.maximum(1, np.abs(theirs)), np.abs(x).max())
    assert error.max() <= (1e-6 if x.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("f", ACTIVATIONS, ids=repr)
def test_each_activation_goes_there_and_back(f, dtype):
    net = mk.Chain(mk.Linear(4, 4, dtype=dtype), f)
    module = mk.to_torch(net)
    assert_alike(net, module, inputs(dtype))
    assert repr(mk.from_torch(module)) == repr(net)


@pytest.mark.parametrize("module", THEIRS, ids=repr)
def test_each_of_theirs_is_read(module, dtype):
    whole = nn.Sequential(nn.Linear(4, 4), module).to(torch_dtype(dtype))
    assert_alike(mk.from_torch(whole), whole, inputs(dtype))


def test_weights_are_copied_bit_for_bit(dtype):
    net = mk.MLP([4, 6, 3], dtype=dtype, seed=3)
    module = mk.to_torch(net)
    weights = module[2].weight.detach().numpy()
    assert weights.tobytes() == np.ascontiguousarray(net.layers[2].w.T).tobytes()
    assert not np.shares_memory(weights, net.parameters)
    again = mk.from_torch(module)
    assert again.parameters.tobytes() == net.parameters.tobytes()
    with torch.no_grad():
        module[2].weight.zero_()
    assert again.parameters.tobytes() == net.parameters.tobytes()


def test_conversion_draws_no_random_numbers():
    state = torch.get_rng_state()
    mk.from_torch(mk.to_torch(mk.MLP([4, 6, 3])))
    assert torch.equal(torch.get_rng_state(), state)


def test_nested_sums_and_shared_maps(dtype):
    f = mk.Linear(4, 4, dtype=dtype, seed=1)
    branch = mk.Chain(mk.Linear(4, 4, bias=False, dtype=dtype), mk.Tanh())
    net = mk.Chain(f, mk.Sum(branch, mk.Identity(), f), mk.Linear(4, 2, dtype=dtype))
    module = mk.to_torch(net)
    assert module[0] is module[1].layers[2]
    assert_alike(net, module, inputs(dtype))
    again = mk.from_torch(module)
    assert again.layers[0] is again.layers[1].layers[2]
    assert again.parameters.tobytes() == net.parameters.tobytes()


def test_standardized_columns(dtype):
    layers = mk.MLP([2, 3, 1], dtype=dtype).layers
    net = mk.Chain(mk.Standardize([1e3, -0.5], [0.1, 2]), *layers)
    x = inputs(dtype, D=2) / 10 + np.array([1e3, 0], dtype)
    module = mk.to_torch(net)
    again = mk.from_torch(module)
    assert again.config() == net.config()
    with torch.no_grad():
        theirs = module(torch.from_numpy(x)).numpy()
    bound = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(again.predict(x), theirs, bound, bound)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_normalization_in_evaluation(affine, dtype):
    module = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, affine=affine), nn.Tanh())
    module = module.to(torch_dtype(dtype))
    if affine:
        with torch.no_grad():
            module[1].weight.uniform_(-2, 2)
            module[1].bias.uniform_(-2, 2)
    module(torch.from_numpy(inputs(dtype)))  # which moves its statistics
    with pytest.raises(TypeError, match=r"'1' \(BatchNorm1d\) .*call \.eval\(\) first"):
        mk.from_torch(module)
    assert_alike(mk.from_torch(module.eval()), module, inputs(dtype))


def test_a_linear_map_alone():
    assert repr(mk.to_torch(mk.Linear(2, 3))).count("Linear") == 1
    net = mk.from_torch(nn.Linear(2, 3, bias=False))
    assert (net.inputs, net.layers[0].b) == (2, None)


def test_dropouts_go_there_and_back():
    net = mk.Chain(mk.Linear(3, 4), mk.Dropout(0.25))
    module = mk.to_torch(net)
    assert module[1].p == 0.25
    assert repr(mk.from_torch(module)) == repr(net)


class InOrder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.SiLU(), nn.Dropout(0.5)))
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.body(x))


class Functional(InOrder):
    def forward(self, x):
        return torch.relu(self.head(self.body(x)))


def test_a_module_that_calls_its_children_in_order_is_read():
    module = InOrder().train()
    net = mk.from_torch(module)
    assert module.training
    assert module.body[1][1].training
    assert_alike(net, module.eval(), inputs(np.float32))


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(4, 2)

    def forward(self, x):
        return self.f(x.reshape(2, 2, 2))


def hooked():
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda *_: None)
    return module


def seq(module):
    return nn.Sequential(nn.Linear(4, 4), nn.Sequential(module))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (seq(nn.Conv1d(4, 4, 1)), r"module '1\.0' \(Conv1d\) cannot be read: it is no part of a"),
        (seq(nn.LayerNorm(4)), r"module '1\.0' \(LayerNorm\) cannot be read"),
        (seq(nn.Softmax(dim=0)), r"module '1\.0' \(Softmax\) .*its dim must be -1"),
        (seq(nn.Softplus(threshold=3)), r"\(Softplus\) .*its threshold must be 20 or more"),
        (seq(nn.Flatten(0)), r"\(Flatten\) cannot be read: rows must stay rows"),
        (seq(hooked()), r"\(Linear\) cannot be read: it has hooks"),
        (Functional(), r"Functional cannot be read: its forward does not only call its children"),
        (Picture(), "Picture cannot be read: it cannot be called on rows to see what it does"),
        (nn.Linear(2, 2).half(), r"weight must be float32 or float64; got float16: .*\.float\(\)"),
        (3, r"module must be a torch\.nn\.Module or a state_dict; got int"),
    ],
)
def test_what_is_not_read_is_named(module, text):
    with pytest.raises(TypeError, match="from_torch: ") as caught:
        mk.from_torch(module)
    assert caught.match(text)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"from_torch: Chain: .*must be given 4 columns; got 2"):
        mk.from_torch(nn.Sequential(nn.Linear(3, 2), nn.Linear(4, 2)))


# --- state_dicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("as_arrays", [False, True])
def test_a_state_dict_is_read(as_arrays, dtype):
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2, bias=False), nn.Sigmoid())
    state = module.to(torch_dtype(dtype)).state_dict()
    if as_arrays:
        state = {key: tensor.numpy() for key, tensor in state.items()}
    assert_alike(mk.from_torch(state, hidden="relu", output="sigmoid"), module, inputs(dtype))


def test_layers_are_taken_by_number():
    module = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    state = dict(sorted(module.state_dict().items()))
    assert list(state)[2] == "1.bias"
    assert list(state)[4] == "10.bias"
    assert_alike(mk.from_torch(state, hidden="identity"), module, inputs(np.float32))


def test_layers_of_names_are_taken_as_they_come():
    module = nn.ModuleDict({"in": nn.Linear(4, 3), "a": nn.Linear(3, 2)})
    net = mk.from_torch(module.state_dict(), hidden=["tanh"])
    assert repr(net) == "Chain(Linear(4, 3), Tanh(), Linear(3, 2), Identity())"


def test_a_layer_without_a_name():
    net = mk.from_torch(nn.Linear(4, 3).state_dict())
    assert repr(net) == "Chain(Linear(4, 3), Identity())"


W, B = np.ones((2, 3), np.float32), np.ones(2, np.float32)
TWO = {"0.weight": np.ones((3, 3), np.float32), "1.weight": W}


@pytest.mark.parametrize(
    ("state", "options", "error", "text"),
    [
        ({}, {}, ValueError, "the state_dict is empty"),
        (TWO, {}, TypeError, "a state_dict has no activations: give hidden="),
        (TWO, {"hidden": []}, ValueError, "hidden must name 1 activations, .*; got 0"),
        (TWO, {"hidden": "no"}, ValueError, "activation: name must be one of"),
        ({"running_mean": B}, {}, TypeError, "must hold weights and biases; got 'running_mean'"),
        ({"0.bias": B}, {}, TypeError, r"0\.weight must be \(outputs, inputs\); got None"),
        ({"c.weight": W[None]}, {}, TypeError, r"c\.weight must be .*; got \(1, 2, 3\)"),
        ({"c.weight": W, "c.bias": B[:1]}, {}, TypeError, r"c\.bias must be \(2,\) and float32"),
        (
            {"c.weight": W.astype(int)},
            {},
            TypeError,
            r"c\.weight must be float32 or .*; got int",
        ),
    ],
)
def test_state_dicts_that_are_refused(state, options, error, text):
    with pytest.raises(error, match=text):
        mk.from_torch(state, **options)


def test_hidden_goes_with_a_state_dict():
    with pytest.raises(TypeError, match="hidden and output go with a state_dict"):
        mk.from_torch(nn.Linear(2, 2), hidden="relu")


class Odd(mk.Map):
    def __repr__(self):
        return "Odd()"


@pytest.mark.parametrize(
    ("net", "text"),
    [(3, "to_torch: net must be a network; got int"), (Odd(), r"to_torch: Odd\(\) has no form")],
)
def test_what_cannot_be_made(net, text):
    with pytest.raises(TypeError, match=text):
        mk.to_torch(net)


def test_a_missing_library_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"install it with: pip install 'mlpkern\[torch\]'"):
        mk.to_torch(mk.Tanh())
