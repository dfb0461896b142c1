"""Numbers of every kind, in every container: each detector answers as to plain float32, or refuses them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import skneg
from skneg.errors import SknegError, SknegWarning

from ..test_common import LOCAL, NAMES
from ._tiny import PIXEL_READERS, SHAPES, tiny_detector, tiny_fitted, tiny_input, tiny_scenes

ON_EMBEDDINGS = [name for name in NAMES if name not in PIXEL_READERS]
METHODS = ("score_samples", "decision_function", "predict_proba", "p_values", "predict", "predict_set")
# What holds embeddings of images only; those of patches are one array of numpy.
TABLES = {
    "table",
    "nullable table",
    "tensor",
    "tensor with gradient",
    "tensor of bfloat16",
    "strided tensor",
    "lists",
}


def strided(X):
    wide = np.zeros((2 * len(X), *X.shape[1:]), X.dtype)
    wide[::2] = X
    return wide[::2]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mapped(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


# The same numbers; what is rounded is compared with the rounded.
RIGHT = {
    "float64": lambda X, _: X.astype(np.float64),
    "longdouble": lambda X, _: X.astype(np.longdouble),
    "other byte order": lambda X, _: X.astype(">f4"),
    "float64 of the other byte order": lambda X, _: X.astype(">f8"),
    "columns first": lambda X, _: np.asfortranarray(X),
    "strided": lambda X, _: strided(X),
    "backwards": lambda X, _: X[::-1].copy()[::-1],
    "read only": lambda X, _: read_only(X),
    "mapped": mapped,
    "no mask": lambda X, _: np.ma.array(X),
    "huge": lambda X, _: X.astype(np.float64) * 1e300,
    "tiny": lambda X, _: X.astype(np.float64) * 1e-300,
    "table": lambda X, _: pd.DataFrame(X),
    "nullable table": lambda X, _: pd.DataFrame(X).astype("Float32"),
    "tensor": lambda X, _: torch.from_numpy(X.copy()),
    "tensor with gradient": lambda X, _: torch.from_numpy(X.copy()).requires_grad_(),
    "strided tensor": lambda X, _: torch.from_numpy(X.T.copy()).T,
    "lists": lambda X, _: X.tolist(),
}  # fmt: skip
ROUNDED = {
    "float16": (lambda X: X.astype(np.float16), lambda X: X.astype(np.float16).astype(np.float32)),
    "huge float32": (lambda X: X * np.float32(1e37), lambda X: (X * np.float32(1e37)).astype(float) / 1e37),
    "denormal": (lambda X: X.astype(np.float64) * 1e-310, lambda X: (X.astype(np.float64) * 1e-310) * 1e300),
    "denormal float32": (lambda X: X * np.float32(1e-40), lambda X: (X * np.float32(1e-40)).astype(float)),
    "tensor of bfloat16": (
        lambda X: torch.from_numpy(X).to(torch.bfloat16),
        lambda X: torch.from_numpy(X).to(torch.bfloat16).float().numpy(),
    ),
}  # fmt: skip


def with_value(X, value):
    X = X.copy()
    X.reshape(len(X), -1)[2, 3] = value
    return X


def with_zeros(X):
    X = X.copy()
    X[2] = 0
    return X


def overflown(X):
    with np.errstate(over="ignore"):
        return (X * 1e6).astype(np.float16)


def table(X):
    return pd.DataFrame(X.reshape(len(X), -1))


def answered(call, *args):
    """What a call gives, or None where it ends with a typed error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)
        try:
            return call(*args)
        except SknegError:
            return None


def refused(call, *args):
    return answered(lambda: (call(*args),)) is None


