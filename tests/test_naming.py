"""Names as the tokenizer reads them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skneg import InputWarning, KNNDetector, MCMDetector, NegPromptDetector
from skneg._naming import _codes, check_tokens, warn_of_disagreement
from skneg.backbone import load_backbone
from skneg.benchmarks._sources import feature_model
from skneg.errors import VocabularyError

from .conftest import KNOWN

SORTED = sorted(KNOWN)


@pytest.fixture(scope="module")
def tiny_tower():
    return load_backbone("skneg-tiny").text_tower


def renamed(embedded, names):
    """The scenes, with other names in the order of the labels."""
    X, y = embedded
    return X, np.array([names[SORTED.index(name)] for name in y], dtype=object)


class TestTokens:
    # Two forms of one name: https://github.com/whatwg/dom/issues/793, and of "Hiếu"
    # https://github.com/ArcReel/ArcReel/issues/1578.
    @pytest.mark.parametrize(
        ("one", "two", "told"),
        [
            ("Hi\u1ebfu", "Hie\u0302\u0301u", "COMBINING CIRCUMFLEX ACCENT"),
            ("pizza's", "pizza\u2019s", "RIGHT SINGLE QUOTATION MARK U\\+2019"),
            ("caf\u00e9", "cafe\u0301", "COMBINING ACUTE ACCENT U\\+0301"),
            ("\ud55c\uae00", "\u1112\u1161\u11ab\u1100\u1173\u11af", "same to the model's tokenizer"),
            ("salt & pepper", "salt &amp; pepper", "'salt & pepper' and 'salt &amp; pepper'"),
            ("star", "\uff53\uff54\uff41\uff52", "same to"),
            ("gold star", "gold\u00a0star", "NO-BREAK SPACE U\\+00A0"),
            ("gold star", "gold\n star", "CONTROL CHARACTER U\\+000A"),
            ("Star", "star ", "'[Ss]tar ?' and '[Ss]tar ?'"),
            ("grand_piano", "grand piano", "'grand.piano' and 'grand.piano'"),
        ],
    )
    def test_the_same_tokens_are_refused_with_both_names(self, one, two, told, embedded):
        X, y = renamed(embedded, [one, two, *SORTED[2:]])
        with pytest.raises(VocabularyError, match=told):
            MCMDetector(model="skneg-tiny").fit(X, y)
        detector = MCMDetector(model="skneg-tiny").fit(*embedded)
        with pytest.raises(VocabularyError, match=told):
            detector.set_vocabulary([one, two])
        assert detector.class_names_ == SORTED

    @pytest.mark.parametrize(
        ("one", "two"), [("stra\u00dfe", "strasse"), ("gold star", "goldstar"), ("gold\tstar", "goldstar")]
    )
    def test_other_tokens_are_two_classes(self, one, two, embedded):
        detector = MCMDetector(model="skneg-tiny").fit(*embedded).set_vocabulary([one, two])
        assert detector.class_names_ == sorted([one, two])

    def test_who_reads_no_names_takes_any(self, embedded):
        X, y = renamed(embedded, ["caf\u00e9", "cafe\u0301", *SORTED[2:]])
        with pytest.warns(InputWarning, match="what cannot be seen: one class"):
            assert len(KNNDetector(random_state=0).fit(X, y).classes_) == 6

    @pytest.mark.parametrize("name", ["<end_of_text> star", "a <START_OF_TEXT>"])
    def test_tokens_around_a_prompt_are_refused(self, name, embedded):
        with pytest.raises(VocabularyError, match="starts or ends prompts"):
            MCMDetector(model="skneg-tiny").fit(*embedded).set_vocabulary(["star", name])

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=2, max_size=5, unique=True
        )
    )
    def test_what_is_let_through_has_two_embeddings(self, tiny_tower, names):
        try:
            check_tokens(tiny_tower, names)
        except VocabularyError:
            return
        embeddings = tiny_tower.encode([f"a photo of a {name}" for name in names])
        gaps = np.abs(embeddings[:, None] - embeddings[None]).max(axis=2)
        assert gaps[~np.eye(len(names), dtype=bool)].min() > 0


def test_underscores_are_blanks_for_the_tower_and_stay_in_labels(tiny_tower, embedded):
    np.testing.assert_array_equal(tiny_tower.encode(["a red_star"]), tiny_tower.encode(["a red star"]))
    detector = MCMDetector(model="skneg-tiny").fit(*embedded).set_vocabulary(["red_star", "blue_heart"])
    assert detector.classes_.tolist() == detector.class_names_ == ["blue_heart", "red_star"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["red", "star", "ice", "cream"]), min_size=2, max_size=4), st.data())
def test_any_underscores_are_blanks(tiny_tower, words, data):
    blanks = [data.draw(st.sampled_from(["_", " ", "__"])) for _ in words[1:]]
    dressed = words[0] + "".join(blank + word for blank, word in zip(blanks, words[1:], strict=True))
    np.testing.assert_array_equal(*tiny_tower.tokenize([dressed, " ".join(words)]))


class TestCodes:
    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.from_regex(r"\A([0-9]{1,12}|n[0-9]{8}|(class|label|id)[_ -]?[0-9]{1,4})\Z", fullmatch=True),
            min_size=2,
            max_size=5,
        )
    )
    def test_any_codes_are_codes(self, names):
        assert _codes(names) == names
        assert (
            _codes([*names, *["grand piano", "A380", "Boeing 747", "7-Eleven", "Mi-24"][: len(names)]]) == []
        )

    @pytest.mark.parametrize(
        "names",
        [
            list("012345"),
            [f"n0{1440764 + i}" for i in range(6)],
            [f"class_{i}" for i in range(6)],
            ["3f2a9c1d", "9b1c0e77", "0a0b0c0d", "deadbee5", "1234abcd", "77fe00aa"],
            [f"{i:05}" for i in range(6)],  # https://github.com/LINs-lab/RDED/issues/10
            ["IMG_1", "IMG_2", "IMG_3", "IMG_4", "star", "key"],
        ],
    )
    def test_codes_are_named(self, names, embedded):
        X, y = renamed(embedded, names)
        with pytest.warns(InputWarning, match="numbers or codes.*class_names=.*evidence='images'"):
            MCMDetector(model="skneg-tiny").fit(X, y)
        NegPromptDetector(model="skneg-tiny", evidence="images", random_state=0).fit(X, y)  # without a word

    def test_names_with_digits_are_names(self, embedded):
        X, y = renamed(embedded, ["Boeing 747", "A380", "7-Eleven", "cat", "type 2 star", "heart"])
        with pytest.warns(InputWarning) as record:  # of the second kind: these shapes are no planes
            MCMDetector(model="skneg-tiny").fit(X, y)
        assert not [one for one in record if "codes" in str(one.message)]


class TestAgreement:
    def test_names_shifted_by_one(self, embedded):
        X, y = embedded
        numbers = np.searchsorted(SORTED, y)
        shifted = SORTED[1:] + SORTED[:1]
        for detector in (
            MCMDetector(model="skneg-tiny"),
            NegPromptDetector(model="skneg-tiny", random_state=0),
        ):
            with pytest.warns(
                InputWarning,
                match="agree on 0% of the images; another order .* 9.%: images of 'bottle' look like",
            ):
                detector.fit(X, numbers, shifted)

    def test_two_names_swapped(self, embedded):
        X, y = embedded
        swapped = [SORTED[1], SORTED[0], *SORTED[2:]]
        with pytest.warns(InputWarning, match="look like"):
            MCMDetector(model="skneg-tiny").fit(X, np.searchsorted(SORTED, y), swapped)

    def test_names_that_say_nothing(self, embedded):
        X, y = embedded
        with pytest.warns(InputWarning, match=r"agree on [0-9]+% .*evidence='images'"):
            MCMDetector(model="skneg-tiny").fit(X, y, dict(zip(SORTED, "abcdfg", strict=True)))

    @settings(max_examples=30, deadline=None)
    @given(st.permutations(range(6)), st.integers(8, 20))
    def test_any_other_order(self, order, n):
        targets, names = np.repeat(np.arange(6), n), list("abcdef")
        likeliest = np.array(order)[targets]
        moved = sum(i != place for i, place in enumerate(order))
        if moved == 0:
            warn_of_disagreement(names, targets, likeliest)
            return
        with pytest.warns(InputWarning, match=f"agree on {1 - moved / 6:.0%}.*another order .* 100%"):
            warn_of_disagreement(names, targets, likeliest)

    def test_two_neighbours_in_a_long_list(self):
        # "cheesecake" and "cheese_plate" of 101 dishes: https://github.com/azshue/TPT/issues/17.
        targets = np.repeat(np.arange(101), 30)
        likeliest = np.where(targets < 2, 1 - targets, targets)
        with pytest.warns(InputWarning, match="agree on 98%.*'0' look like '1'"):
            warn_of_disagreement([str(i) for i in range(101)], targets, likeliest)

    def test_by_hand(self):
        targets = np.repeat([0, 1, 2], 10)
        warn_of_disagreement(["a", "b", "c"], targets, targets)
        with pytest.warns(InputWarning, match=r"33% of the images \(by chance: 33%\)"):
            warn_of_disagreement(["a", "b", "c"], targets, np.zeros(30, dtype=int))
        with pytest.warns(
            InputWarning, match="agree on 33% .* another order .* 100%: images of 'b' look like 'c'"
        ):
            warn_of_disagreement(["a", "b", "c"], targets, np.repeat([0, 2, 1], 10))

    def test_good_data_is_silent(self, embedded):
        MCMDetector(model="skneg-tiny").fit(*embedded)  # warnings are errors in these tests

    def test_one_image_a_class_is_no_sign(self):
        rng = np.random.default_rng(0)
        targets = np.arange(100)
        for _ in range(20):
            likeliest = np.where(rng.random(100) < 0.25, targets, rng.integers(100, size=100))
            warn_of_disagreement([str(i) for i in targets], targets, likeliest)

    def test_very_many_classes_take_no_table(self):
        targets = np.arange(5000) * 4
        warn_of_disagreement([str(i) for i in range(20_000)], targets, targets)

    def test_names_of_flowers_say_nothing_to_this_tower(self, data_folder):
        features = np.load(data_folder / "clip-vitb32-features" / "fewshot.npz")
        names = features["oxford_flowers_names"].tolist()
        model = feature_model(data_folder)
        with pytest.warns(InputWarning, match="say little"):
            MCMDetector(model=model, class_names=names).fit(
                features["oxford_flowers_train"].astype(np.float32), features["oxford_flowers_train_y"]
            )
