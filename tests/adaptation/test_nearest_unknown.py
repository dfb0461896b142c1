"""The comparison with kept images, by hand."""

from dataclasses import replace

import numpy as np

from skneg.adaptation import NearestUnknown, Static
from skneg.adaptation._nearest_unknown import _largest_found, _nearest, _own_nearest


def unit(*rows):
    rows = np.array(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def static(scores, groups=(0, 1, 2, 3)):
    images = unit([1, 0, 0], [1, 0.2, 0], [1, 0, 0.3], [1, 0.1, 0.1])
    return Static(None, None, images, np.array(scores), np.zeros(4, dtype=int), np.array(groups))


KNOWN = static([1.0, 2.0, 4.0, 3.0])


def test_benjamini_and_hochbergs_rule():
    # Ordered p-values .01, .02, .3, .9 against .5 * i / 4 = .125, .25, .375, .5.
    assert _largest_found(np.array([0.9, 0.02, 0.3, 0.01]), 0.5) == 0.3
    assert _largest_found(np.array([0.9, 0.02, 0.3, 0.01]), 0.2) == 0.02
    assert _largest_found(np.array([0.9, 0.8]), 0.5) == 0.0
    assert _largest_found(np.empty(0), 0.5) == 0.0


def test_copies_and_images_of_its_group_do_not_count_as_neighbours_of_a_known_image():
    Z = unit([1, 0], [1, 0], [1, 1])
    targets = np.array([0, 1, 1])
    cosines, of_class = _own_nearest(Z, np.arange(3), targets)
    np.testing.assert_allclose(cosines, [0.5**0.5] * 3, rtol=1e-6)
    np.testing.assert_allclose(of_class, [-1, 0.5**0.5, 0.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(_nearest(Z, Z), 1, rtol=1e-6)
    assert _own_nearest(Z, np.array([0, 0, 0]), targets)[0].tolist() == [-1, -1, -1]
    np.testing.assert_allclose(
        _own_nearest(Z, np.array([0, 1, 1]), targets)[0], [0.5**0.5, -1, 0.5**0.5], rtol=1e-6
    )


def test_scores_by_hand():
    adaptation = NearestUnknown(share=0.9)
    memory = adaptation.start(KNOWN, 0)
    Z = unit([0, 1, 0], [0, 0, 1])
    assert adaptation.score(KNOWN, memory, Z, np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert adaptation.score_known(KNOWN, memory) is KNOWN.scores
    # Both have p = 1 / 5; (2 of 2) .9 >= .2, so both are kept.
    memory = adaptation.move(KNOWN, memory, Z, np.array([0.0, -1.0]))
    assert len(memory["kept"]) == 2
    cosines = KNOWN.embeddings @ KNOWN.embeddings.T
    np.fill_diagonal(cosines, -1)
    of_known = cosines.max(axis=1) - (KNOWN.embeddings @ Z.T).max(axis=1)
    new = unit([0.1, 1, 0])
    difference = (new @ KNOWN.embeddings.T).max() - (new @ Z.T).max()
    D = (difference - of_known.mean()) / of_known.std()
    expected = 2.0 - KNOWN.scores.std() * 2 / (2 + 20) * np.log1p(np.exp(-D))
    np.testing.assert_allclose(adaptation.score(KNOWN, memory, new, np.array([2.0])), expected, rtol=1e-5)
    own = (of_known - of_known.mean()) / of_known.std()
    expected = KNOWN.scores - KNOWN.scores.std() * 2 / 22 * np.log1p(np.exp(-own))
    np.testing.assert_allclose(adaptation.score_known(KNOWN, memory), expected, rtol=1e-5)


def test_it_counts_as_far_as_the_nearest_images_tell_known_classes():
    # The nearest other image: of 0 it is 3, of 1 it is 3, of 2 it is 3, of 3 it is 1.
    adaptation, Z, s = NearestUnknown(share=0.9), unit([0, 1, 0], [0, 0, 1]), np.array([0.0, -1.0])
    new, losses = unit([0.1, 1, 0]), []
    # Of classes 0, 0, 1, 1: 1 has 3 (not 0), 2 has 3 and 3 has 1; of classes without others nothing is known.
    for targets in ([0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 1, 1], [0, 1, 2, 3], [-1, -1, -1, -1]):
        known = replace(KNOWN, targets=np.array(targets))
        memory = adaptation.move(known, adaptation.start(known, 0), Z, s)
        losses.append(2 - adaptation.score(known, memory, new, np.array([2.0]))[0])
    assert losses[0] > 0.1
    np.testing.assert_allclose(losses, losses[0] * np.array([1, 0.5, 0.25, 1, 1]))
    alone = replace(KNOWN, groups=np.zeros(4, dtype=int))
    assert adaptation.start(alone, 0)["told"] == 1.0


def test_a_weight_of_few_bits_does_not_overflow():
    Z, s = unit([0, 1, 0], [0, 0, 1]), np.array([0.0, -1.0])
    found = []
    for weight in (np.float16(6e4), float(np.float16(6e4))):
        adaptation = NearestUnknown(share=0.9, weight=weight)
        memory = adaptation.move(KNOWN, adaptation.start(KNOWN, 0), Z, s)
        found.append(adaptation.score(KNOWN, memory, Z, s))
    np.testing.assert_array_equal(*found)


def test_images_that_look_known_are_not_kept_and_old_ones_are_forgotten():
    adaptation = NearestUnknown(memory_size=3, share=0.5)
    memory = adaptation.start(KNOWN, 0)
    many = static(np.arange(100.0))
    memory = adaptation.move(many, memory, unit([1, 0, 0], [0, 1, 0]), np.array([50.0, -1.0]))
    np.testing.assert_array_equal(memory["kept"], unit([0, 1, 0]))
    later = adaptation.move(many, memory, unit([1, 0, 0.1], [1, 0, 0.2]), np.array([70.0, 80.0]))
    assert len(later["images"]) == 3
    assert len(later["kept"]) == 1  # the one that was unknown is still among the last three
    later = adaptation.move(many, later, unit([1, 0, 0.1], [1, 0, 0.2]), np.array([70.0, 80.0]))
    assert len(later["kept"]) == 0
    assert len(memory["images"]) == 2  # a memory that was is not changed