REFUSED = {
    "NaN": lambda X: with_value(X, np.nan),
    "inf": lambda X: with_value(X, np.inf),
    "-inf": lambda X: with_value(X, -np.inf),
    "overflow": overflown,
    "zeros": with_zeros,
    "masked": lambda X: np.ma.array(X, mask=with_value(np.zeros(X.shape), 1)),
    "sparse": lambda X: scipy.sparse.csr_array(X.reshape(len(X), -1)),
    "sparse matrix": lambda X: scipy.sparse.coo_matrix(X.reshape(len(X), -1)),
    "complex": lambda X: X.astype(complex),
    "bool": lambda X: X > 0,
    "int64": lambda X: (X * 1000).astype(int),
    "uint8": lambda X: (X * 200).astype(np.uint8),
    "objects": lambda X: X.astype(object),
    "texts": lambda X: X.astype(str),
    "dates": lambda X: X.astype(int).astype("datetime64[s]"),
    "record": lambda X: X.view([("a", "f4")]),
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "one row as a vector": lambda X: X[0],
    "other width": lambda X: X[..., :-1],
    "deeper": lambda X: X[None, None],
    "missing in a table": lambda X: table(X).astype("Float32").replace(X.flat[3], pd.NA),
    "table of ints": lambda X: table(X * 1000).astype(int),
    "tensor without data": lambda X: torch.from_numpy(X).to("meta"),
    "tensor of ints": lambda X: torch.from_numpy(X).long(),
    "complex tensor": lambda X: torch.from_numpy(X).to(torch.complex64),
    "sparse tensor": lambda X: torch.from_numpy(X).to_sparse(),
    "tensor with NaN": lambda X: torch.from_numpy(with_value(X, np.nan)),
    "ragged lists": lambda X: [row.tolist()[: -1 if i else None] for i, row in enumerate(X)],
    "nothing": lambda X: None,
    "number": lambda X: 1.0,
}  # fmt: skip


def answers(detector, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)  # such as of embeddings of another model
        found = {method: getattr(detector, method)(X) for method in METHODS}
        found["explain"] = detector.explain(X).score
        found["stream"] = np.concatenate([table.score for table in detector.predict_stream(X)])
    return found


def assert_alike(found, expected):
    for method, values in found.items():
        assert len(values) == len(expected[method])
        if values.dtype.kind != "f":
            np.testing.assert_array_equal(values, expected[method], err_msg=method)
        else:
            assert np.isfinite(values).all()
            np.testing.assert_allclose(values, expected[method], rtol=1e-3, atol=1e-4, err_msg=method)


@pytest.mark.parametrize("name", ON_EMBEDDINGS)
class TestEmbeddings:
    def test_of_the_same_numbers_are_answered_alike(self, name, tmp_path):
        # Not those of `fit`: their p-values are on the edge.
        X, detector = tiny_input(name, random_state=9)[0][:8], tiny_fitted(name)
        expected = answers(detector, X)
        for kind, make in RIGHT.items():
            if X.ndim == 2 or kind not in TABLES:
                assert_alike(answers(detector, make(X, tmp_path)), expected)
        for kind, (make, plain) in ROUNDED.items():
            if X.ndim == 2 or kind not in TABLES:
                assert_alike(answers(detector, make(X)), answers(detector, plain(X)))
        assert_alike(answers(detector, X[:1]), {method: values[:1] for method, values in expected.items()})

    @pytest.mark.parametrize("kind", REFUSED)
    def test_that_are_none_are_refused(self, name, kind):
        (X, y), detector = tiny_input(name), pickle.loads(pickle.dumps(tiny_fitted(name)))
        state, bad = detector._state, REFUSED[kind](X)
        calls = [
            *(lambda method=method: getattr(detector, method)(bad) for method in (*METHODS, "explain")),
            lambda: detector.calibrate(bad, y),
            lambda: detector.calibrate_unknown(bad, accepted=0.1),
            lambda: detector.add_images(bad, y),
            lambda: detector.set_vocabulary(SHAPES, bad, y),
        ]
        if kind != "no rows":  # a stream may end at once
            calls.append(lambda: list(detector.predict_stream(bad)))
        if kind != "other width" or detector.reads_names:  # else every width is as good
            calls.append(lambda: detector.fit(bad, y))
        for call in calls:
            assert refused(call)
        assert detector._state is state

    def test_are_fitted_alike_whatever_holds_them(self, name, tmp_path):
        X, y = tiny_input(name)
        new = tiny_input(name, random_state=9)[0][:8]
        expected = answers(tiny_fitted(name), new)
        for kind in ("other byte order", "columns first", "read only"):
            detector = tiny_detector(name).fit(RIGHT[kind](X, tmp_path), y)
            assert_alike(answers(detector, new), expected)
        detector = pickle.loads(pickle.dumps(tiny_fitted(name)))
        swapped = pickle.loads(pickle.dumps(detector))
        for one, rows in ((detector, X), (swapped, RIGHT["float64 of the other byte order"](X, tmp_path))):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SknegWarning)  # `fit` has learned from them
                one.calibrate(rows, y).add_images(rows, y).set_vocabulary(list(one.class_names_), rows, y)
        assert_alike(answers(swapped, new), answers(detector, new))


