import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from skneg import CLIPImageEncoder, KNNDetector, ScoreEnsemble
from skneg.datasets import make_scenes
from skneg.errors import ImageError, InputError, InputTypeError
from skneg.monitoring import DriftMonitor

from ..conftest import KNOWN, STRANGE


@pytest.fixture(scope="module")
def detector(embedded):
    return KNNDetector().fit(*embedded)


@pytest.fixture(scope="module")
def streams():
    encode = CLIPImageEncoder(model="skneg-tiny").transform
    known = encode(make_scenes(300, shapes=KNOWN, random_state=7)[0])
    return known, encode(make_scenes(60, shapes=STRANGE, random_state=8)[0])


def test_known_images_make_no_alarm_and_others_do(detector, streams):
    known, strange = streams
    monitor = DriftMonitor(detector).update(known)
    assert monitor.alarm_ is None
    np.testing.assert_array_equal(monitor.scores_, detector.score_samples(known))
    np.testing.assert_array_equal(monitor.decisions_, detector.decision_function(known))
    alarm = monitor.update(strange).alarm_
    assert 295 <= alarm.since <= alarm.row < 330
    assert monitor.log_evidence_[alarm.row] >= np.log(100) > monitor.log_evidence_[: alarm.row].max()
    assert (monitor.decisions_[alarm.rows] < 0).all()
    assert (np.diff(monitor.scores_[alarm.rows]) >= 0).all()
    assert alarm.items == [None] * len(alarm.rows)
    assert monitor.update(known[:5]).alarm_ is alarm
    assert monitor.reset().alarm_ is None
    assert len(monitor.scores_) == 0


def test_the_images_that_made_the_alarm_are_named(detector, streams):
    scores = detector.score_samples(np.concatenate(streams))
    names = [f"{row}.png" for row in range(len(scores))]
    alarm = DriftMonitor(detector).update_scores(scores, names).alarm_
    assert alarm.items == [names[row] for row in alarm.rows]


def test_images_in_files_are_called_by_their_paths(scenes, tmp_path):
    detector = KNNDetector(model="skneg-tiny").fit(*scenes)
    paths = [tmp_path / f"{row}.png" for row in range(30)]
    for path, pixels in zip(paths, make_scenes(30, shapes=STRANGE, random_state=8)[0], strict=True):
        Image.fromarray(pixels).save(path)
    paths[3].write_bytes(b"no image")
    monitor = DriftMonitor(detector, false_alarm=0.1)
    with pytest.raises(ImageError, match="image 3 "):
        monitor.update(paths)
    assert len(monitor.scores_) == 0
    alarm = monitor.update(pd.DataFrame({"path": map(str, paths)}), on_error="skip").alarm_
    assert len(monitor.scores_) == 29
    names = [str(path) for path in paths if path != paths[3]]
    assert alarm.items == [names[row] for row in alarm.rows]


def test_what_streams_take_is_taken(detector, streams, scenes):
    expected = DriftMonitor(detector).update(streams[1])
    for X in (pd.DataFrame(streams[1]), iter(streams[1]), streams[1].astype(np.float64)):
        found = DriftMonitor(detector).update(X)
        np.testing.assert_allclose(found.scores_, expected.scores_, rtol=1e-5)
    model = make_pipeline(CLIPImageEncoder(model="skneg-tiny"), KNNDetector()).fit(*scenes)
    monitor = DriftMonitor(model).update(scenes[0][:9])
    np.testing.assert_allclose(monitor.decisions_, model.decision_function(scenes[0][:9]), atol=1e-5)


def test_what_is_no_fitted_detector_is_named(detector):
    with pytest.raises(NotFittedError):
        DriftMonitor(KNNDetector())
    for wrong in (5, None, ScoreEnsemble([detector])):
        with pytest.raises(InputTypeError):
            DriftMonitor(wrong)


def test_a_new_threshold_acts_after_a_reset(embedded, streams):
    detector = KNNDetector().fit(*embedded)
    monitor = DriftMonitor(detector).update(streams[0])
    before = monitor.share_rejected()
    detector.set_params(contamination=0.3).calibrate()
    assert monitor.share_rejected() == before
    assert monitor.reset().update(streams[0]).share_rejected()[0] > before[0]


def test_one_image_at_a_time_is_the_same(detector, streams):
    scores = detector.score_samples(streams[1])
    whole, single = DriftMonitor(detector).update_scores(scores), DriftMonitor(detector)
    for score in scores:
        single.update_scores([score])
    np.testing.assert_array_equal(single.log_evidence_, whole.log_evidence_)
    assert single.alarm_.row == whole.alarm_.row


@pytest.mark.parametrize("n", [0, 1, 20])
def test_the_share_of_rejected_images_has_an_exact_interval(n, detector, streams):
    monitor = DriftMonitor(detector)
    if n:
        monitor.update(streams[1][:n])
    share, low, high = monitor.share_rejected(confidence=0.9)
    if n == 0:
        assert np.isnan(share)
        assert (low, high) == (0, 1)
        return
    k = int((monitor.decisions_ < 0).sum())
    interval = binomtest(k, n).proportion_ci(0.9)
    np.testing.assert_allclose((share, low, high), (k / n, interval.low, interval.high))
    assert monitor.update(streams[0][:50]).share_rejected(last=50)[0] < 0.3


