from functools import partial

import numpy as np

from skneg import CSPDetector, TextBank, Words

from ..conftest import random_unit

RNG = np.random.default_rng(0)


unit = partial(random_unit, RNG)


POSITIVE, WORDS = unit(4), unit(50)
NAMES = ["a", "b", "c", "d"]
X = np.repeat(POSITIVE, 10, axis=0)


def test_csp_drops_what_is_too_like_a_class_or_another_word():
    near_class, near_word = POSITIVE[:1] + 0.01 * WORDS[:1], WORDS[:1] + 0.01 * WORDS[1:2]
    bank = TextBank(POSITIVE, np.concatenate([WORDS, near_class, near_word]))
    detector = CSPDetector(text_bank=bank, words=Words(max_cosine=0.95), random_state=0)
    kept = detector.fit(X, class_names=NAMES).text_bank_.negative
    assert len(kept) == len(WORDS)


def test_csp_pairs_adjectives_with_broad_nouns(embedded):
    detector = CSPDetector(
        model="skneg-tiny", words=Words(["fish"], max_cosine=1.01), adjectives=["red", "blue"],
        superclasses=["thing", "place"], random_state=0,
    )  # fmt: skip
    assert set(detector.fit(*embedded).negative_words_) == {"fish", "red thing", "blue place"}
    detector.set_params(superclasses={"thing": 0, "place": 0})  # its keys, as elsewhere
    assert set(detector.fit(*embedded).negative_words_) == {"fish", "red thing", "blue place"}