PIXELS = {
    "read only": lambda X, _: read_only(X),
    "strided": lambda X, _: strided(X),
    "backwards": lambda X, _: X[::-1].copy()[::-1],
    "columns first": lambda X, _: np.asfortranarray(X),
    "mapped": mapped,
    "no mask": lambda X, _: np.ma.array(X),
    "tensor": lambda X, _: torch.from_numpy(X.transpose(0, 3, 1, 2).copy()),
    "list": lambda X, _: list(X),
    "list of masked": lambda X, _: [np.ma.array(x) for x in X],
}  # fmt: skip
NO_PIXELS = {
    "masked": lambda X: np.ma.array(X, mask=X.flat[0] == X),
    "list of masked": lambda X: [np.ma.array(x, mask=x == x.flat[0]) for x in X],
    "float": lambda X: X / 255,
    "float16": lambda X: X.astype(np.float16),
    "int64": lambda X: X.astype(int),
    "other byte order": lambda X: X.astype(">u2"),
    "bool": lambda X: X > 100,
    "complex": lambda X: X.astype(complex),
    "objects": lambda X: X.astype(object),
    "no rows": lambda X: X[:0],
    "no pixels": lambda X: X[:, :0],
    "list without pixels": lambda X: list(X[:, :0]),
    "tensor without pixels": lambda X: torch.from_numpy(X[:, :0].transpose(0, 3, 1, 2)),
    "meta": lambda X: torch.from_numpy(X.transpose(0, 3, 1, 2).copy()).to("meta"),
    "float tensor": lambda X: torch.from_numpy(X.transpose(0, 3, 1, 2) / 255.0),
    "NaN tensor": lambda X: torch.full((len(X), 3, 32, 32), torch.nan),
    "bfloat16 tensor": lambda X: torch.from_numpy(X.transpose(0, 3, 1, 2).copy()).to(torch.bfloat16),
}  # fmt: skip


@pytest.mark.parametrize("name", ["MCMDetector", *sorted(PIXEL_READERS | LOCAL)])
def test_pixels(name, tmp_path):
    X, y = tiny_scenes(random_state=9)
    X, y, detector = X[:4], y[:4], pickle.loads(pickle.dumps(tiny_fitted(name)))
    expected, state = answers(detector, X), detector._state
    for make in PIXELS.values():
        assert_alike(answers(detector, make(X, tmp_path)), expected)
    for kind, make in NO_PIXELS.items():
        bad = make(X)
        for call in (
            detector.predict,
            detector.score_samples,
            detector.explain,
            lambda X: detector.fit(X, y),
        ):
            assert refused(call, bad), kind
    assert detector._state is state


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_is_empty_without_its_unknown_rows(name):
    X, y = tiny_input(name)
    y = np.where(y == SHAPES[0], "unknown", y)
    detector = tiny_detector(name).fit(X, y)
    assert detector.classes_.tolist() == SHAPES[1:]
    posterior, scores = detector.predict_proba(X), detector.score_samples(X)
    assert posterior.shape == (len(X), 2)
    assert np.isfinite(posterior).all()
    assert np.isfinite(scores).all()
    with pytest.raises(SknegError, match="no known class"):
        tiny_detector(name).fit(X, np.full(len(X), "unknown"))


