"""ONNX: what ONNX Runtime computes from an export, what import reads, and what it refuses."""

import itertools

import numpy as np
import pytest

import mlpkern as mk

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

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


def identity(D, dtype):
    f = mk.Linear(D, D, dtype=dtype)
    f.w, f.b = np.eye(D), np.zeros(D)
    return f


def shared_network(dtype):
    f, g = mk.Linear(4, 4, dtype=dtype, seed=1), mk.Linear(4, 4, bias=False, dtype=dtype, seed=2)
    inner = mk.Chain(g, mk.Tanh(), mk.Sum(f, mk.Identity(), mk.Chain(g, mk.SiLU())))
    return mk.Chain(f, mk.ELU(), mk.Sum(inner, mk.Identity()), mk.Linear(4, 3, dtype=dtype))


def residual(dtype):
    f = mk.Linear(4, 4, dtype=dtype, seed=1)
    return mk.Chain(mk.Sum(mk.Identity(), mk.Chain(f, mk.Tanh())), f)


NETWORKS = {
    "mlp": lambda dtype: mk.MLP([4, 6, 5, 3], hidden=["gelu", "relu"], dtype=dtype, seed=2),
    "one layer": lambda dtype: mk.Linear(4, 3, bias=False, dtype=dtype),
    "shared": shared_network,
    "residual": residual,
    "standardized": lambda dtype: mk.Chain(
        mk.Standardize([1e3, -0.5, 0, 2], [0.1, 2, 1, 1e-2]), mk.MLP([4, 3, 2], dtype=dtype)
    ),
    "twice": lambda dtype: mk.Sum(*[mk.Chain(mk.Linear(4, 2, dtype=dtype), mk.Exp())] * 2),
}


def runtime(model, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def assert_agree(actual, expected, scale=1.0):
    """To 1e-6 or 1e-13 of the values, or of what went in where that is larger."""
    bound = 1e-6 if expected.dtype == np.float32 else 1e-13
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert not np.shares_memory(actual, expected)
    error = np.abs(actual - expected) / np.maximum(np.maximum(1, np.abs(expected)), scale)
    assert error.max() <= bound


@pytest.mark.parametrize("opset", [13, 17, 20, 23])
@pytest.mark.parametrize("f", ACTIVATIONS, ids=repr)
def test_onnx_runtime_computes_each_activation(f, dtype, opset):
    net = mk.Chain(identity(4, dtype), f)
    rng = np.random.default_rng(0)
    x = np.concatenate([np.linspace(-30, 30, 400).reshape(-1, 4), rng.normal(size=(50, 4))])
    x = x.astype(dtype)
    actual = runtime(mk.to_onnx(net, opset=opset), x)
    assert_agree(actual, net.predict(x), np.abs(x).max(axis=1, keepdims=True))


@pytest.mark.parametrize("opset", [13, 17, 20, 28])
@pytest.mark.parametrize("f", ACTIVATIONS, ids=repr)
def test_each_activation_comes_back_with_its_parameters(f, dtype, opset):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip("onnx is older")
    net = mk.Chain(mk.Linear(3, 3, dtype=dtype), f)
    assert repr(mk.from_onnx(mk.to_onnx(net, opset=opset))) == repr(net)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())
