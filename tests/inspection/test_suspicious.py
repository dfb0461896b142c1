import numpy as np
import pytest

from skneg import CLIPImageEncoder, KNNDetector, NegPromptDetector, ODINDetector
from skneg.datasets import make_scenes
from skneg.errors import InputError, InputTypeError
from skneg.inspection import suspicious_labels
from skneg.inspection._copies import Nearest
from skneg.inspection._suspicious import _of_no_class, _pairs, _wrong


def clouds(n=120, k=3, d=40, seed=0):
    """Embeddings of k classes that lie apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    Z = np.eye(k, d)[y] * 3 + rng.normal(scale=0.3, size=(n, d))
    return (Z / np.linalg.norm(Z, axis=1, keepdims=True)).astype(np.float32), y


@pytest.fixture(scope="module")
def found():
    Z, y = clouds()
    y = y.copy()
    y[[3, 50, 91]] = [1, 0, 2]  # truths: 0, 2, 1
    Z[60] = Z[61]  # truths 0 and 1
    Z[7] = Z[4]  # one class
    return suspicious_labels(Z, np.array(["a", "b", "c"])[y], random_state=0), Z, y


def test_wrong_labels_are_listed_with_the_likely_class(found):
    table, _, _ = found
    labels = table.kind == "label"
    assert {3, 50, 91} <= set(table.row[labels]) <= {3, 50, 91, 60}
    likely = dict(zip(table.row[labels], table.likely_label[labels], strict=True))
    assert [likely[row] for row in (3, 50, 91)] == ["a", "c", "b"]
    assert (table.label == np.array(["a", "b", "c"])[found[2]][table.row]).all()
    assert set(np.argsort(table.right)[:4]) == {3, 50, 91, 60}
    assert (np.diff(table.chance) >= 0).all()


def test_copies_with_two_labels_are_a_pair_once(found):
    table, Z, y = found
    rows = np.flatnonzero(table.kind == "copy")
    assert len(rows) == 1
    assert (table.row[rows[0]], table.other[rows[0]]) == (60, 61)
    assert table.chance[rows[0]] < 0.5
    assert table.cosine[rows[0]] == pytest.approx(1, abs=1e-5)
    assert (table.other[table.kind != "copy"] == -1).all()
    for copies, pairs in (("all", {(60, 61), (4, 7)}), ("none", set())):
        again = suspicious_labels(Z, y, copies=copies)
        is_copy = again.kind == "copy"
        listed = {tuple(sorted(p)) for p in zip(again.row[is_copy], again.other[is_copy], strict=True)}
        assert listed == pairs


def test_the_same_seed_gives_the_same_bits_and_names_are_numbers(found):
    table, Z, y = found
    again = suspicious_labels(Z, y, random_state=0)
    np.testing.assert_array_equal(again.right, table.right)
    np.testing.assert_array_equal(again.p_value, table.p_value)
    np.testing.assert_array_equal(again.row, table.row)
    assert (suspicious_labels(Z, y, random_state=1).right != table.right).any()


def test_images_of_no_class_have_the_smallest_p_values():
    Z, y = clouds(300)
    Z[[10, 200]] = np.eye(1, 40, 30, dtype=np.float32)[0]
    Z[200, 31:] += 0.05
    table = suspicious_labels(Z, y, outliers=0.02, copies="none", min_cosine=0.9999)
    assert set(np.argsort(table.p_value, kind="stable")[:2]) == {10, 200}
    outliers = table.kind == "outlier"
    assert {10, 200} <= set(table.row[outliers])
    assert outliers.sum() <= 0.06 * 300
    assert (table.chance[outliers] <= 0.02).all()


def test_clean_labels_are_hardly_ever_listed():
    for seed in range(3):
        table = suspicious_labels(*clouds(seed=seed), random_state=seed)
        assert (table.kind == "label").sum() == 0
        assert (table.right > 0.5).all()


def test_images_are_encoded_by_the_detector_and_shown():
    X, y = make_scenes(60, shapes=["star", "heart", "key"], noise=0, random_state=0)
    y[5] = "key" if y[5] != "key" else "star"
    detector = KNNDetector(model="skneg-tiny")
    table = suspicious_labels(X, y, detector)
    Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
    np.testing.assert_allclose(table.right, suspicious_labels(Z, y, KNNDetector()).right, atol=1e-4)
    assert table.row[0] == 5
    assert table.pictures()[0].startswith("data:image/jpeg")
    assert not hasattr(detector, "classes_")


def test_class_names_are_read_where_the_detector_reads_them(scenes):
    from skneg import MCMDetector

    X, y = scenes
    Z = CLIPImageEncoder(model="skneg-tiny").transform(X)
    classes, numbers = np.unique(y, return_inverse=True)
    by_label = suspicious_labels(Z, y, MCMDetector(model="skneg-tiny"))
    named = suspicious_labels(Z, numbers, MCMDetector(model="skneg-tiny"), class_names=classes.tolist())
    np.testing.assert_allclose(named.right, by_label.right)
    turned = suspicious_labels(
        Z, numbers, MCMDetector(model="skneg-tiny"), class_names=np.roll(classes, 1).tolist()
    )
    assert (turned.right != named.right).any()


def test_groups_do_not_judge_their_own():
    # Half of the images of class 0 are one film whose labels are all wrong: they vouch for each other.
    Z, y = clouds(90)
    film = np.flatnonzero(y == 1)[:12]
    labels = y.copy()
    labels[film] = 0
    rng = np.random.default_rng(0)
    Z[film] = Z[film[0]] + rng.normal(scale=0.05, size=(12, 40))
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    groups = np.arange(90)
    groups[film] = 1000
    alone, together = (suspicious_labels(Z, labels, groups=g, min_cosine=0.9999) for g in (None, groups))
    assert np.median(together.right[film]) < 0.1 < np.median(alone.right[film])


def test_what_cannot_be_judged_is_said():
    Z, y = clouds(30)
    y = y.copy()
    y[y == 2] = 1
    y[29] = 2  # one image of its class
    table = suspicious_labels(Z, y)
    assert np.flatnonzero(np.isnan(table.right)).tolist() == [29]
    assert "the labels of 1 cannot be judged" in str(table)
    one_class = suspicious_labels(Z, ["good"] * 30)
    assert np.isnan(one_class.right).all()
    assert np.isfinite(one_class.p_value).all()
    two = suspicious_labels(Z[:4], [0, 1, 2, 0])
    assert np.isfinite(two.right).tolist() == [True, False, False, True]
    single = suspicious_labels(Z[:1], ["good"])
    assert len(single) == 0
    assert np.isnan(single.p_value).all()


def test_unknown_images_are_left_out():
    Z, y = clouds(60)
    y = y.copy()
    y[[2, 3]] = -1
    table = suspicious_labels(Z, y)
    assert np.isnan(table.right[[2, 3]]).all()
    rest = np.setdiff1d(np.arange(60), [2, 3])
    np.testing.assert_array_equal(table.right[rest], suspicious_labels(Z[rest], y[rest]).right)
    y[40] = (y[40] + 1) % 3
    assert 40 in suspicious_labels(Z, y).row


def test_as_many_are_listed_as_the_rate_allows():
    right, likely = np.array([0.3, 0.01, np.nan, 0.05, 0.9]), np.zeros(5, dtype=int)
    assert [row for row, *_ in _wrong(right, likely, 0.12)] == [1, 3, 0]  # means .01, .03, .12
    assert [row for row, *_ in _wrong(right, likely, 0.11)] == [1, 3]
    assert [row for row, *_ in _of_no_class(right, likely, 0.05)] == [1, 3]


def test_the_less_likely_of_two_copies_is_named():
    near = Nearest(np.array([[-1, 1], [-1, 0]]), np.array([[-np.inf, 1.0], [-np.inf, 1.0]]), 0.9)
    (pair,) = _pairs(np.array([0.8, 0.2]), np.array([0, 1]), near, "other classes")
    assert pair[0] == 1
    assert pair[1] == pytest.approx(0.2 * 0.2 / (0.2 * 0.2 + 0.8 * 0.8))
    assert pair[2:] == ("copy", 0, 0, 1.0)
    (pair,) = _pairs(np.array([np.nan, 0.2]), np.array([0, 1]), near, "other classes")
    assert pair[1] == 0.5


@pytest.mark.parametrize("name", ["fdr", "alike", "outliers", "min_cosine"])
def test_numbers_out_of_range_are_refused(name):
    with pytest.raises(InputError, match=f"{name} must lie between"):
        suspicious_labels(*clouds(12), **{name: 1.5})


def test_other_bad_input_is_refused():
    Z, y = clouds(12)
    with pytest.raises(InputError, match="copies must be"):
        suspicious_labels(Z, y, copies="some")
    with pytest.raises(InputError, match="different lengths: 12 images, 11 labels"):
        suspicious_labels(Z, y[:11])
    with pytest.raises(InputError, match="groups have different lengths|X and groups"):
        suspicious_labels(Z, y, groups=[1])
    with pytest.raises(InputError, match="no known class"):
        suspicious_labels(Z, [-1] * 12)
    with pytest.raises(InputTypeError, match="ODINDetector cannot"):
        suspicious_labels(Z, y, ODINDetector())
    with pytest.raises(InputError, match="row 4"):
        suspicious_labels(np.where(np.arange(12)[:, None] == 4, np.nan, Z), y)
    with pytest.raises(InputError, match="no images"):
        suspicious_labels(Z[:0], [])
    with pytest.raises(InputTypeError, match="one detector"):
        suspicious_labels(Z, y, "knn")


def test_the_detector_is_not_changed():
    Z, y = clouds(60)
    detector = NegPromptDetector(evidence="images", random_state=3).fit(Z, y)
    before = detector.score_samples(Z)
    suspicious_labels(Z, y, detector)
    np.testing.assert_array_equal(detector.score_samples(Z), before)