@pytest.mark.parametrize("name", NAMES)
def test_one_class_is_answered_or_refused(name):
    X, y = tiny_input(name)
    X, y = X[y == "star"], y[y == "star"]
    detector = tiny_detector(name)
    if not detector.one_class:
        with pytest.raises(SknegError, match="at least 2 classes"):
            detector.fit(X, y)
        return
    detector.fit(X, y)
    np.testing.assert_array_equal(detector.predict_proba(X), np.ones((len(X), 1)))
    assert np.isfinite(detector.score_samples(X)).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_image_of_each_class_is_answered_or_refused(name):
    X, y = tiny_input(name)
    rows = [int(np.argmax(y == shape)) for shape in SHAPES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SknegWarning)  # of so few images, rightly
        try:
            detector = tiny_detector(name).fit(X[rows], y[rows])
        except SknegError:
            return
        found = answers(detector, X)
    assert all(np.isfinite(values).all() for values in found.values() if values.dtype.kind == "f")


def test_text_banks():
    rows = np.random.default_rng(0).normal(size=(3, 8))
    X = np.repeat(rows, 8, axis=0).astype(np.float32)
    expected = (
        skneg.MCMDetector(text_bank=rows.astype(np.float32), class_names=SHAPES).fit(X).score_samples(X)
    )
    for kind, bank in {
        "huge": rows * 1e200,
        "lists": rows.tolist(),
        "other byte order": rows.astype(">f8"),
        "no mask": np.ma.array(rows),
        "tensor": torch.from_numpy(rows.astype(np.float32)).requires_grad_(),
    }.items():
        found = skneg.MCMDetector(text_bank=bank, class_names=SHAPES).fit(X).score_samples(X)
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=kind)
    for bad in (
        np.ma.array(rows, mask=rows == rows[0, 0]),
        rows.astype(complex),
        rows > 0,
        with_value(rows, np.nan),
        with_zeros(rows),
        scipy.sparse.csr_array(rows),
        rows.astype(str),
        torch.ones(3, 8, device="meta"),
        rows[0],
        [[1.0], [1.0, 2.0]],
    ):
        assert refused(skneg.MCMDetector(text_bank=bad, class_names=SHAPES).fit, X)


EXTREME = {
    "score_temperature": [5e-324, 1e-30, np.float16(1e-7), np.float16(6e4), 1e30, 1e308],
    "contamination": [5e-324, np.float16(1e-7), 1e-300, 1 - 1e-16],
    "negative_weight": [0, 1e-300, 1e308],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy, before the error
@pytest.mark.parametrize("name", NAMES)
def test_extreme_parameters_give_finite_answers_or_an_error(name):
    X, _ = tiny_input(name)
    # Pixels are computed with anew each time.
    methods = METHODS[:3] if name in PIXEL_READERS else METHODS
    for parameter in sorted(EXTREME.keys() & tiny_fitted(name).get_params(deep=False)):
        for value in EXTREME[parameter]:
            detector = pickle.loads(pickle.dumps(tiny_fitted(name))).set_params(**{parameter: value})
            state = detector._state
            for prepare in (lambda: None, detector.calibrate):
                if refused(prepare):
                    assert detector._state is state
                    continue
                assert np.isfinite(detector.offset_)
                for method in methods:
                    found = answered(getattr(detector, method), X[:2])
                    assert found is None or found.dtype.kind != "f" or np.isfinite(found).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The number of unique classes")  # of scikit-learn's KNeighborsClassifier
@pytest.mark.parametrize("cls", [skneg.MCMDetector, skneg.KNNDetector, skneg.MahalanobisDetector])
def test_twenty_thousand_classes(cls):
    rng = np.random.default_rng(0)
    names = [f"class {i}" for i in range(20_000)]
    centres = rng.normal(size=(len(names), 64)).astype(np.float32)
    X = np.concatenate([centres, centres + 0.1 * rng.normal(size=centres.shape).astype(np.float32)])
    bank = {"text_bank": centres, "class_names": names} if cls is skneg.MCMDetector else {"random_state": 0}
    detector = cls(**bank).fit(X, None if "text_bank" in bank else np.array(names * 2))
    answered = detector.predict(X[:200])
    assert (answered == names[:200]).mean() > 0.9
    posterior = detector.predict_proba(X[:50])
    assert posterior.shape == (50, len(names))
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-6)
    assert np.isfinite(detector.score_samples(X[:200])).all()
