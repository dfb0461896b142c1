import numpy as np
import pytest
import torch

from skneg import MSPDetector, ODINDetector
from skneg.backbone import load_backbone
from skneg.images import as_image_sequence


@pytest.fixture(scope="module")
def tower():
    return load_backbone("skneg-tiny").image_tower


@pytest.fixture(scope="module")
def data(scenes):
    return scenes[0][:19], scenes[1][:19]


def moved_by_hand(tower, images, texts, epsilon, temperature):
    """Cosines of the images after each one's step against the gradient."""
    x = torch.from_numpy(tower.pixels(as_image_sequence(images), range(len(images)))).requires_grad_()

    def cosines(x):
        features = tower._network.encode_image(x)
        return features / features.norm(dim=1, keepdim=True) @ torch.from_numpy(texts).T

    shares = torch.log_softmax(cosines(x) / temperature, dim=1)
    (-shares.max(dim=1).values).sum().backward()
    return cosines(x - epsilon * x.grad.sign()).detach().numpy().astype(np.float64)


@pytest.mark.parametrize("parameters", [{"epsilon": 0.01, "score_temperature": 2.0}, {}])
def test_the_score_is_the_share_after_one_step_down_the_gradient(tower, data, parameters):
    detector = ODINDetector(model="skneg-tiny", batch_size=7, **parameters).fit(*data)
    # Logits are cosines over the model's temperature.
    temperature = detector.temperature_ * parameters.get("score_temperature", 1000.0)
    epsilon = parameters.get("epsilon", 0.0014)
    z = moved_by_hand(tower, data[0], detector.text_bank_.positive, epsilon, temperature) / temperature
    expected = z.max(axis=1) - np.log(np.exp(z).sum(axis=1))
    error = np.abs(detector.score_samples(data[0]) - expected).max()
    still = detector.set_params(epsilon=0).score_samples(data[0])
    # The step must be seen beyond the rounding.
    assert error < 0.02 * np.abs(still - expected).mean()


def test_the_step_raises_the_share_of_the_predicted_class(data):
    detector = ODINDetector(model="skneg-tiny", score_temperature=1.0).fit(*data)
    steps = [detector.set_params(epsilon=epsilon).score_samples(data[0]) for epsilon in (0, 5e-4, 2e-3)]
    assert (np.diff(steps, axis=0) > 0).all()


def test_without_a_step_it_is_the_softmax_share(data, embedded):
    detector = ODINDetector(model="skneg-tiny", epsilon=0, score_temperature=5.0).fit(*data)
    temperature = 5.0 * detector.temperature_
    plain = MSPDetector(model="skneg-tiny", score_temperature=temperature).fit(embedded[0][:19], data[1])
    np.testing.assert_allclose(
        detector.score_samples(data[0]), plain.score_samples(embedded[0][:19]), atol=1e-4
    )


def test_classes_are_those_of_the_images_as_they_are(data, embedded):
    detector = ODINDetector(model="skneg-tiny", epsilon=0.5).fit(*data)
    plain = MSPDetector(model="skneg-tiny").fit(embedded[0][:19], data[1])
    np.testing.assert_allclose(
        detector.predict_proba(data[0]), plain.predict_proba(embedded[0][:19]), atol=1e-4
    )


def test_the_pixels_that_it_keeps_are_the_preprocessed_images(tower, data):
    kept = ODINDetector(model="skneg-tiny").fit(*data).calibration_embeddings_
    np.testing.assert_array_equal(kept, tower.pixels(as_image_sequence(data[0]), range(19)))
