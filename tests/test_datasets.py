"""The shipped digits, and the readers: what they return and the text of their errors."""

import gzip
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import mlpkern as mk
from mlpkern import datasets
from mlpkern.datasets import Table, load_digits, prepare, read_idx, read_inputs, read_table


def test_digits():
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 64), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (images.min(), images.max()) == (0, 1)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert int((images * 16).sum(dtype=np.float64)) == 561718  # the sum of all pixels


def test_digits_are_scikit_learns_to_the_bit():
    """The hash of `sklearn.datasets.load_digits()`, data and target as bytes, of version 1.9.1."""
    images, labels = load_digits()
    data = np.rint(images * 16).astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    assert hashlib.sha256(data).hexdigest() == (
        "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    )


def test_digits_ship_small_and_attributed():
    folder = Path(datasets.__file__).parent
    assert (folder / "uci_digits.npz").stat().st_size < 100_000
    attribution = (folder / "uci_digits.md").read_text()
    for needed in ("E. Alpaydin", "C. Kaynak", "1998", "10.24432/C50P49", "CC BY 4.0"):
        assert needed in attribution


# --- IDX ---------------------------------------------------------------------------------------

CODES = {8: "u1", 9: "i1", 11: "i2", 12: "i4", 13: "f4", 14: "f8"}


def idx(array, code):
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, code, array.ndim]) + sizes + array.astype(f">{CODES[code]}").tobytes()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4)])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, code, shape, zipped):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(CODES[code])
    data = idx(array, code)
    (tmp_path / "file").write_bytes(gzip.compress(data) if zipped else data)
    read = read_idx(tmp_path / "file")
    assert read.dtype == np.dtype(CODES[code])
    assert read.dtype.isnative
    assert read.shape == shape
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


WHOLE = idx(np.arange(12).reshape(3, 4), 8)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "it must begin with 00 00, .* not nothing"),
        (b"\x00\x00\x08", "not 00 00 08"),
        (b"\x00\x01\x08\x01", "not 00 01 08 01"),
        (b"\x00\x00\x07\x01\x00\x00\x00\x00", "not 00 00 07 01"),
        (WHOLE[:9], "it ends within its 2 dimensions"),
        (WHOLE[:-1], r"its shape \(3, 4\) needs 12 bytes of values, and there are 11"),
        (WHOLE + b"\x00", r"its shape \(3, 4\) needs 12 bytes of values, and there are more"),
        (b"\x00\x00\x0e\x03" + b"\xff" * 12, "needs .* bytes of values, and there are 0"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "is not a whole IDX file"),
        (gzip.compress(WHOLE, mtime=0)[:12] + b"xxxxxx", "is not a whole IDX file"),
        (gzip.compress(b"\x00\x00\x0e\x03" + b"\xff" * 12, mtime=0), "and there are 0"),
    ],
)
def test_damaged_idx(tmp_path, data, text):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=r"file is not a whole IDX file: ") as caught:
        read_idx(tmp_path / "file")
    assert caught.match(text)


def test_missing_idx(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "none")


# --- CSV ---------------------------------------------------------------------------------------


