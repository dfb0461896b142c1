"""Streams: what moves the state, what leaves it alone, and what a file keeps of it."""

import pickle
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import skneg
from skneg import KNNDetector, MCMDetector, ODINDetector, StreamDetector, TextBank, WordsDetector
from skneg.adaptation import AdaNeg, NearestUnknown
from skneg.errors import ImageError, InputError, InputTypeError, PersistenceError, SknegError
from skneg.metrics import auroc
from skneg.persistence import load

KINDS = ["nearest", "tanl", "adaneg", "clipscope"]
D = 16


def around(rng, centres, n, spread=0.25):
    """Unit rows near centres, by turns."""
    Z = centres[np.arange(n) % len(centres)] + spread * rng.normal(size=(n, D))
    return (Z / np.linalg.norm(Z, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def world():
    """Images of three known classes, of two unknown ones, and a text bank for the names and some words."""
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(size=(3, D)), rng.normal(size=(2, D))
    known, unknown = (c / np.linalg.norm(c, axis=1, keepdims=True) for c in (known, unknown))
    # Words: some near the unknown classes, others anywhere.
    words = np.concatenate([around(rng, unknown, 6), around(rng, rng.normal(size=(30, D)), 30)])
    bank = TextBank(around(rng, known, 3, 0.02), words)
    return {
        "train": around(rng, known, 150),
        "y": np.array(list("abc"))[np.arange(150) % 3],
        "known": around(rng, known, 400),
        "unknown": around(rng, unknown, 400, 0.1) * 0.6 + around(rng, known, 400) * 0.8,
        "bank": bank,
    }


def static(world):
    detector = WordsDetector(text_bank=world["bank"], class_names=list("abc"), score_temperature=0.1)
    return detector.fit(world["train"], world["y"])


@pytest.fixture(scope="module")
def mixed(world):
    """A stream of known and unknown images, and which are known."""
    Z = np.concatenate([world["known"][:100], world["unknown"][:100]])
    order = np.random.default_rng(1).permutation(200)
    return Z[order], order < 100


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_leave_the_state_alone_and_streams_move_it(world, mixed, kind):
    stream = StreamDetector(static(world), kind, move_every=16, random_state=0)
    before = stream.score_samples(mixed[0])
    first = stream.state_
    stream.predict(mixed[0])
    stream.p_values(mixed[0])
    np.testing.assert_array_equal(stream.score_samples(mixed[0]), before)
    assert stream.state_.n_seen == first.n_seen == 0
    stream.partial_score(mixed[0])
    assert stream.state_.n_seen == 200
    assert stream.state_.n_moved == 192
    assert stream.state_.order != first.order
    assert not np.array_equal(stream.score_samples(mixed[0]), before)
    np.testing.assert_array_equal(stream.reset().score_samples(mixed[0]), before)
    assert stream.state_.order == first.order


@pytest.mark.parametrize("kind", KINDS)
def test_scores_depend_on_the_order_but_not_on_how_a_stream_is_cut(world, mixed, kind):
    whole, parts, other = (StreamDetector(static(world), kind, random_state=0) for _ in range(3))
    expected = whole.partial_score(mixed[0])
    found = [parts.partial_score(part) for part in np.split(mixed[0], [1, 7, 50, 51, 130])]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-4, atol=1e-5)
    assert parts.state_.order == whole.state_.order
    backwards = other.partial_score(mixed[0][::-1])[::-1]
    assert other.state_.order != whole.state_.order
    assert not np.allclose(backwards, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_mid_stream_goes_on_with_the_same_bits(world, mixed, kind, tmp_path):
    stream = StreamDetector(static(world), kind, random_state=0)
    stream.partial_score(mixed[0][:90])  # not a multiple of move_every: some images wait
    stream.save(tmp_path / "stream.skneg")
    again = skneg.load(tmp_path / "stream.skneg")
    copy = pickle.loads(pickle.dumps(stream))
    assert again.state_.order == stream.state_.order
    rest = stream.partial_score(mixed[0][90:])
    np.testing.assert_array_equal(again.partial_score(mixed[0][90:]), rest)
    np.testing.assert_array_equal(copy.partial_score(mixed[0][90:]), rest)
    np.testing.assert_array_equal(again.predict(mixed[0]), stream.predict(mixed[0]))
    assert again.reset().state_.n_seen == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shown", ["known", "unknown", "one image"])
def test_known_images_are_not_rejected_more_whatever_the_stream_has_shown(world, kind, shown):
    stream = StreamDetector(static(world), kind, random_state=0)
    X = {"known": world["known"][:150], "unknown": world["unknown"][:200]}.get(shown)
    stream.partial_score(np.repeat(world["unknown"][:1], 200, axis=0) if X is None else X)
    rejected = np.mean(stream.predict(world["known"][150:]) == "unknown")
    assert rejected <= 2 * stream.detector_.contamination


def test_views_of_one_image_are_not_its_neighbours(world):
    rng = np.random.default_rng(3)
    views = np.repeat(world["train"], 5, axis=0) + 0.03 * rng.normal(size=(750, D))
    y, groups = np.repeat(world["y"], 5), np.repeat(np.arange(150), 5)
    detector = KNNDetector(n_neighbors=1, random_state=0).fit(views, y, groups=groups)
    np.testing.assert_array_equal(np.sort(detector.calibration_groups_), groups)
    stream = StreamDetector(detector)
    stream.partial_score(world["unknown"][:300])
    assert len(stream.state_.memory["kept"]) > 100
    assert np.mean(stream.predict(world["known"]) == "unknown") <= 0.1
    moved = detector.add_images(world["known"][:50], np.array(list("abc"))[np.arange(50) % 3])
    assert len(moved.calibration_groups_) == len(moved.calibration_embeddings_)


@pytest.mark.parametrize("kind", KINDS)
def test_a_threshold_that_unknown_images_have_set_keeps_its_place(world, kind):
    detector = static(world).calibrate_unknown(world["unknown"][:200], accepted=0.5)
    far = detector.offset_ < detector.calibration_scores_.min()
    stream = StreamDetector(detector, kind, random_state=0)
    share = np.mean(detector.predict(world["known"]) == "unknown")
    assert abs(np.mean(stream.predict(world["known"]) == "unknown") - share) < 0.03
    detector = static(world).calibrate_unknown(world["unknown"][:200], accepted=0.99)
    far = far or detector.offset_ < detector.calibration_scores_.min()
    assert far
    accepted = np.mean(detector.predict(world["unknown"][200:]) != "unknown")
    found = np.mean(
        StreamDetector(detector, kind, random_state=0).predict(world["unknown"][200:]) != "unknown"
    )
    # TANL, AdaNeg and CLIPScope are scores of their own: their tails lie elsewhere.
    assert abs(found - accepted) < (0.01 if kind == "nearest" else 0.35)


def test_a_long_call_is_not_kept_waiting_by_short_ones(world):
    stream, done = StreamDetector(static(world)), threading.Event()

    def short_calls():
        while not done.is_set():
            stream.partial_score(world["known"][:1])

    other = threading.Thread(target=short_calls)
    other.start()
    try:
        stream.partial_score(world["known"])
    finally:
        done.set()
        other.join()
    assert stream.state_.n_seen >= 400


def test_unknown_images_are_found_better_once_some_were_seen(world, mixed):
    detector = static(world)
    stream = StreamDetector(detector)
    stream.partial_score(mixed[0])
    sides = world["known"][100:], world["unknown"][100:]
    static_auroc = auroc(*map(detector.score_samples, sides))
    assert static_auroc < 0.95
    assert auroc(*map(stream.score_samples, sides)) > static_auroc + 0.02


def test_answers_hang_together(world, mixed):
    stream, twin = (StreamDetector(static(world)) for _ in range(2))
    scores = stream.partial_score(mixed[0])
    labels = twin.partial_predict(mixed[0])
    np.testing.assert_array_equal(labels == "unknown", scores < stream.offset_)
    assert stream.offset_ == stream.detector_.offset_
    X = world["known"]
    np.testing.assert_array_equal(stream.decision_function(X), stream.score_samples(X) - stream.offset_)
    np.testing.assert_array_equal(stream.predict(X) == "unknown", stream.decision_function(X) < 0)
    np.testing.assert_array_equal(stream.predict_proba(X), stream.detector_.predict_proba(X))
    p = stream.p_values(X)
    assert ((p > 0) & (p <= 1)).all()
    np.testing.assert_array_equal(p <= 0.05, stream.predict(X) == "unknown")


def test_fit_takes_a_pool_that_reset_comes_back_to(world, mixed):
    stream = StreamDetector(KNNDetector(), NearestUnknown(share=0.9), random_state=3)
    stream.fit(world["train"], world["y"], unlabelled=mixed[0])
    assert stream.detector_.random_state == 3
    assert stream.state_.n_seen == 200
    before = stream.score_samples(world["unknown"])
    stream.partial_score(world["unknown"])
    stream.reset()
    assert stream.state_.n_seen == 200
    np.testing.assert_array_equal(stream.score_samples(world["unknown"]), before)
    assert not np.array_equal(before, stream.detector_.score_samples(world["unknown"]))


def test_the_given_detector_stays_as_it_is(world, mixed):
    detector = static(world)
    before = detector.score_samples(mixed[0])
    stream = StreamDetector(detector)
    stream.partial_score(mixed[0])
    np.testing.assert_array_equal(detector.score_samples(mixed[0]), before)
    assert clone(stream).detector is not detector
    stream.calibrate(world["known"])
    assert stream.state_.n_seen == 0
    assert stream.offset_ != detector.offset_


def test_another_vocabulary_forgets_the_stream(world, mixed):
    stream = StreamDetector(KNNDetector(random_state=0)).fit(world["train"], world["y"])
    stream.partial_score(mixed[0])
    stream.set_vocabulary(["a", "b"])
    assert stream.classes_.tolist() == ["a", "b"]
    assert stream.state_.n_seen == 0
    assert set(stream.partial_predict(mixed[0])) <= {"a", "b", "unknown"}


def test_threads_share_a_stream_one_call_after_the_other(world):
    stream = StreamDetector(static(world))
    parts = [world["known"][i : i + 20] for i in range(0, 160, 20)]
    threads = [threading.Thread(target=stream.partial_score, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.state_.n_seen == 160


def test_an_image_that_cannot_be_read_moves_nothing():
    X, y = skneg.datasets.make_scenes(40, shapes=["star", "heart"], random_state=0)
    stream = StreamDetector(MCMDetector(model="skneg-tiny").fit(X, y))
    with pytest.raises(ImageError):
        stream.partial_score([X[0], b"no image"])
    assert stream.state_.n_seen == 0
    assert stream.partial_score(X[:3]).shape == (3,)


def test_an_answer_that_fails_moves_nothing(world, mixed, monkeypatch):
    stream = StreamDetector(static(world))
    stream.partial_score(mixed[0])
    monkeypatch.setattr(WordsDetector, "_posterior", lambda *_: pytest.fail("no answer"))
    with pytest.raises(pytest.fail.Exception):
        stream.partial_predict(mixed[0])
    assert stream.state_.n_seen == 200


def test_another_detector_needs_another_stream(world, mixed, tmp_path):
    stream = StreamDetector(static(world))
    stream.partial_score(mixed[0])
    for change in ({"detector": KNNDetector()}, {"detector__contamination": 0.3}):
        stream.set_params(**change)
        for call in (stream.partial_score, lambda _: stream.save(tmp_path / "never.skneg")):
            with pytest.raises(InputError, match="detector, or a parameter of it, has been changed"):
                call(mixed[0])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detector": None}, "detector is None"),
        ({"detector": KNNDetector}, "detector is <class"),
        ({"move_every": "4"}, "move_every"),
        ({"move_every": 0}, "move_every"),
        ({"adaptation": NearestUnknown(weight=np.ones(2))}, "weight"),
    ],
)
def test_what_is_set_under_way_is_checked_as_well(world, mixed, change, message):
    stream = StreamDetector(static(world))
    stream.partial_score(mixed[0][:50])
    usable, before = stream.get_params(deep=False), stream.score_samples(mixed[0])
    stream.set_params(**change)
    for call in (stream.partial_score, stream.predict, stream.p_values):
        with pytest.raises(SknegError, match=message):
            call(mixed[0])
    stream.set_params(**usable)
    assert stream.state_.n_seen == 50
    np.testing.assert_array_equal(stream.score_samples(mixed[0]), before)


def test_it_may_move_more_often_from_now_on(world, mixed, tmp_path):
    stream = StreamDetector(static(world), move_every=64)
    stream.partial_score(mixed[0][:50])
    stream.set_params(move_every=8).save(tmp_path / "stream.skneg")
    again = load(tmp_path / "stream.skneg")
    assert again.state_.n_moved == 0
    np.testing.assert_array_equal(again.partial_score(mixed[0]), stream.partial_score(mixed[0]))
    assert again.state_.n_moved > 200


def test_what_is_shown_of_the_memory_cannot_be_changed(world, mixed):
    stream = StreamDetector(static(world))
    stream.partial_score(mixed[0])
    with pytest.raises(ValueError, match="read-only"):
        stream.state_.memory["images"][0] = 0


def test_a_search_takes_a_pool_as_a_function(world, mixed):
    stream = StreamDetector(KNNDetector(random_state=0), NearestUnknown())
    search = GridSearchCV(stream, {"adaptation__share": [0.3, 0.9]}, cv=2, scoring="accuracy")
    search.fit(world["train"], world["y"], unlabelled=lambda: mixed[0])
    assert search.best_estimator_.state_.n_seen == 200


def test_another_adaptation_begins_another_stream(world, mixed):
    stream = StreamDetector(static(world))
    stream.partial_score(mixed[0])
    stream.set_params(adaptation=NearestUnknown(share=0.2))
    with pytest.raises(InputError, match="the stream began with NearestUnknown"):
        stream.partial_score(mixed[0])
    stream.calibrate()
    assert stream.state_.n_seen == 0
    stream.partial_score(mixed[0])


def test_what_happens_to_its_detector_later_does_not_reach_a_stream(world, mixed, tmp_path):
    stream = StreamDetector(KNNDetector(random_state=0)).fit(world["train"], world["y"])
    before, offset = stream.score_samples(mixed[0]), stream.offset_
    stream.detector_.calibrate(world["unknown"])
    np.testing.assert_array_equal(stream.score_samples(mixed[0]), before)
    assert stream.offset_ == offset
    stream.save(tmp_path / "stream.skneg")
    assert load(tmp_path / "stream.skneg").offset_ == offset


def test_wrong_use_is_refused(world):
    with pytest.raises(NotFittedError, match="its detector is not"):
        StreamDetector(KNNDetector()).partial_score(world["known"])
    with pytest.raises(NotFittedError, match="its detector is not"):
        _ = StreamDetector(KNNDetector()).state_
    with pytest.raises(InputError, match=r"adaptation must be one of .*'nearest'"):
        StreamDetector(KNNDetector(), "tanel").fit(world["train"], world["y"])
    with pytest.raises(InputError, match="has none: take WordsDetector"):
        StreamDetector(KNNDetector(), "tanl").fit(world["train"], world["y"])
    with pytest.raises(InputTypeError, match="'KNNDetector', expected a skneg detector"):
        StreamDetector("KNNDetector").fit(world["train"], world["y"])
    with pytest.raises(InputError, match="ODINDetector looks at pixels"):
        StreamDetector(ODINDetector(model="skneg-tiny")).fit(world["train"], world["y"])
    with pytest.raises(InputError, match="move_every"):
        StreamDetector(KNNDetector(), move_every=0).fit(world["train"], world["y"])
    with pytest.raises(InputTypeError, match="summary looks into one detector.*give its detector_"):
        skneg.inspection.summary(StreamDetector(static(world)).fit(world["train"], world["y"]))
    with pytest.raises(InputError, match="5 features"):
        StreamDetector(static(world)).partial_score(world["known"][:, :5])


@pytest.mark.parametrize("kind", KINDS)
def test_a_forged_memory_is_refused(world, mixed, kind, tmp_path, monkeypatch):
    stream = StreamDetector(static(world), kind, random_state=0)
    stream.partial_score(mixed[0])
    good = stream._stored_state()[0]
    for place, part in enumerate(good["streams"]):
        for name, value in part["memory"].items():
            if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind != "i":
                continue
            if len(value) == 0:
                continue
            forged = dict(part, memory=dict(part["memory"], **{name: value + 10**6}))
            if name == "counts":
                forged = dict(part, memory={name: value[:-1]})
            streams = [forged if i == place else other for i, other in enumerate(good["streams"])]
            with monkeypatch.context() as patch:
                patch.setattr(stream, "_stored_state", lambda s=streams: ({**good, "streams": s}, None))
                stream.save(tmp_path / "forged.skneg")
            with pytest.raises(PersistenceError):
                load(tmp_path / "forged.skneg")
    for change in (
        {"streams": good["streams"][:1]},
        {"scores": good["scores"][:-1]},
        {"seed": "x", "extra": 1},
        {"streams": [dict(s, waiting=s["waiting"][:, :3]) for s in good["streams"]]},
        {"streams": [dict(s, memory={}) for s in good["streams"]]},
    ):
        with monkeypatch.context() as patch:
            patch.setattr(stream, "_stored_state", lambda c=change: ({**good, **c}, None))
            stream.save(tmp_path / "forged.skneg")
        with pytest.raises(PersistenceError):
            load(tmp_path / "forged.skneg")


def test_adaptations_with_parameters_are_saved(world, mixed, tmp_path):
    stream = StreamDetector(static(world), AdaNeg(n_images=2, gap=0.3), move_every=5, random_state=0)
    stream.partial_score(mixed[0])
    stream.save(tmp_path / "stream.skneg")
    again = StreamDetector.load(tmp_path / "stream.skneg")
    assert again.adaptation.get_params() == stream.adaptation.get_params()
    assert again.move_every == 5
    assert clone(stream).get_params()["adaptation__n_images"] == 2