def test_tables_for_people_and_for_prometheus(detector, streams):
    monitor = DriftMonitor(detector).update(streams[1])
    frame = monitor.to_frame()
    assert frame.columns.tolist() == ["score", "rejected", "p_value", "log_evidence"]
    assert len(frame) == 60
    lines = monitor.to_prometheus("mine").splitlines()
    assert "mine_images_total 60" in lines
    assert f"mine_rejected_total {frame.rejected.sum()}" in lines
    assert "mine_drift_alarm 1" in lines
    assert "# TYPE mine_rejected_total counter" in lines
    assert f"mine_drift_log_evidence {monitor.log_evidence_[-1]}" in lines
    share, low, high = monitor.share_rejected(last=20)
    lines = monitor.to_prometheus(last=20).splitlines()
    for name, value in (("", share), ("_low", low), ("_high", high)):
        assert f"skneg_rejected_share{name} {value}" in lines


@pytest.mark.parametrize("n", [0, 60])
def test_the_text_is_in_the_format_of_prometheus(n, detector, streams):
    """Each figure: one HELP and one TYPE before one value, as the exposition format 0.0.4 says."""
    text = DriftMonitor(detector).update_scores(detector.score_samples(streams[1])[:n]).to_prometheus("a:b")
    assert text.endswith("\n")
    lines = text.splitlines()
    assert len(lines) == 21
    for help_line, type_line, value_line in zip(*[iter(lines)] * 3, strict=True):
        name = re.fullmatch(r"# HELP (a:b_[a-z_]+) [^\\\n]+", help_line).group(1)
        kind = re.fullmatch(rf"# TYPE {name} (counter|gauge)", type_line).group(1)
        assert (kind == "counter") == name.endswith("_total")
        value = re.fullmatch(rf"{name} (-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?|NaN|[+-]Inf)", value_line).group(1)
        assert float(value) >= 0 or kind == "gauge"
    assert ("a:b_rejected_share NaN" in lines) == (n == 0)
    for prefix, error in (("7up", InputError), ("a b", InputError), ("", InputError), (5, InputTypeError)):
        with pytest.raises(error, match="prefix"):
            DriftMonitor(detector).to_prometheus(prefix)


def test_a_fifth_of_unknown_images_gives_an_alarm_and_clean_streams_hardly_ever_do():
    rng = np.random.default_rng(0)

    def drawn(n, axis):
        return rng.normal(size=(n, 8)) * 0.3 + np.eye(8)[axis]

    detector = KNNDetector().fit(drawn(100, 0), ["known"] * 100)
    monitor = DriftMonitor(detector, false_alarm=0.05)
    false = 0
    for _ in range(200):  # the promise is about the images that set the threshold and the stream together
        detector.calibrate(drawn(100, 0), ["known"] * 100)
        false += monitor.reset().update_scores(detector.score_samples(drawn(100, 0))).alarm_ is not None
    assert false <= 0.05 * 200
    detector.calibrate(drawn(500, 0), ["known"] * 500)
    for seed in range(20):
        mixed = np.concatenate([drawn(240, 0), drawn(60, 1)])
        monitor = DriftMonitor(detector, random_state=seed)
        assert monitor.update_scores(detector.score_samples(rng.permutation(mixed))).alarm_ is not None


def test_many_threads_lose_no_image(detector, streams):
    monitor = DriftMonitor(detector)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: monitor.update(streams[0][row : row + 1]).to_prometheus(), range(300)))
    assert len(monitor.scores_) == len(monitor.p_values_) == 300


def test_a_copy_goes_on_where_it_was(detector, streams):
    monitor = DriftMonitor(detector).update(streams[0])
    for again in (copy.deepcopy(monitor), pickle.loads(pickle.dumps(monitor))):
        again.update(streams[1])
        assert len(monitor.scores_) == 300
        np.testing.assert_array_equal(
            again.log_evidence_, copy.deepcopy(monitor).update(streams[1]).log_evidence_
        )


def test_wrong_input_changes_nothing(detector, streams):
    for wrong in (0, 1, np.nan, "x"):
        with pytest.raises(InputError, match="false_alarm"):
            DriftMonitor(detector, false_alarm=wrong)
    monitor = DriftMonitor(detector).update(streams[0])
    with pytest.raises(InputError):
        monitor.update(streams[0][:, :5])
    with pytest.raises(InputError, match="2 items"):
        monitor.update_scores([0.5], ["a", "b"])
    for name, value in {"confidence": 2, "last": 0}.items():
        with pytest.raises(InputError, match=name):
            monitor.share_rejected(**{name: value})
    assert len(monitor.scores_) == len(monitor.log_evidence_) == 300