def test_networks_go_out_and_come_back(make, dtype, tmp_path):
    net = make(dtype)
    x = np.random.default_rng(1).normal(size=(7, 4)).astype(dtype)
    model = mk.to_onnx(net, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == model.SerializeToString()
    for n in (1, 7):
        assert_agree(runtime(model, x[:n]), net.predict(x[:n]))
    again = mk.from_onnx(tmp_path / "net.onnx")
    assert again.dtype == dtype
    assert again.parameters.tobytes() == net.parameters.tobytes()
    assert not np.shares_memory(again.parameters, net.parameters)
    assert again.predict(x).tobytes() == net.predict(x).tobytes()


def test_maps_that_occur_twice_have_one_initializer():
    net = shared_network(np.float32)
    names = [t.name for t in mk.to_onnx(net).graph.initializer if t.name.startswith("layers")]
    inner = "layers.2.layers.0.layers.0.w"
    assert names == ["layers.0.w", "layers.0.b", inner, "layers.3.w", "layers.3.b"]
    again = mk.from_onnx(mk.to_onnx(net))
    assert again.parameters.size == net.parameters.size


def test_the_same_network_gives_the_same_bytes():
    nets = [mk.MLP([3, 4, 2], hidden="gelu", dtype=np.float64) for _ in range(2)]
    first, second = (mk.to_onnx(net).SerializeToString() for net in nets)
    assert first == second


def test_the_batch_is_free_and_the_columns_are_not():
    model = mk.to_onnx(mk.MLP([4, 3, 2]))
    dims = [
        [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (model.graph.input[0], model.graph.output[0])
    ]
    assert dims == [["n", 4], ["n", 2]]


def test_a_network_without_parameters_is_float32_of_any_width():
    net = mk.Chain(mk.Tanh(), mk.Softargmax())
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert_agree(runtime(mk.to_onnx(net), x), net.predict(x))
    assert repr(mk.from_onnx(mk.to_onnx(net))) == repr(net)


def test_a_dropout_is_nothing():
    net = mk.Chain(mk.Linear(3, 4), mk.Dropout(0.5), mk.Tanh(), mk.Dropout(0.5))
    assert repr(mk.from_onnx(mk.to_onnx(net))) == "Chain(Linear(3, 4), Tanh())"


class Odd(mk.Map):
    """A map that no format knows."""

    def config(self):
        return {"type": "Odd"}

    def __repr__(self):
        return "Odd()"


@pytest.mark.parametrize(
    ("net", "opset", "error", "text"),
    [
        (3, 17, TypeError, "to_onnx: net must be a network; got int"),
        (mk.Tanh(), 12, ValueError, "to_onnx: opset must be from 13 to .*; got 12"),
        (mk.Tanh(), 999, ValueError, "onnx's newest; got 999"),
        (mk.Tanh(), 17.5, TypeError, "to_onnx: opset must be an integer"),
        (Odd(), 17, TypeError, r"to_onnx: Odd\(\) has no form in ONNX"),
    ],
)
def test_what_cannot_be_exported(net, opset, error, text, tmp_path):
    with pytest.raises(error, match=text):
        mk.to_onnx(net, tmp_path / "net", opset=opset)
    assert not list(tmp_path.iterdir())


# --- graphs of others ----------------------------------------------------------------------------

W = np.array([[1, 2, 3], [4, 5, -6]], np.float32)
B = np.array([0.5, -0.5, 2], np.float32)
X = np.array([[1, -1], [0.25, 3], [-2, 0.5], [0, 0]], np.float32)


def model(nodes, opset=17, x=("n", 2), outputs=("y",), kind=1, **arrays):
    made = [helper.make_node(op, i.split(), o.split(), **a) for op, i, o, a in nodes]
    graph = helper.make_graph(
        made,
        "test",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info(name, kind, ("n", "K")) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), k) for k, a in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def constant(name, array):
    return ("Constant", "", name, {"value": numpy_helper.from_array(np.asarray(array))})


SIX = np.float32(6)
FOREIGN = {
    "gemm": ([("Gemm", "x w b", "y", {})], {"w": W, "b": B}),
    "gemm transposed": ([("Gemm", "x w b", "y", {"transB": 1})], {"w": W.T.copy(), "b": B}),
    "gemm scaled": ([("Gemm", "x w b", "y", {"alpha": 0.5, "beta": 3.0})], {"w": W, "b": B}),
    "gemm without bias": ([("Gemm", "x w", "y", {})], {"w": W}),
    "gemm, one bias": ([("Gemm", "x w b", "y", {})], {"w": W, "b": np.float32(3)}),
    "gemm, row of biases": ([("Gemm", "x w b", "y", {})], {"w": W, "b": B[None]}),
    "matmul": ([("MatMul", "x w", "y", {})], {"w": W}),
    "matmul, add": ([("MatMul", "x w", "s", {}), ("Add", "b s", "y", {})], {"w": W, "b": B}),
    "transposed constant": (
        [("Transpose", "v", "w", {"perm": [1, 0]}), ("MatMul", "x w", "y", {})],
        {"v": W.T.copy()},
    ),
    "constants": ([constant("w", W), constant("b", B), ("Gemm", "x w b", "y", {})], {}),
    "identity of a constant": (
        [("Identity", "v", "w", {}), ("Identity", "x", "z", {}), ("MatMul", "z w", "y", {})],
        {"v": W},
    ),
    "dropout": ([("Dropout", "x", "z", {}), ("MatMul", "z w", "y", {})], {"w": W}),
    "flatten": ([("Flatten", "x", "z", {}), ("MatMul", "z w", "y", {})], {"w": W}),
    "reshape": ([("Reshape", "x k", "z", {}), ("MatMul", "z w", "y", {})], {"w": W, "k": [-1, 2]}),
    "scaled columns": (
        [("Sub", "x m", "d", {}), ("Div", "d c", "z", {}), ("MatMul", "z w", "y", {})],
        {"m": B[:2], "c": B[1:], "w": W},
    ),
    "batch normalization": (
        [("MatMul", "x w", "s", {}), ("BatchNormalization", "s g b m v", "y", {"epsilon": 0.1})],
        {"w": W, "g": -B, "b": B, "m": B[::-1].copy(), "v": B**2},
    ),
    "one scale": ([("MatMul", "x w", "s", {}), ("Mul", "s c", "y", {})], {"w": W, "c": B[2]}),
    "shifted columns": ([("Sub", "x m", "y", {})], {"m": B[None, :2]}),
    "reshape behind": (
        [("MatMul", "x w", "s", {}), ("Tanh", "s", "t", {}), ("Reshape", "t k", "y", {})],
        {"w": W, "k": [-1, 3]},
    ),
    "reshape 0": ([("Reshape", "x k", "y", {})], {"k": [0, -1]}),
    "cast": ([("Cast", "x", "z", {"to": 1}), ("MatMul", "z w", "y", {})], {"w": W}),
    "add": (
        [("MatMul", "x w", "s", {}), ("Tanh", "s", "t", {}), ("Add", "s t", "y", {})],
        {"w": W},
    ),
    "sum of one value": ([("MatMul", "x w", "s", {}), ("Sum", "s s s", "y", {})], {"w": W}),
    "gelu": (
        [
            ("Div", "x two", "z", {}),
            ("Erf", "z", "e", {}),
            ("Add", "e one", "g", {}),
            ("Mul", "x g", "h", {}),
            ("Mul", "h half", "y", {}),
        ],
        {"two": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)},
    ),
    "hardswish": (
        [
            ("Add", "x three", "z", {}),
            ("Clip", "z zero six", "c", {}),
            ("Mul", "x c", "p", {}),
            ("Div", "p six", "y", {}),
        ],
        {"three": np.float32(3), "zero": np.float32(0), "six": SIX},
    ),
    "relu as a maximum": ([("Max", "zero x", "y", {})], {"zero": np.float32(0)}),
    "prelu": ([("PRelu", "x c", "y", {})], {"c": np.array([0.25], np.float32)}),
    "shrink": ([("Shrink", "x", "y", {"lambd": 0.5, "bias": 0.5})], {}),
    "softmax by columns": ([("Softmax", "x", "y", {"axis": 1})], {}),
}


