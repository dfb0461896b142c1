import numpy as np
import pytest

from skneg import CalibrationWarning, EnergyDetector, MCMDetector, TextBank
from skneg.errors import InputError, VocabularyError
from skneg.scores import energy, mcm

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3, 8)).astype(np.float32)
X = np.repeat(ROWS, 10, axis=0)
NAMES = ["a", "b", "c"]


@pytest.mark.parametrize("bank", [ROWS, TextBank.from_positives(ROWS), ROWS.tolist()])
def test_a_ready_bank_needs_no_model(bank):
    detector = MCMDetector(model="no such model", text_bank=bank).fit(X, class_names=NAMES)
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    cosines = (X / np.linalg.norm(X, axis=1, keepdims=True)) @ unit.T
    np.testing.assert_allclose(detector.score_samples(X), mcm(cosines), atol=1e-6)
    assert detector.predict(ROWS).tolist() == NAMES


def test_templates_are_averaged(embedded):
    templates = ["a photo of a {}", "a {}"]
    detector = EnergyDetector(model="skneg-tiny", templates=templates).fit(*embedded)
    tower = detector._backbone().text_tower
    total = sum(tower.encode([t.format(name) for name in detector.class_names_]) for t in templates)
    unit = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(detector.score_samples(embedded[0]), energy(embedded[0] @ unit.T), atol=1e-6)


def test_new_names_need_new_rows():
    detector = MCMDetector(text_bank=ROWS).fit(X, np.repeat(NAMES, 10))
    state = dict(vars(detector))
    with pytest.raises(VocabularyError, match="3 rows for 2 class names.*text_bank="):
        detector.set_vocabulary(["d", "e"])
    assert vars(detector) == state
    with pytest.warns(CalibrationWarning, match="comes from 10 images"):
        detector.set_vocabulary(["a", "e"], text_bank=ROWS[:2])
    assert detector.classes_.tolist() == ["a", "e"]


@pytest.mark.parametrize(
    ("bank", "message"),
    [(ROWS * 0, "row 0"), (ROWS[:, :4], "4 dimensions"), (np.full_like(ROWS, np.nan), "row 0")],
)
def test_unusable_banks_are_refused(bank, message):
    with pytest.raises(InputError, match=message):
        MCMDetector(text_bank=bank).fit(X, class_names=NAMES)


def test_negatives_that_would_not_be_read_are_refused():
    bank = TextBank(np.eye(3, 4), np.eye(3, 4), common=np.eye(2, 4))
    with pytest.raises(InputError, match="2 rows of `common`, which MCMDetector does not read"):
        MCMDetector(text_bank=bank, class_names=["a", "b", "c"], contamination=0.3).fit(np.eye(4), None)


def test_new_rows_stay_with_the_fitted_detector_and_leave_its_parameter():
    detector = MCMDetector(text_bank=ROWS, contamination=0.3).fit(X, np.repeat(NAMES, 10))
    rows = RNG.normal(size=(3, 8)).astype(np.float32)
    detector.set_vocabulary(["c", "a", "b"], text_bank=rows)
    scores = detector.score_samples(X)
    assert detector.text_bank is ROWS
    # Names alone take the rows of the last call, in their order.
    detector.set_vocabulary(NAMES)
    np.testing.assert_array_equal(detector.score_samples(X), scores)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(detector.text_bank_.positive, unit, atol=1e-6)


def test_one_template_is_a_list_of_one(embedded):
    one, many = (
        MCMDetector(model="skneg-tiny", templates=templates).fit(*embedded)
        for templates in ("a drawing of a {}", ["a drawing of a {}"])
    )
    expected = one._backbone().text_tower.encode([f"a drawing of a {name}" for name in one.class_names_])
    np.testing.assert_allclose(one.text_bank_.positive, expected, atol=1e-6)
    np.testing.assert_array_equal(one.text_bank_.positive, many.text_bank_.positive)
