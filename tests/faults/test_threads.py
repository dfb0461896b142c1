"""Threads that ask a detector while another one changes it: each answer belongs to one state entirely."""

import threading
from functools import partial

import numpy as np
import pytest

import skneg

from ..conftest import KNOWN, takes

ANSWERS = ["predict", "predict_proba", "score_samples", "decision_function", "p_values", "predict_set"]
FEW = ["heart", "key", "star"]


def answers(detector, Z):
    """What each method says, as bytes: shape, type and all."""
    told = {}
    for name in ANSWERS:
        values = getattr(detector, name)(Z)
        told[name] = (values.shape, values.dtype.str, values.tobytes())
    explained = detector.explain(Z)
    told["explain"] = tuple(explained.answer.tolist()), explained.score.tobytes(), explained.p_value.tobytes()
    return told


def changes_of(detector, Z, y):
    """What makes a new state each time, in a circle."""
    known = np.isin(y, FEW)
    return [
        partial(detector.set_vocabulary, FEW),
        partial(detector.calibrate, Z[known][:30], y[known][:30]),
        partial(detector.set_vocabulary, sorted(KNOWN), Z, y),
        partial(detector.calibrate, Z[::2], y[::2]),
        partial(detector.fit, Z[:90], y[:90]),
        partial(detector.add_images, Z[90:], y[90:]),
    ]


@pytest.mark.filterwarnings("ignore::skneg.errors.SknegWarning")
@pytest.mark.parametrize("name", ["KNNDetector", "MCMDetector", "WordsDetector", "LinearProbeDetector"])
def test_no_answer_mixes_two_states(name, embedded, tmp_path):
    Z, y = embedded
    cls = getattr(skneg, name)
    detector = cls(model="skneg-tiny", **takes(cls, random_state=0)).fit(Z[:90], y[:90])
    changes, asked, known = changes_of(detector, Z, y), Z[:40], []
    for change in changes:  # one circle to be where each of the others starts
        change()
    for change in changes:
        change()
        known.append(answers(detector, asked))
    assert len({told["decision_function"] for told in known}) > 2
    right = {name: {told[name] for told in known} for name in known[0]}
    wrong, n_asked, is_over = [], [], threading.Event()

    def ask(number):
        try:
            while not is_over.is_set():
                n_asked.append(1)
                if number == 0:
                    file = tmp_path / "file.skneg"
                    detector.save(file)
                    told = answers(skneg.load(file), asked)
                    if told not in known:
                        wrong.append("file")
                else:
                    told = answers(detector, asked)
                    wrong.extend(name for name, value in told.items() if value not in right[name])
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for change in changes * 4:
        change()
    is_over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(n_asked) >= 8
