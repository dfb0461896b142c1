"""Every detector of the registry, fitted once on few small images."""

import functools
import tempfile
from pathlib import Path

import skneg
from skneg import CLIPImageEncoder
from skneg.datasets import make_scenes

from ..backbone.test_timm import saved
from ..test_common import EXCUSED, LOCAL, PIXELS, make_detector

SHAPES = ["heart", "key", "star"]
PIXEL_READERS = {name for (name, _), why in EXCUSED.items() if why == PIXELS}


@functools.cache
def tiny_encoders():
    """By its name what makes each encoder, with a model that needs no network."""
    folder = saved(Path(tempfile.mkdtemp(prefix="skneg-tests-")) / "timm")
    return {
        "CLIPImageEncoder": functools.partial(CLIPImageEncoder, model="skneg-tiny"),
        "TimmImageEncoder": functools.partial(skneg.TimmImageEncoder, model=f"local-dir:{folder}"),
    }


@functools.cache
def tiny_scenes(random_state=0):
    return make_scenes(36, shapes=SHAPES, random_state=random_state)


@functools.cache
def tiny_input(name, random_state=0):
    """What a detector is fitted on: embeddings, of patches too where it looks at them, or images."""
    X, y = tiny_scenes(random_state)
    if name not in PIXEL_READERS:
        X = CLIPImageEncoder(model="skneg-tiny", local=name in LOCAL).transform(X)
    return X, y


@functools.cache
def _no_encoder():
    path = Path(tempfile.mkdtemp(prefix="skneg-tests-")) / "no.safetensors"
    X, _, captions = make_scenes(32, return_captions=True, random_state=0)
    skneg.train_no_encoder(X, list(captions), model="skneg-tiny", n_epochs=1, random_state=0, out=path)
    return path


def tiny_detector(name):
    """A detector that is not fitted."""
    return make_detector(name, _no_encoder() if name == "CLIPNDetector" else "", contamination=0.1)


@functools.cache
def tiny_fitted(name):
    """Not to be changed: a copy of it is."""
    return tiny_detector(name).fit(*tiny_input(name))
