"""Images that cannot be read, among others: every detector, by every way in."""

import pickle

import numpy as np
import pytest

from skneg.errors import ImageError

from ..test_common import NAMES
from ._tiny import tiny_detector, tiny_fitted, tiny_scenes


@pytest.fixture(scope="module")
def items():
    """20 images, of which 3, 9 and 17 cannot be read."""
    X = list(tiny_scenes()[0][:20])
    X[3], X[9], X[17] = b"broken", "gone.png", b""
    return X


@pytest.mark.parametrize("name", NAMES)
def test_one_error_names_all(name, items):
    fitted, y = tiny_fitted(name), tiny_scenes()[1][:20]
    copy = pickle.loads(pickle.dumps(fitted))
    state = copy._state
    for call in (
        lambda: fitted.predict(items),
        lambda: fitted.score_samples(items),
        lambda: fitted.explain(items),
        lambda: list(fitted.predict_stream(items)),
        lambda: tiny_detector(name).set_params(batch_size=4).fit(items, y),
        lambda: copy.calibrate(items, y),
        lambda: copy.add_images(items, y),
        lambda: copy.set_vocabulary(list(copy.class_names_), items, y),
        lambda: copy.calibrate_unknown(items, accepted=0.1),
    ):
        with pytest.raises(ImageError) as caught:
            call()
        assert [error.index for error in caught.value.errors] == [3, 9, 17]
        assert caught.value.index == 3
    assert copy._state is state


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_skips_them_and_moves_no_row(name, items):
    good = np.setdiff1d(np.arange(20), [3, 9, 17])
    for chunk in (7, 20):
        tables = list(tiny_fitted(name).predict_stream(items, chunk, on_error="skip"))
        assert sum(map(len, tables)) == 20
        error = np.concatenate([table.error for table in tables])
        score = np.concatenate([table.score for table in tables])
        label = np.concatenate([table.label.astype(object) for table in tables])
        assert np.flatnonzero([told is not None for told in error]).tolist() == [3, 9, 17]
        assert np.flatnonzero(np.isnan(score)).tolist() == [3, 9, 17]
        assert [label[row] for row in (3, 9, 17)] == [None] * 3
        alone = [items[row] for row in good]
        np.testing.assert_allclose(score[good], tiny_fitted(name).score_samples(alone), rtol=1e-4, atol=1e-4)