def csv(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv(tmp_path):
    table = read_table(csv(tmp_path, "a,b,kind\n1,2.5,x\n\n-3,4e1,y\n"))
    assert table.columns == ("a", "b")
    assert table.target == "kind"
    np.testing.assert_array_equal(table.x, [[1, 2.5], [-3, 40]])
    assert table.y.tolist() == ["x", "y"]
    assert table.x_test is None


def test_csv_with_a_named_target(tmp_path):
    table = read_table(csv(tmp_path, "a,b,c\n1,2,3\n4,5,6\n"), target="a")
    assert (table.columns, table.target) == (("b", "c"), "a")
    np.testing.assert_array_equal(table.y, [1, 4])


@pytest.mark.parametrize(
    "text",
    [
        "a;b;y\n1;2;x\n",
        "a\tb\ty\n1\t2\tx\n",
        '"a", b ,y\r\n"1",2, x \r\n',
        "\ufeffa,b,y\n1,2,x",
    ],
)
def test_dialects_of_csv(tmp_path, text):
    table = read_table(csv(tmp_path, text))
    assert (table.columns, table.x.tolist(), table.y.tolist()) == (("a", "b"), [[1, 2]], ["x"])


def test_gzipped_csv(tmp_path):
    table = read_table(csv(tmp_path, gzip.compress(b"a,y\n1,2\n")))
    assert table.x.tolist() == [[1]]


def test_csv_of_many_blocks(tmp_path):
    rows = np.random.default_rng(0).normal(size=(10_000, 3))
    text = "a,b,y\n" + "".join(f"{a!r},{b!r},{c!r}\n" for a, b, c in rows.tolist())
    table = read_table(csv(tmp_path, text))
    np.testing.assert_array_equal(np.column_stack([table.x, table.y]), rows)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1 must name the columns, and is empty"),
        ("1,2,3\n4,5,6\n", "line 1 must name the columns, and holds numbers: 1, 2, 3"),
        ("a,,y\n1,2,3\n", "line 1: column 2 has no name"),
        ("a,a,y\n1,2,3\n", "line 1: column 2 has the name 'a' a second time"),
        ("y\n1\n", "line 1: there must be at least one column beside the target"),
        ("a,y\n", "there are no rows below the header"),
        ("a,y\n1,2\n1\n", "line 3 must have 2 cells as line 1 has, not 1"),
        ("a,y\n1,2\n\n1,2,3\n", "line 4 must have 2 cells as line 1 has, not 3"),
        ("a,b,y\n1,2,3\n1,x,3\n", "line 3, column 'b': an input must be a finite number, not 'x'"),
        ("a,b,y\n1,nan,3\n", "line 2, column 'b': an input must be a finite number, not 'nan'"),
        ("a,b,y\n1,inf,3\n", "line 2, column 'b': an input must be a finite number, not 'inf'"),
        ("a,b,y\n1,,3\n", "line 2, column 'b': the cell is empty"),
        ("a,b,y\n1,2, \n", "line 2, column 'y': the cell is empty"),
        ("a,y\n1,2\n1,nan\n", "column 'y': a target must be finite, not 'nan'"),
        ('a,y\n1,"2\n', "unexpected end of data"),
        (b"a,y\n\xff\xfe,2\n", "is not a text file in UTF-8"),
        (gzip.compress(b"a,y\n1,2\n", mtime=0)[:-9], "table.csv"),
    ],
)
def test_damaged_csv(tmp_path, text, error):
    with pytest.raises(ValueError, match=r"table\.csv") as caught:
        read_table(csv(tmp_path, text))
    assert error in str(caught.value)


def test_csv_without_the_target(tmp_path):
    with pytest.raises(ValueError, match="there is no column 'z'; the columns are a, y"):
        read_table(csv(tmp_path, "a,y\n1,2\n"), target="z")


def test_inputs_of_a_csv(tmp_path):
    path = csv(tmp_path, "b,other,a,y\n1,q,2,5\n")
    table = read_inputs(path, ("a", "b"), "y")
    assert (table.x.tolist(), table.y.tolist()) == ([[2, 1]], [5])
    assert read_inputs(path, ("a", "b"), "z").y is None
    with pytest.raises(ValueError, match="line 1: there is no column 'c'"):
        read_inputs(path, ("a", "c"), "y")
    with pytest.raises(ValueError, match="the model was trained on inputs without column names"):
        read_inputs(path)


def test_columns_of_text(tmp_path):
    """Each text is an input, sorted; what only the test part has is no input."""
    text = "a,kind,b,y\n" + "".join(f"{i}, {'xzy'[i % 3]},{-i},{i % 2}\n" for i in range(5000))
    table = read_table(csv(tmp_path, text))
    assert table.columns == ("a", "kind", "b")
    assert table.categories == {"kind": ("x", "y", "z")}
    i = np.arange(5000)
    ones = [i % 3 == 0, i % 3 == 2, i % 3 == 1]
    np.testing.assert_array_equal(table.x, np.column_stack([i, *ones, -i]))
    data = prepare(table)
    assert data.categories == table.categories
    assert data.unseen == 0
    assert data.x_scaling.mean[1:4].tolist() == [0, 0, 0]
    assert data.x_scaling.scale[1:4].tolist() == [1, 1, 1]
    assert data.x_scaling.mean[0] > 2000


