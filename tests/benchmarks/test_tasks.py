"""Sets of images, and what a seed draws from them."""

import numpy as np
import pytest

from skneg.benchmarks._protocols import Experiment
from skneg.benchmarks._tasks import Images, Task, numbered
from skneg.errors import InputError


@pytest.fixture
def task():
    pool = numbered("pool", embeddings=np.eye(12), labels=np.repeat([0, 1, 2], 4))
    ood = {"far": numbered("far", embeddings=np.ones((5, 12)))}
    return Task(Experiment("toy"), ["ant", "bee", "cat"], 2, pool, None, ood)


def test_a_seed_draws_from_the_trained_classes_alone_and_tests_on_the_rest(task):
    train, test = task.draw(3, seed=0)
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert sorted([*train.keys, *test.keys]) == sorted(task.pool.keys)
    assert (train.embeddings[:, train.keys.astype(int)] == np.eye(6)).all()
    assert task.draw(3, seed=0)[0].keys.tolist() == train.keys.tolist()
    assert any(task.draw(3, seed=s)[0].keys.tolist() != train.keys.tolist() for s in range(1, 9))


def test_too_few_images_are_refused_by_class(task):
    with pytest.raises(InputError, match="class 'ant' .*has 4 images, fewer than shots=5"):
        task.draw(5, seed=0)


def test_a_set_without_images_is_refused(task):
    nothing = {"far": task.ood["far"].take(np.arange(0))}
    with pytest.raises(InputError, match="far: no image"):
        Task(task.experiment, task.class_names, 2, task.pool, None, nothing)


def test_labels_of_known_classes_become_their_numbers():
    images = numbered("pool", embeddings=np.eye(4), labels=np.array(["bee", "ant", "cat", "bee"]))
    chosen = images.of_classes(["cat", "bee"])
    assert chosen.labels.tolist() == [1, 0, 1]
    assert chosen.keys.tolist() == ["0", "2", "3"]


def test_another_pixel_or_file_is_another_state(tmp_path):
    pixels = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    other = pixels.copy()
    other[1, 2, 3, 0] = 1
    assert numbered("a", pixels).state() == numbered("a", pixels.copy()).state()
    assert numbered("a", pixels).state() != numbered("a", other).state()
    file = tmp_path / "image.png"
    file.write_bytes(b"one")
    images = Images("files", np.zeros(1), np.array(["image.png"]), np.array([file], dtype=object))
    before = images.state()
    file.write_bytes(b"three")
    assert images.state() != before
