"""Arrays of other libraries: they go into every function as they lie, without a copy."""

import array
import tracemalloc

import numpy as np
import pytest

import mlpkern as mk
from mlpkern import _core

N, D, K = 6, 3, 2


class OnlyDLPack:
    """What a library of DLPack alone would give."""

    def __init__(self, a):
        self.a = a

    def __dlpack__(self, **options):
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


def to_torch(a):
    return pytest.importorskip("torch").from_numpy(a)


def to_jax(a):
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        return jax.numpy.asarray(a)


FOREIGN = {
    "torch": to_torch,
    "jax": to_jax,
    "dlpack": OnlyDLPack,
    "memoryview": memoryview,
}


@pytest.fixture(params=FOREIGN.values(), ids=FOREIGN.keys())
def foreign(request):
    """From a NumPy array to another library's."""
    return request.param


def sample(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def network(dtype=np.float64):
    return mk.MLP([D, 4, K], dtype=dtype, seed=1)


def trained(step):
    """The parameters that a training call leaves."""

    def call(f, x, y):
        net = network()
        step(net, mk.SquaredError(), mk.SGD(net), f(x), f(y), f(np.ones(N)))
        return net.parameters

    return call


def train_step(net, loss, opt, x, y, w):
    mk.train_step(net, loss, opt, x, y, w)


def fit(net, loss, opt, x, y, w):
    mk.fit(net, x, y, sample_weight=w, loss=loss, optimizer=opt, epochs=2, batch_size=4)


def fit_by_part(net, loss, opt, x, y, w):
    mk.fit(net, x, y, loss=loss, optimizer=opt, epochs=2, validation=(x, y))


def backward(f, x, y):
    net = network()
    net(f(x))
    return [net.backward(f(y)), net.gradients]


def assigned(f, x, y):
    layer = mk.Linear(D, N, dtype=np.float64)
    layer.w = f(x.T.copy())
    layer.b = f(y[:, 0].copy())
    return [layer.w, layer.b]


W = sample(D, 4, seed=7)
CALLS = {
    "linear": lambda f, x, y: mk.linear(f(x), f(W), f(W[0].copy())),
    "linear_backward": lambda f, x, y: list(mk.linear_backward(f(y), f(x), f(W[:, :K].copy()))),
    "logsumexp": lambda f, x, y: mk.logsumexp(f(x)),
    "activation": lambda f, x, y: mk.GELU()(f(x)),
    "activation.vjp": lambda f, x, y: mk.Softargmax().vjp(f(x), f(x)),
    "activation.jacobian": lambda f, x, y: mk.Softargmax().jacobian(f(x)),
    "loss": lambda f, x, y: [mk.Huber()(f(x), f(-x), f(np.ones(N)))],
    "loss.gradient": lambda f, x, y: mk.Huber().gradient(f(x), f(-x)),
    "call": lambda f, x, y: network()(f(x)),
    "predict": lambda f, x, y: network().predict(f(x)),
    "frozen": lambda f, x, y: network().freeze()(f(x)),
    "a chain of activations": lambda f, x, y: mk.Chain(mk.Tanh(), mk.Exp()).predict(f(x)),
    "backward": backward,
    "train_step": trained(train_step),
    "fit": trained(fit),
    "fit, validated": trained(fit_by_part),
    "value_and_gradient": lambda f, x, y: list(
        mk.value_and_gradient(network(), mk.SquaredError(), f(x), f(y))
    ),
    "jacobian": lambda f, x, y: mk.jacobian(network(), f(x)),
    "jvp": lambda f, x, y: list(mk.jvp(network(), f(x), f(x))),
    "derivatives": lambda f, x, y: mk.derivatives(network(), f(x)).u_xx,
    "hvp": lambda f, x, y: mk.hvp(
        network(), mk.SquaredError(), f(x), f(y), f(np.ones(network().parameters.size))
    ),
    "trace": lambda f, x, y: network().trace(f(x), f(y), mk.SquaredError())["dC/dW1"],
    "assignment": assigned,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_every_function_takes_them(call, foreign):
    x, y = sample(N, D), sample(N, K, seed=1)
    actual, expected = call(foreign, x, y), call(np.asarray, x, y)
    for a, e in zip(actual, expected, strict=True):
        assert np.asarray(a).dtype == np.float64
        np.testing.assert_array_equal(a, e)


def test_integer_labels(foreign):
    y = np.array([0, 1, 1, 0, 1, 0])
    x = sample(N, K)
    loss = mk.CrossEntropy(from_logits=True)
    assert loss(foreign(x), foreign(y)) == loss(x, y)


def test_array_array():
    numbers = array.array("f", [1.0, -2.0, 0.5])
    np.testing.assert_array_equal(mk.ReLU()(numbers), np.float32([1, 0, 0.5]))
    assert np.shares_memory(_core.as_array("f", "x", numbers), np.frombuffer(numbers, np.float32))


@pytest.mark.parametrize("shape", [(N, D), (D,), (2, N, D), (0, D)])
def test_nothing_is_copied(foreign, shape, dtype):
    """The array that the kernels are given lies where the other library has it."""
    theirs = foreign(sample(*shape, dtype=dtype))
    inside = _core.as_array("f", "x", theirs)
    assert inside.dtype == dtype
    assert inside.shape == shape
    again = np.from_dlpack(theirs) if hasattr(theirs, "__dlpack__") else np.asarray(theirs)
    assert inside.size == 0 or inside.ctypes.data == again.ctypes.data
    assert inside.flags.c_contiguous
    assert inside.flags.aligned


CALLS_ON_MUCH = {
    "predict": lambda net, x: net.predict(x),
    "forward": lambda net, x: net(x),
    "train_step": lambda net, x: mk.train_step(net, mk.SquaredError(), mk.SGD(net), x, x[:, :1]),
    "fit": lambda net, x: mk.fit(
        net, x, x[:, :1], loss=mk.SquaredError(), optimizer=mk.SGD(net, lr=1e-5), epochs=1
    ),
}


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("call", CALLS_ON_MUCH.values(), ids=CALLS_ON_MUCH.keys())
def test_the_memory_of_a_call_is_that_of_its_result(call, name):
    """NumPy tells tracemalloc of each of its arrays: 16 MB of samples never show."""
    net = mk.MLP([1024, 1], seed=0)
    theirs = FOREIGN[name](np.ones((4096, 1024), np.float32))
    call(net, theirs)  # what is made at the first call
    tracemalloc.start()
    try:
        call(net, theirs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_copy_would_show():
    theirs = to_torch(np.ones((4096, 1024), np.float32)).T  # whose rows lie apart
    tracemalloc.start()
    try:
        mk.Linear(4096, 1).predict(theirs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak > 2**24


def test_results_go_into_a_tensors_memory():
    torch = pytest.importorskip("torch")
    out = torch.zeros(N, K, dtype=torch.float64)
    x = sample(N, D)
    network().predict(to_torch(x), out=out.numpy())
    np.testing.assert_array_equal(out.numpy(), network().predict(x))


def test_any_strides_give_the_same_values():
    x = sample(8, 2 * D)
    net = network()
    expected = net.predict(np.ascontiguousarray(x[::2, ::2]))
    np.testing.assert_array_equal(net.predict(to_torch(x)[::2, ::2]), expected)
    np.testing.assert_array_equal(net.predict(OnlyDLPack(x[::2, ::2])), expected)


# --- what is refused -----------------------------------------------------------------------------


class Elsewhere(OnlyDLPack):
    """An array of a library that copies from its device without being asked."""

    device = "cuda:0"

    def __array__(self, dtype=None, copy=None):
        return self.a.copy()


class Unreadable(OnlyDLPack):
    """An array that nobody can export."""

    def __dlpack__(self, **options):
        raise BufferError("not today")


def test_what_lies_on_another_device_is_refused():
    with pytest.raises(
        TypeError, match=r"predict: x must be an array on the CPU; got Elsewhere on cuda:0"
    ):
        network().predict(Elsewhere(sample(N, D)))


def test_what_cannot_be_exported_is_refused():
    with pytest.raises(TypeError, match=r"x must be an array; got Unreadable: not today"):
        network().predict(Unreadable(sample(N, D)))


REFUSED_TENSORS = {
    "gradient": (
        lambda torch: torch.ones(N, D, requires_grad=True),
        r"x must be an array; got Tensor that requires a gradient; pass \.detach\(\)",
    ),
    "meta": (
        lambda torch: torch.ones(N, D, device="meta"),
        "x must be an array on the CPU; got Tensor on meta",
    ),
    "sparse": (
        lambda torch: torch.ones(N, D).to_sparse(),
        r"x must be an array; got Tensor: .*Tensor\.to_dense\(\)",
    ),
    "bfloat16": (
        lambda torch: torch.ones(N, D, dtype=torch.bfloat16),
        "x must be an array; got Tensor: .*BFloat16",
    ),
    "half": (
        lambda torch: torch.ones(N, D).half(),
        r"x must be float32 or float64; got x float16",
    ),
    "float32": (
        lambda torch: torch.ones(N, D),
        r"x must be float64, as the network is; got float32; convert with \.astype",
    ),
}
TAKERS = {
    "predict": lambda net, x: net.predict(x),
    "call": lambda net, x: net(x),
    "train_step": lambda net, x: mk.train_step(
        net, mk.SquaredError(), mk.SGD(net), x, np.ones((N, K))
    ),
    "fit": lambda net, x: mk.fit(
        net, x, np.ones((N, K)), loss=mk.SquaredError(), optimizer=mk.SGD(net)
    ),
    "jacobian": mk.jacobian,
}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS.keys())
@pytest.mark.parametrize(("make", "text"), REFUSED_TENSORS.values(), ids=REFUSED_TENSORS.keys())
def test_tensors_that_are_refused(make, text, take):
    net = network()
    before = net.parameters.copy()
    with pytest.raises(TypeError, match=text):
        take(net, make(pytest.importorskip("torch")))
    assert net.parameters.tobytes() == before.tobytes()


def test_a_weight_that_requires_a_gradient_is_not_assigned():
    torch = pytest.importorskip("torch")
    f = mk.Linear(D, K)
    with pytest.raises(TypeError, match=r"Linear: w must be an array; got Parameter that requires"):
        f.w = torch.nn.Parameter(torch.ones(D, K))