def test_categories_come_from_the_training_rows(tmp_path):
    text = "a,kind,y\n" + "".join(f"{i},{'one' if i == 7 else 'two'},{i % 2}\n" for i in range(10))
    table, seeds = read_table(csv(tmp_path, text)), range(20)
    unseen = [prepare(table, seed=seed) for seed in seeds]
    assert {data.unseen for data in unseen} == {0, 1}
    for data in unseen:
        names = ("two",) if data.unseen else ("one", "two")
        assert data.categories == {"kind": names}
        assert data.x_train.shape[1] == data.x_test.shape[1] == 1 + len(names)
        assert (data.x_test[:, 1:].sum(axis=1) == 0).sum() == data.unseen


def test_ignored_columns(tmp_path):
    path = csv(tmp_path, "id,a,kind,y\nq1,1,u,2\nq2,3,v,4\n")
    table = read_table(path, ignore=("id", "y"))
    assert (table.columns, table.target, table.y.tolist()) == (("a",), "kind", ["u", "v"])
    for ignore, target, error in [
        (("id", "none"), None, "there is no column 'none'; the columns are id, a, kind, y"),
        (("y",), "y", "column 'y' cannot be the target and ignored"),
        (("id", "a", "kind"), None, "there must be at least one column beside the target"),
        (("id", "a", "kind", "y"), None, "every column is ignored: there is none to predict"),
    ]:
        with pytest.raises(ValueError, match=error):
            read_table(path, target, ignore)
    with pytest.raises(ValueError, match="columns to ignore can be named for a CSV file only"):
        read_table(npz(tmp_path, x=X, y=Y), ignore=("a",))


def test_words_of_numbers_in_a_column_of_text(tmp_path):
    table = read_table(csv(tmp_path, "kind,y\nred,1\nnan,2\ninf,3\n"))
    assert table.categories == {"kind": ("inf", "nan", "red")}


def test_texts_that_a_model_does_not_know(tmp_path):
    path = csv(tmp_path, "kind,a\nred,1\n\ngreen,2\nblue,3\nblack,4\n")
    table = read_inputs(path, ("a", "kind"), "y", {"kind": ["blue", "red"]})
    assert table.x.tolist() == [[1, 0, 1], [2, 0, 0], [3, 1, 0], [4, 0, 0]]
    assert table.unknown == {"kind": (2, "green", 4)}


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (["1,x", "2,3"], "line 2, column 'b': an input must be a finite number, not 'x'"),
        (["1,x", "2,"], "line 3, column 'b': the cell is empty"),
        ([f"1,t{i}" for i in range(101)], "column 'b' must have at most 100 different texts, and"),
        (["1,x"] * 4096 + ["1,2"], "line 4098, column 'b': an input must be text as in the lines"),
        (["1,x"] * 4096 + ["1,"], "line 4098, column 'b': the cell is empty"),
    ],
)
def test_wrong_columns_of_text(tmp_path, rows, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        read_table(csv(tmp_path, "a,b,y\n" + "".join(f"{row},1\n" for row in rows)))


# --- NPZ and folders ---------------------------------------------------------------------------


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return tmp_path / "data.npz"


X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("name", ["x", "X"])
def test_npz(tmp_path, name):
    table = read_table(npz(tmp_path, **{name: X, "y": Y}))
    np.testing.assert_array_equal(table.x, X)
    np.testing.assert_array_equal(table.y, Y)
    assert table.x_test is None


def test_npz_with_a_test_part(tmp_path):
    path = npz(tmp_path, x_train=X.reshape(6, 1, 2), y_train=Y, x_test=X[:2], y_test=Y[:2, None])
    table = read_table(path)
    assert (table.x.shape, table.x_test.shape, table.y_test.shape) == ((6, 2), (2, 2), (2,))
    table = read_inputs(path)
    assert (table.x.shape, table.y.shape) == ((2, 2), (2,))


def test_npz_without_targets(tmp_path):
    assert read_inputs(npz(tmp_path, x=X)).y is None
    assert read_inputs(npz(tmp_path, x_test=X)).x.shape == (6, 2)


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({}, "must hold x and y, X and y, or x_train, y_train, x_test and y_test, not nothing"),
        ({"a": X}, "not a"),
        (
            {"x": X[0], "y": Y},
            r"inputs must be numbers of shape \(n, D\) or .*, not float64 \(2,\)",
        ),
        ({"x": X.astype(str), "y": Y}, "inputs must be numbers"),
        ({"x": X, "y": Y[:3]}, r"targets must have shape \(6,\) or \(6, K\), not \(3,\)"),
        ({"x": X, "y": Y[:, None, None]}, r"not \(6, 1, 1\)"),
        ({"x": X * np.nan, "y": Y}, "every input must be finite, and row 0 is not"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :1], "y_test": Y},
            "training and test part must agree in their inputs, not 2 and 1",
        ),
        ({"x": np.array([None]), "y": Y}, "is not an NPZ file that can be read: .*pickle"),
    ],
)
def test_damaged_npz(tmp_path, arrays, error):
    with pytest.raises(ValueError, match=error):
        read_table(npz(tmp_path, **arrays))


