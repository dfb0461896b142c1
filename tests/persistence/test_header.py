import pytest

import skneg
from skneg import persistence
from skneg.errors import InputTypeError, PersistenceError
from skneg.persistence import read_header
from skneg.persistence._header import FORMAT, read_file


def test_a_file_says_what_it_is(embedded, tmp_path):
    detector = skneg.KNNDetector(random_state=0).fit(*embedded)
    detector.save(tmp_path / "a.skneg")
    header, tensors = read_file(tmp_path / "a.skneg")
    assert header == read_header(tmp_path / "a.skneg")
    assert header["format"] == FORMAT
    assert header["detector"]["class"] == "KNNDetector"
    assert detector.train_embeddings_.shape in {array.shape for array in tensors.values()}


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(PersistenceError):
        read_header(tmp_path / "nothing.skneg")
    with pytest.raises(InputTypeError):
        read_header(3)


def test_every_name_that_is_promised_is_there():
    assert sorted(persistence.__all__) == dir(persistence)
    assert all(callable(getattr(persistence, name)) for name in persistence.__all__)