@pytest.mark.parametrize(("nodes", "arrays"), FOREIGN.values(), ids=FOREIGN.keys())
def test_a_graph_of_others_is_read(nodes, arrays):
    graph = model(nodes, **arrays)
    onnx.checker.check_model(graph, full_check=True)
    assert_agree(mk.from_onnx(graph).predict(X), runtime(graph, X))


@pytest.mark.parametrize("typed", [False, True])
def test_initializers_in_every_form(typed, dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = model([("MatMul", "x w", "y", {})], kind=kind)
    w = W.astype(dtype)
    if typed:
        tensor = helper.make_tensor("w", kind, w.shape, w.ravel().tolist())
        assert not tensor.raw_data
    else:
        tensor = helper.make_tensor("w", kind, w.shape, w.tobytes(), raw=True)
    graph.graph.initializer.append(tensor)
    np.testing.assert_array_equal(mk.from_onnx(graph).layers[0].w, w)


def test_arrays_in_a_file_beside_it(tmp_path):
    graph = model([("MatMul", "x w", "y", {})], w=W)
    path = tmp_path / "net.onnx"
    onnx.save(graph, path, save_as_external_data=True, location="data", size_threshold=0)
    np.testing.assert_array_equal(mk.from_onnx(path).layers[0].w, W)
    with pytest.raises(ValueError, match="initializer 'w' is in another file: give the model's"):
        mk.from_onnx(onnx.load(path, load_external_data=False))


def test_a_shared_initializer_is_one_map():
    w = np.eye(2, dtype=np.float32) * 2
    net = mk.from_onnx(model([("MatMul", "x w", "s", {}), ("MatMul", "s w", "y", {})], w=w))
    assert net.layers[0] is net.layers[1]


def test_deep_residual_networks_are_read():
    nodes = []
    for i in range(150):
        a, b = ("x", "h0") if i == 0 else (f"h{i - 1}", f"h{i}")
        nodes += [("Tanh", a, f"t{i}", {}), ("Add", f"{a} t{i}", "y" if i == 149 else b, {})]
    graph = model(nodes)
    assert_agree(mk.from_onnx(graph).predict(X), runtime(graph, X))


REFUSED = {
    "convolution": ([("Conv", "x w", "y", {})], {"w": W}, r"node 'y' \(Conv\): it is no part of"),
    "transA": (
        [("Gemm", "x w", "y", {"transA": 1})],
        {"w": W},
        r"node 'y' \(Gemm\): transA must be 0: mlpkern's samples are rows",
    ),
    "constant on the left": (
        [("MatMul", "w x", "y", {})],
        {"w": W.T.copy()},
        r"node 'y' \(MatMul\): it must be a value times a constant matrix",
    ),
    "product of values": ([("Mul", "x x", "y", {})], {}, r"node 'y' \(Mul\): it is no part of"),
    "integer weights": (
        [("MatMul", "x w", "y", {})],
        {"w": W.astype(int)},
        r"node 'y' \(MatMul\): its constants must be float32, as the input is; got int64",
    ),
    "bias of other length": (
        [("Gemm", "x w b", "y", {})],
        {"w": W, "b": B[:2]},
        r"its bias must have 3 numbers, one an output; got \(2,\)",
    ),
    "bias a sample": (
        [("MatMul", "x w", "s", {}), ("Add", "s b", "y", {})],
        {"w": W, "b": np.ones((4, 3), np.float32)},
        r"its bias must have 3 numbers, one an output; got \(4, 3\)",
    ),
    "batch normalization, gamma 0": (
        [("BatchNormalization", "x g g g g", "y", {})],
        {"g": np.zeros(2, np.float32)},
        r"node 'y' \(BatchNormalization\): Standardize: ",
    ),
    "batch normalization in training": (
        [("BatchNormalization", "x g g g g", "y p q", {"training_mode": 1})],
        {"g": np.ones(2, np.float32)},
        r"node 'y' \(BatchNormalization\): it must not be in training",
    ),
    "scale 0": (
        [("Mul", "x c", "y", {})],
        {"c": np.float32(0)},
        r"node 'y' \(Mul\): Standardize: scale must lie",
    ),
    "unknown operator": ([("Frobnicate", "x", "y", {})], {}, "opset 17 has no such operator"),
    "foreign operator": (
        [("Frobnicate", "x", "y", {"domain": "evil"})],
        {},
        "operators of 'evil' are not read",
    ),
    "unknown value": ([("Tanh", "z", "y", {})], {}, "its input 'z' is nothing that is known"),
    "constant output": ([constant("y", W)], {}, "the output does not depend on the input"),
    "unfit layers": (
        [("MatMul", "x w", "s", {}), ("MatMul", "s w", "y", {})],
        {"w": W},
        "must be given 2 columns; got 3",
    ),
    "softmax along the batch": ([("Softmax", "x", "y", {"axis": 0})], {}, r"'y' \(Softmax\)"),
    "dropout in training": (
        [("Dropout", "x r t", "y", {})],
        {"r": np.float32(0.5), "t": np.True_},
        r"node 'y' \(Dropout\)",
    ),
    "parameter out of range": (
        [("Celu", "x", "y", {"alpha": -1.0})],
        {},
        r"node 'y' \(Celu\): CELU: alpha must be",
    ),
    "reshape": ([("Reshape", "x k", "y", {})], {"k": [2, -1]}, r"node 'y' \(Reshape\)"),
}


@pytest.mark.parametrize(("nodes", "arrays", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_read_is_named(nodes, arrays, text):
    with pytest.raises(ValueError, match=r"^from_onnx: ") as caught:
        mk.from_onnx(model(nodes, **arrays))
    assert caught.match(text)


def test_inputs_and_outputs_are_one():
    graph = model([("Tanh", "x", "y", {}), ("Exp", "x", "z", {})], outputs=("y", "z"))
    with pytest.raises(ValueError, match="the graph must have one output; got 2"):
        mk.from_onnx(graph)
    graph.graph.input.append(helper.make_tensor_value_info("u", 1, None))
    with pytest.raises(ValueError, match="the graph must have one input; got 2"):
        mk.from_onnx(graph)
    with pytest.raises(ValueError, match="must be FLOAT or DOUBLE; got FLOAT16"):
        mk.from_onnx(model([("Tanh", "x", "y", {})], kind=10))
    with pytest.raises(TypeError, match=r"model must be an onnx\.ModelProto or a path; got int"):
        mk.from_onnx(3)


def test_damaged_files_are_one_error(tmp_path):
    data = mk.to_onnx(mk.MLP([2, 3, 1])).SerializeToString()
    path = tmp_path / "cut"
    for length in itertools.chain(range(0, len(data), 7), [len(data)]):
        path.write_bytes(data[:length])
        if length == len(data):
            mk.from_onnx(path)
            break
        with pytest.raises(ValueError, match="cut is not a model that can be read: "):
            mk.from_onnx(path)
    with pytest.raises(FileNotFoundError):
        mk.from_onnx(tmp_path / "none")


def test_a_changed_byte_is_refused_or_read(tmp_path):
    data = mk.to_onnx(mk.Chain(mk.Linear(2, 3), mk.Softplus(2.0))).SerializeToString()
    path = tmp_path / "changed"
    refused = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            net = mk.from_onnx(path)
        except ValueError as error:
            refused += str(error).startswith(f"{path} is not a model that can be read: ")
        else:
            assert isinstance(net, mk.Chain)
    assert refused > len(data) / 4


def test_operators_without_inputs_are_refused():
    graph = model([("MatMul", "x w", "y", {})], w=W)
    del graph.graph.node[0].input[1]
    with pytest.raises(ValueError, match="to unpack"):
        mk.from_onnx(graph)


def test_announced_sizes_are_not_believed(tmp_path):
    graph = model([("MatMul", "x w", "y", {})], w=W)
    graph.graph.initializer[0].dims[0] = 10**12
    with pytest.raises(ValueError, match="initializer 'w': "):
        mk.from_onnx(graph)


def test_a_constant_is_not_copied_without_end():
    w = np.eye(1000, dtype=np.float32)
    names = ["x", *(f"s{i}" for i in range(40))]
    nodes = [("Gemm", f"{a} w b{b}", b, {}) for a, b in itertools.pairwise(names)]
    biases = {f"bs{i}": np.zeros(1000, np.float32) for i in range(40)}
    with pytest.raises(ValueError, match="the graph's constants are used too often"):
        mk.from_onnx(model(nodes, x=("n", 1000), outputs=("s39",), w=w, **biases))
    with pytest.raises(ValueError, match="the graph must have 100000 nodes at most; got 100001"):
        mk.from_onnx(model([("Tanh", "x", "y", {})] * 100_001))


def test_a_missing_library_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"install it with: pip install 'mlpkern\[onnx\]'"):
        mk.to_onnx(mk.Tanh())