def test_truncated_npz(tmp_path):
    data = npz(tmp_path, x=X, y=Y).read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[:-30])
    with pytest.raises(ValueError, match=r"cut\.npz is not an NPZ file that can be read: "):
        read_table(tmp_path / "cut.npz")


def test_folder_of_idx(tmp_path):
    images = np.arange(4 * 6).reshape(4, 2, 3)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images, 8))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(4), 8)))
    table = read_table(tmp_path)
    assert (table.x.shape, table.x.dtype, table.y.tolist()) == ((4, 6), np.uint8, [0, 1, 2, 3])
    assert table.x_test is None
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images[:1], 8))
    table = read_table(tmp_path)
    assert (table.x_test.shape, table.y_test) == ((1, 6), None)
    assert read_inputs(tmp_path).x.shape == (1, 6)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    assert read_inputs(tmp_path).x.shape == (1, 6)


def test_a_folder_with_nothing(tmp_path):
    with pytest.raises(ValueError, match="holds neither train-images-idx3-ubyte nor t10k-images"):
        read_table(tmp_path)


def test_a_target_is_for_csv(tmp_path):
    with pytest.raises(ValueError, match="a target column can be named for a CSV file only"):
        read_table(npz(tmp_path, x=X, y=Y), target="y")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")


def test_mnist(mnist):
    data = prepare(read_table(mnist))
    assert (data.x_train.shape, data.x_test.shape) == ((60000, 784), (10000, 784))
    assert data.classes == tuple("0123456789")
    assert (data.x_train.dtype, data.x_train.max()) == (np.float32, 255)
    assert data.x_scaling.predict(data.x_train).max() == 1
    assert np.bincount(data.y_test).tolist()[:3] == [980, 1135, 1032]


# --- prepare -----------------------------------------------------------------------------------


def test_the_split_is_seeded_and_parts_are_apart():
    table = Table(np.arange(100.0)[:, None], np.arange(100) % 3)
    a, b, c = (prepare(table, test_fraction=0.3, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.x_test, b.x_test)
    assert not np.array_equal(a.x_test, c.x_test)
    both = np.concatenate([a.x_train, a.x_test]).ravel()
    np.testing.assert_array_equal(np.sort(both), np.arange(100))
    assert (len(a.x_train), len(a.x_test)) == (70, 30)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.array(["b", "a"] * 10), ("a", "b")),
        (np.array([7.0, -1.0] * 10), ("-1", "7")),
        (np.array([True, False] * 10), ("False", "True")),
        (np.arange(20) % 11, None),
        (np.arange(20) / 2, None),
        (np.ones((20, 2)), None),
    ],
)
def test_the_task_is_found(y, classes):
    data = prepare(Table(np.ones((20, 1)), y))
    assert data.classes == classes
    assert data.task == ("classification" if classes else "regression")


