"""Labels that mean unknown, copies of images, embeddings from elsewhere."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import BaggingClassifier

from skneg import CLIPImageEncoder, InputWarning, KNNDetector, MahalanobisDetector, MCMDetector
from skneg._doubts import copies, warn_of_unknown_labels, with_copies

from .conftest import KNOWN, random_unit

SORTED = sorted(KNOWN)


class TestLabelsThatMeanUnknown:
    def test_a_name_may_say_what_it_is(self, embedded):
        X, y = embedded
        y = np.where(y == "star", "other", y.astype(object))
        MCMDetector(
            model="skneg-tiny", class_names={name: name for name in set(KNOWN) - {"star"}} | {"other": "star"}
        ).fit(X, y)

    # A class for what is of no class: https://github.com/BVLC/caffe/issues/906 ("background"),
    # https://github.com/RockyXu66/Faster_RCNN_for_Open_Images_Dataset_Keras/issues/35 ("bg").
    @pytest.mark.parametrize(
        "label",
        [
            "-1",
            "-1.0",
            "Unknown",
            "unknown ",
            "ood",
            "other",
            "background",
            "None",
            "N/A",
            "BACKGROUND_Google",
            "out_of_distribution",
            "<unk>",
            "[unknown]",
            "ood_near",
            "other class",
            "no label",
            "void",
            "bg",
        ],
    )
    def test_of_strings(self, label, embedded):
        X, y = embedded
        y = np.where(np.arange(len(y)) % 10 == 0, label, y.astype(object))
        with pytest.warns(
            InputWarning, match=f"label {re.escape(repr(label))} is a class to learn.*label them 'unknown'"
        ):
            KNNDetector(random_state=0).fit(X, y)
        KNNDetector(random_state=0, unknown_label=label).fit(X, y)

    def test_cut_by_short_strings(self, embedded):  # https://github.com/numpy/numpy/issues/13418
        X, _ = embedded
        y = np.array(["heart", "stars"])[np.arange(len(X)) % 2]
        y[:10] = "unknown"
        assert y[0] == "unkno"
        with pytest.warns(InputWarning, match="'unkno' looks like unknown_label='unknown', cut"):
            KNNDetector(random_state=0).fit(X, y)

    def test_of_numbers_and_names(self, embedded):
        X, y = embedded
        numbers = np.searchsorted(SORTED, y)
        with pytest.warns(InputWarning, match="label 5, called 'unknown',"):
            MCMDetector(model="skneg-tiny").fit(X, numbers, [*SORTED[:5], "unknown"])
        with pytest.warns(InputWarning, match="label -1 is a class|label -1, called '-1',"):
            KNNDetector(random_state=0, unknown_label=9).fit(X, numbers - 1)

    def test_below_what_numbers_the_labels(self, embedded):
        X, y = embedded
        y = np.where(np.arange(len(y)) < 5, "Other", y.astype(object))
        with pytest.warns(InputWarning, match="label 'Other' is a class to learn"):
            BaggingClassifier(KNNDetector(random_state=0), n_estimators=1).fit(X, y)

    def test_in_new_vocabularies(self, embedded):
        detector = MCMDetector(model="skneg-tiny").fit(*embedded)
        with pytest.warns(InputWarning, match="'others'"):
            detector.set_vocabulary(["star", "others"])

    def test_labels_that_differ_in_blanks_or_case(self, embedded):
        X, y = embedded
        y = np.where((y == "star") & (np.arange(len(y)) % 2 == 0), "Star ", y.astype(object))
        with pytest.warns(InputWarning, match="'Star ' and 'star' differ in case, blanks"):
            KNNDetector(random_state=0).fit(X, y)

    @settings(max_examples=50, deadline=None)
    @given(st.sampled_from(["unknown", "ood", "other", "none", "background", "-1"]), st.data())
    def test_in_any_dress(self, word, data):
        dressed = "".join(data.draw(st.sampled_from([c, c.upper()])) for c in word)
        dressed = (
            data.draw(st.sampled_from(["", " ", "\t"]))
            + dressed
            + data.draw(st.sampled_from(["", " ", "\n"]))
        )
        labels = np.array([dressed, "star"])
        if dressed == "unknown":
            return
        with pytest.warns(InputWarning, match="is a class to learn"):
            warn_of_unknown_labels(labels, labels.tolist(), "unknown")

    def test_plain_labels_are_silent(self):
        names = ["nonesuch", "another", "mother", "ground", "unknowing", "1", "-10"]
        warn_of_unknown_labels(np.array(names), names, "unknown")


class TestCopies:
    """Copies within a set: https://github.com/zalandoresearch/fashion-mnist/issues/44."""

    def test_found_up_to_rounding_among_many(self):
        rng = np.random.default_rng(0)
        Z = random_unit(rng, 3000, 32).astype(np.float32)
        Z = np.concatenate([Z, Z[:50], Z[:20] + 1e-7]).astype(np.float32)
        jittered = np.repeat(Z[:300], 5, axis=0) + rng.normal(scale=3e-7, size=(1500, 32)).astype(np.float32)
        assert len(np.unique(copies(jittered))) == 300
        number = copies(Z)
        np.testing.assert_array_equal(number[:50], number[3000:3050])
        np.testing.assert_array_equal(number[:20], number[3050:])
        assert len(np.unique(number)) == 3000
        assert copies(Z[:3000]) is None

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 5), min_size=2, max_size=40))
    def test_any_numbers_of_copies(self, rows):
        Z = random_unit(np.random.default_rng(1), 6, 32).astype(np.float32)[rows]
        number = copies(Z)
        number = np.arange(len(rows)) if number is None else number
        same = number[:, None] == number[None]
        np.testing.assert_array_equal(same, np.array(rows)[:, None] == np.array(rows)[None])

    def test_they_join_the_groups_that_are_known(self):
        Z = random_unit(np.random.default_rng(2), 4, 32).astype(np.float32)[[0, 1, 2, 0, 3]]
        groups = with_copies(np.array([7, 7, 8, 8, 9]), Z, None, np.arange(5))
        assert groups[0] == groups[1] == groups[2] == groups[3] != groups[4]

    @pytest.mark.parametrize("calibration", ["cross", 0.3])
    @pytest.mark.parametrize("cls", [KNNDetector, MahalanobisDetector])
    def test_rows_twice_do_not_make_the_threshold_strict(self, cls, calibration, embedded):
        X, y = embedded
        train = np.arange(len(y)) % 2 == 0
        detector = cls(contamination=0.1, calibration=calibration, random_state=0)
        once = detector.fit(X[train], y[train]).decision_function(X[~train]) < 0
        twice = detector.fit(X[train].repeat(2, 0), y[train].repeat(2)).decision_function(X[~train]) < 0
        assert twice.mean() <= once.mean() + 0.1

    def test_one_image_with_two_labels(self, embedded):
        X, y = embedded
        other = "heart" if y[3] != "heart" else "star"
        with pytest.warns(
            InputWarning, match=f"rows 3 and 120 are the same image, with labels {y[3]} and {other}"
        ):
            KNNDetector(random_state=0).fit(np.concatenate([X, X[3:4]]), [*y, other])


