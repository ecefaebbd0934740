"""Networks as functions of PyTorch: gradients, shared parameters, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

import mlpkern as mk

torch = pytest.importorskip("torch")
mt = pytest.importorskip("mlpkern.torch")


def network(dtype=np.float64):
    f = mk.Linear(3, 3, dtype=dtype, seed=1)
    inner = mk.Sum(mk.Chain(f, mk.Tanh()), mk.Linear(3, 3, bias=False, dtype=dtype, seed=2))
    return mk.Chain(f, mk.SiLU(), inner, mk.Softargmax())


NETWORKS = {
    "mlp": lambda: mk.MLP([3, 5, 2], hidden="gelu", output="sigmoid", dtype=np.float64),
    "shared": network,
    "one layer": lambda: mk.Linear(3, 2, dtype=np.float64),
    "activation": lambda: mk.Softplus(beta=2.0),
}


def normal(*shape, dtype=torch.float64, grad=True):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, dtype=dtype, generator=generator).requires_grad_(grad)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 3), (0, 3)])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_gradients_against_differences(make, shape):
    f = mt.as_function(make())
    x = normal(*shape)
    assert f(x).shape[:-1] == shape[:-1]
    assert torch.autograd.gradcheck(lambda x, *_: f(x), (x, *f.parameters()))


def test_gradients_against_pytorchs_own(dtype):
    net = network(dtype)
    theirs, ours = mk.to_torch(net), mt.as_function(net)
    kind = torch.float32 if dtype == np.float32 else torch.float64
    x, u = normal(6, 3, dtype=kind), normal(6, 3, dtype=kind)
    (ours(x) ** 2).sum().backward()
    (theirs(u) ** 2).sum().backward()
    close = {"rtol": 0, "atol": 1e-5 if dtype == np.float32 else 1e-13}
    torch.testing.assert_close(x.grad, u.grad, **close)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad.T if q.ndim == 2 else q.grad, **close)


def test_parameters_are_the_networks_memory():
    net = network()
    f = mt.as_function(net)
    assert [name for name, _ in f.named_parameters()] == [
        "layers.0.w",
        "layers.0.b",
        "layers.2.layers.1.w",
    ]
    for p in f.parameters():
        assert np.shares_memory(p.detach().numpy(), net.parameters)
    with torch.no_grad():
        next(f.parameters()).zero_()
    assert not net.layers[0].w.any()
    net.layers[0].w = 2 * np.eye(3)
    assert next(f.parameters())[0, 0] == 2


def test_a_dropout_is_active_in_training():
    one, other = mk.Linear(3, 50, dtype=np.float64), mk.Linear(50, 1, dtype=np.float64)
    net = mk.Chain(one, mk.Dropout(0.5), other)
    f = mt.as_function(net)
    x = normal(4, 3)
    first = f(x)
    second = f(x)
    assert not torch.equal(first, second)
    with torch.no_grad():
        assert not torch.equal(f(x), f(x))
    passes = net.layers[1].passes
    (grad,) = torch.autograd.grad(first.sum(), x)  # by the mask of the first pass
    assert net.layers[1].passes == passes
    net.layers[1].passes = 0
    net(x.detach().numpy())
    np.testing.assert_array_equal(grad.numpy(), net.backward(np.ones((4, 1))))
    f.eval()
    np.testing.assert_array_equal(f(x).detach().numpy(), net.predict(x.detach().numpy()))
    assert torch.autograd.gradcheck(lambda x, *_: f(x), (x, *f.parameters()))


def test_the_networks_own_gradients_are_left_alone():
    net = network()
    net.gradients[:] = 7
    mt.as_function(net)(normal(2, 3)).sum().backward()
    assert (net.gradients == 7).all()


def test_several_calls_before_a_backward():
    net = mk.MLP([3, 4, 2], dtype=np.float64)
    f, theirs = mt.as_function(net), mk.to_torch(net)
    xs = [normal(n, 3) for n in (2, 5, 1)]
    first, second, third = (f(x) for x in xs)
    net(xs[0].detach().numpy())  # the network itself may be called as well
    (second.sum() + (first**2).sum() + third.sum()).backward()
    us = [x.detach().clone().requires_grad_() for x in xs]
    first, second, third = (theirs(u) for u in us)
    (second.sum() + (first**2).sum() + third.sum()).backward()
    for x, u in zip(xs, us, strict=True):
        torch.testing.assert_close(x.grad, u.grad, rtol=0, atol=1e-13)
    torch.testing.assert_close(f.layers.get_submodule("0").w.grad, theirs[0].weight.grad.T)


def test_gradients_add_up_and_a_graph_may_be_kept():
    f = mt.as_function(network())
    y = f(normal(4, 3)).square().sum()
    y.backward(retain_graph=True)
    once = [p.grad.clone() for p in f.parameters()]
    y.backward()
    for p, g in zip(f.parameters(), once, strict=True):
        torch.testing.assert_close(p.grad, 2 * g)


def test_no_grad_keeps_nothing():
    f = mt.as_function(network())
    with torch.no_grad():
        y = f(normal(4, 3))
    assert not y.requires_grad
    assert f._latest is None


def test_inputs_without_gradient_and_parameters_that_are_fixed():
    f = mt.as_function(network())
    x = normal(4, 3, grad=False)
    f(x).sum().backward()
    assert x.grad is None
    f.requires_grad_(False)
    f.zero_grad()
    u = normal(4, 3)
    f(u).square().sum().backward()
    assert u.grad is not None
    assert all(p.grad is None for p in f.parameters())


def test_any_strides():
    f = mt.as_function(network())
    x = normal(3, 8).T[::2]
    assert torch.equal(f(x), f(x.contiguous()))
    (grad,) = torch.autograd.grad(f(x)[:, 0].sum(), x)  # whose cotangents are spread out
    assert grad.shape == x.shape


def test_training_equals_mlpkerns_own(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3)).astype(dtype)
    y = rng.normal(size=(32, 2)).astype(dtype)
    one, other = (mk.MLP([3, 8, 2], dtype=dtype, seed=5) for _ in range(2))
    f = mt.as_function(one)
    optimizer = torch.optim.SGD(f.parameters(), lr=0.05, momentum=0.9)
    own = mk.SGD(other, lr=0.05, momentum=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((f(torch.from_numpy(x)) - torch.from_numpy(y)) ** 2).sum(dim=1).mean()
        loss.backward()
        optimizer.step()
        mk.train_step(other, mk.SquaredError(), own, x, y)
    bound = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(one.parameters, other.parameters, rtol=0, atol=bound)
    assert not np.shares_memory(one.parameters, other.parameters)


def test_a_state_dict_is_loaded_in_place():
    net, other = (mk.MLP([3, 4, 2], seed=seed) for seed in (1, 2))
    f = mt.as_function(net)
    f.load_state_dict(mt.as_function(other).state_dict())
    assert net.parameters.tobytes() == other.parameters.tobytes()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_copies_have_a_network_of_their_own(again):
    f = mt.as_function(network()).eval()
    next(f.parameters()).requires_grad_(False)
    g = again(f)
    x = normal(2, 3)
    assert torch.equal(f(x), g(x))
    assert not g.training
    assert [p.requires_grad for p in g.parameters()] == [False, True, True]
    for p, q in zip(f.parameters(), g.parameters(), strict=True):
        assert p.data_ptr() != q.data_ptr()
        assert np.shares_memory(q.detach().numpy(), g.net.parameters)


def test_parameters_that_change_before_backward_are_an_error():
    f = mt.as_function(network())
    y = f(normal(2, 3)).sum()
    with torch.no_grad():
        next(f.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_second_derivatives_are_an_error():
    f = mt.as_function(network())
    x = normal(2, 3)
    (grad,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="the network can be differentiated once; mk"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.zeros((2, 3)), r"x must be a torch\.Tensor; got ndarray"),
        (
            torch.zeros(2, 3),
            r"x must be torch\.float64, .*; got torch\.float32: .*\.to\(torch\.",
        ),
        (torch.zeros(2, 3, device="meta"), r"a dense tensor on the CPU; got .* on meta"),
        (
            torch.zeros(2, 3).to_sparse(),
            r"be a dense tensor on the CPU; got torch\.sparse_coo",
        ),
    ],
)
def test_inputs_that_are_refused(x, text):
    with pytest.raises(TypeError, match=f"as_function: .*{text}"):
        mt.as_function(network())(x)


def test_a_wrong_width_is_refused():
    with pytest.raises(ValueError, match=r"x must be \(\.\.\., D\) or \(D,\) with D = 3"):
        mt.as_function(network())(normal(2, 4))


def test_networks_alone():
    with pytest.raises(TypeError, match="as_function: net must be a network; got int"):
        mt.as_function(3)


def test_parameters_that_moved_are_an_error():
    net = mk.MLP([3, 2])
    f = mt.as_function(net)
    whole = mk.Chain(net, mk.Tanh())
    with pytest.raises(RuntimeError, match="the parameters must lie where the network has them"):
        f(torch.zeros(1, 3))
    assert mt.as_function(whole)(torch.zeros(1, 3)).shape == (1, 2)
    with pytest.raises(RuntimeError, match="the parameters must lie where the network has them"):
        mt.as_function(mk.MLP([3, 2])).double()(torch.zeros(1, 3))
