"""The protocols as data: which classes are known, which images are not, and what is varied."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .._utils import did_you_mean
from ..errors import InputError
from . import _paper
from ._experiments import Experiment, Protocol

IMAGENET = ("imagenet-train", "imagenet-val")
IMAGENET_OPENOOD = ("imagenet-train", "imagenet-test-openood")
FAR = ("inaturalist", "sun", "places", "textures")
SPLITS = ("Split-1", "Split-2", "Split-3", "Split-4")

# What Table 5 compares; open_clip's names and tags.
BACKBONES = (
    ("RN50", "openai"),
    ("RN101", "openai"),
    ("ViT-B-32", "laion2b_s34b_b79k"),
    ("ViT-B-16", "laion2b_s34b_b88k"),
)


_PAPER_WEIGHTS = (
    "The paper's figures are for scale: its protocol and weights are its own, and it quotes some rows from "
    "other papers with other weights."
)
_FAR = Experiment("ImageNet-1k", needs=(*IMAGENET, *FAR))
_HARD = tuple(Experiment(name, needs=IMAGENET, split=name) for name in SPLITS)
_OPEN = tuple(
    replace(experiment, name=f"{experiment.name} (10 %)", open_vocabulary=True)
    for experiment in (_FAR, *_HARD)
)


def ablation(backbones: tuple[tuple[str, str | None], ...] = BACKBONES) -> Protocol:
    """Table 5 on the given backbones; the last one is the reference, on which all else is varied."""

    def variant(name: str, backbone: tuple[str, str | None], row: str, **parameters: Any) -> Experiment:
        return replace(
            _OPEN[0],
            name=name,
            detectors=("NegPromptDetector",),
            parameters={"NegPromptDetector": parameters},
            model=backbone[0],
            pretrained=backbone[1],
            paper_row=row,
        )

    *others, reference = backbones
    return Protocol(
        "ablation",
        "Table 5: backbones, number of negative prompts, one stage against two",
        "imagenet",
        (
            *(variant(f"{model} ({tag or 'own weights'})", (model, tag), model) for model, tag in others),
            *(
                variant(f"{n} negative{'s' * (n > 1)}", reference, f"{n}-negative", recipe__n_negative=n)
                for n in (1, 3, 4)
            ),
            variant("one stage", reference, "one-stage", recipe__one_stage=True),
            variant(f"{reference[0]}, 2 negatives, two stages", reference, "reference"),
        ),
        paper=(_paper.TABLE_5,),
        rows="experiment",
        model=None,
        notes=(
            "Trained on the first 10 % of the classes: the paper does not say on what its Table 5 is "
            "trained, but its reference row repeats the 10 % model of Table 2.",
            _PAPER_WEIGHTS,
        ),
    )


_FEATURES = tuple(
    Experiment(
        name,
        table="Closed vocabulary",
        split=name,
        shared_ood=("dtd",) if name == "Split-4" else (),
    )
    for name in SPLITS
)

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "imagenet-far",
            "Table 2: ImageNet-1k against iNaturalist, SUN, Places, Textures",
            "imagenet",
            (_FAR,),
            paper=(_paper.TABLE_2,),
            notes=(
                "SUN and Places hold objects of ImageNet classes in 26 % and 59.5 % of their images "
                "(Bitterwolf et al., ICML 2023): openood-near and openood-far are cleaner.",
                _PAPER_WEIGHTS,
            ),
        ),
        Protocol(
            "imagenet-hard",
            "Table 3: hard splits 1 to 4 of ImageNet-1k",
            "imagenet",
            _HARD,
            paper=(_paper.TABLE_3,),
            notes=(_PAPER_WEIGHTS,),
        ),
        Protocol(
            "open-vocabulary",
            "Tables 2 and 3, trained on the first 10 % of the classes, then given all names",
            "imagenet",
            (
                replace(_OPEN[0], table="Far"),
                *(replace(experiment, table="Hard splits") for experiment in _OPEN[1:]),
            ),
            paper=(_paper.TABLE_2, _paper.TABLE_3),
            notes=(_PAPER_WEIGHTS,),
        ),
        Protocol(
            "id-accuracy",
            "Table 4: closed-set accuracy on ImageNet-1k",
            "imagenet",
            (
                Experiment("ImageNet-1k", needs=IMAGENET, table="All classes"),
                Experiment(
                    "ImageNet-1k (10 %)", needs=IMAGENET, table="First 10 % of the classes",
                    open_vocabulary=True,
                ),
            ),
            paper_accuracy=_paper.TABLE_4,
            notes=(_PAPER_WEIGHTS,),
        ),
        ablation(),
        Protocol(
            "openood-near",
            "OpenOOD v1.5, near: ImageNet-1k against SSB-hard and NINCO",
            "imagenet",
            (Experiment("ImageNet-1k", needs=(*IMAGENET_OPENOOD, "ssb-hard", "ninco")),),
        ),
        Protocol(
            "openood-far",
            "OpenOOD v1.5, far: ImageNet-1k against iNaturalist, Textures and OpenImage-O",
            "imagenet",
            (
                Experiment(
                    "ImageNet-1k",
                    needs=(*IMAGENET_OPENOOD, "inaturalist-openood", "textures-openood", "openimage-o"),
                ),
            ),
        ),
        Protocol(
            "scenes",
            "The shipped model on scenes: 12 shapes against other shapes and against no shapes",
            "scenes",
            (Experiment("scenes"),),
            model="skneg-tiny",
            notes=(
                "EOE, NegLabel, CSP and ZOC are told names of unknown shapes, which flatters them; ZOC's "
                "captioner is a stand-in, CLIP's nearest words; CLIPN's tower is trained on 2,000 scenes.",
            ),
        ),
        Protocol(
            "real-features",
            "ImageNet embeddings of CLIP ViT-B/32: splits 1 to 4, and textures",
            "features",
            (
                *_FEATURES,
                *(
                    replace(e, name=f"{e.name} (10 %)", table="First 10 % of the classes, then all names",
                            open_vocabulary=True)
                    for e in _FEATURES
                ),
                Experiment(
                    "1,000 ID",
                    table="All 1,000 classes",
                    shared_ood=("dtd",),
                    max_seeds=1,
                    left_out={"LSNDetector": "contexts for each of 1,000 classes take too long here"},
                ),
            ),
            paper=(_paper.TABLE_3,),
            shots=4,
            notes=(
                "Every method reads class names with the same small distilled text tower, which has no "
                "room for 16 context vectors: CoOp and LSN start from 'a photo of a', with fewer and "
                "larger steps than published so that the run stays short. The column dtd of split 4 is "
                "100 known classes against textures.",
                "The paper's figures are for scale: ViT-B/16, 16 shots, 50 test images a class.",
            ),
        ),
        Protocol(
            "photos",
            "Your own images: a folder per known class, and folders of anything else",
            "photos",
            (Experiment("photos"),),
            notes=("Images that are not drawn for training are the test images of a seed.",),
        ),
    )
}  # fmt: skip


def find_protocol(name: str) -> Protocol:
    """A protocol by its name."""
    if name not in PROTOCOLS:
        hint = did_you_mean(name, PROTOCOLS)
        raise InputError(f"There is no protocol {name!r}.{hint} Protocols: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