def test_classes_are_numbered_in_order():
    y = np.array(["b", "a", "c", "a"])
    data = prepare(Table(np.ones((4, 1)), y, np.ones((1, 1)), np.array(["c"])))
    assert data.y_train.tolist() == [1, 0, 2, 0]
    assert data.y_test.tolist() == [2]
    assert data.y_train.dtype == np.int64


@pytest.mark.parametrize(
    ("table", "task", "error"),
    [
        (Table(X, None), "auto", "training and testing need targets, and the data has none"),
        (Table(X, Y, X, None), "auto", "training and testing need targets"),
        (Table(X[:1], Y[:1]), "auto", "need at least one row each, not 0 and 1"),
        (Table(X, np.array(list("abcdef"))), "regression", "a regression needs numbers as targets"),
        (Table(X, Y * 0), "auto", "a classification needs two classes or more, and all are 0"),
        (Table(X, X), "classification", r"classes must have shape \(n,\), not \(6, 2\)"),
        (Table(X, X[:, 0] / 4), "classification", "classes must be text or whole numbers"),
        (Table(X, X + np.inf), "regression", "the targets of a regression must be finite"),
        (Table(X * [1, np.nan], X), "auto", "x must be finite; got nan in column 1"),
    ],
)
def test_what_cannot_be_prepared(table, task, error):
    with pytest.raises(ValueError, match=error):
        prepare(table, task)


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_the_test_fraction_has_bounds(share):
    with pytest.raises(ValueError, match=r"the test fraction must be in \(0, 1\), not"):
        prepare(Table(X, Y), test_fraction=share)


def test_bytes_are_divided_by_255_exactly():
    x = np.arange(256, dtype=np.uint8)[:, None]
    data = prepare(Table(x, np.arange(256) % 2, x, np.arange(256) % 2))
    np.testing.assert_array_equal(data.x_train, x)
    scaled = data.x_scaling.predict(data.x_train)
    np.testing.assert_array_equal(scaled, x.astype(np.float32) / np.float32(255))


def test_columns_are_standardized_from_the_training_part():
    x = np.random.default_rng(0).normal(5, 3, (50, 2))
    x[:, 1] = 4
    data = prepare(Table(x, np.arange(50) % 2, 10 * x, np.arange(50) % 2, ("a", "b")))
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
    scaled = data.x_scaling.predict(data.x_train)
    np.testing.assert_allclose(scaled.mean(axis=0), [0, 0], atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 0], atol=1e-6)
    assert data.x_scaling.predict(data.x_test).std() > 5
    assert data.y_scaling is None


def test_small_unnamed_inputs_stay_as_they_are():
    x = np.linspace(-1, 1, 6)[:, None]
    data = prepare(Table(x, Y, x, Y))
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
    assert data.x_scaling is None


def test_targets_are_standardized_from_the_training_part():
    y = np.random.default_rng(0).normal(50, 7, (40, 2))
    data = prepare(Table(y, y, y, 10 * y), "regression")
    np.testing.assert_array_equal(data.y_test, 10 * y)
    np.testing.assert_array_equal(data.y_scaling.mean, mk.Standardize.of(y).mean)
    np.testing.assert_allclose(data.y_scaling.predict(data.y_train).std(axis=0), 1)


@pytest.mark.parametrize(
    ("x", "y", "dtype"),
    [
        (1e6 + np.arange(20.0), np.arange(20) / 2, np.float32),
        (1e6 + np.arange(20) / 1000, np.arange(20) / 2, np.float64),  # 1/16 apart in float32
        (np.arange(20.0), 1.7e9 + np.arange(20) / 2, np.float64),
        (1e300 * np.arange(20.0), np.arange(20) / 2, np.float64),
        (10**9 + np.arange(20), np.arange(20) / 2, np.float64),
    ],
)
def test_float32_must_keep_what_columns_differ_by(x, y, dtype):
    data = prepare(Table(x[:, None], y), "regression")
    assert data.x_train.dtype == data.x_test.dtype == dtype