class TestSeenImages:
    def test_added_again(self, embedded):
        X, y = embedded
        detector = KNNDetector(random_state=0).fit(X[:100], y[:100])
        with pytest.warns(
            InputWarning, match="5 images of X, row 20 first, are there already: they count twice"
        ):
            detector.add_images(np.concatenate([X[100:], X[:5]]), [*y[100:], *y[:5]])

    def test_calibrated_with_images_of_fit(self, embedded):
        X, y = embedded
        detector = KNNDetector(random_state=0).fit(X, y)
        with pytest.warns(
            InputWarning, match="120 images of X, row 0 first.*learned from.*Calibrate with others"
        ):
            detector.calibrate(X, y)
        MCMDetector(model="skneg-tiny").fit(X, y).calibrate(X, y)  # it learns nothing

    def test_those_it_was_calibrated_with_may_come_again(self, embedded):
        X, y = embedded
        detector = MahalanobisDetector(random_state=0).fit(X[:60], y[:60]).calibrate(X[60:], y[60:])
        detector.set_params(contamination=0.2).calibrate(X[60:], y[60:])
        with pytest.warns(InputWarning, match="60 images of X"):
            detector.calibrate(X[:60], y[:60])

    def test_labels_that_the_detector_does_not_see(self, embedded):
        X, y = embedded
        numbers = np.searchsorted(SORTED, y)
        detector = KNNDetector(random_state=0).fit(X[:60], numbers[:60])
        with pytest.warns(
            InputWarning, match="labels of X and the detector's answers agree on 0%.*Check the labels"
        ):
            detector.add_images(X[60:], (numbers[60:] + 1) % 6)

    def test_copies_among_the_new_ones_count_once(self, embedded):
        X, y = embedded
        detector = (
            KNNDetector(random_state=0).fit(X[:60], y[:60]).calibrate(X[60:].repeat(2, 0), y[60:].repeat(2))
        )
        assert len(detector.calibration_scores_) == 60


class TestFarRows:
    def test_scaled_embeddings(self, embedded):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X, y)
        with pytest.warns(InputWarning, match="X lies far from the embeddings of `fit`.*scaled"):
            detector.predict((X - X.mean(axis=0)) / X.std(axis=0))

    def test_those_of_another_model(self, embedded):
        X, y = embedded
        other = random_unit(np.random.default_rng(0), 400, X.shape[1])
        detector = KNNDetector(random_state=0).fit(X, y)
        with pytest.warns(InputWarning, match="same model"):
            detector.decision_function(other)

    def test_strange_images_are_no_other_model(self, embedded, strange_scenes):
        X, y = embedded
        one = KNNDetector(random_state=0).fit(X[y == "star"], y[y == "star"])
        one.predict(CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes))

    def test_unknown_images_and_single_rows_are_silent(self, embedded, strange_scenes):
        X, y = embedded
        detector = MCMDetector(model="skneg-tiny").fit(X, y)
        detector.predict(CLIPImageEncoder(model="skneg-tiny").transform(strange_scenes))
        detector.predict(-X[:1])
        KNNDetector(random_state=0).fit(X - X.mean(axis=0), y).predict(X[:, ::-1])  # no direction to leave
