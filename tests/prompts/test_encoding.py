import threading

import numpy as np
import pytest
import torch

from skneg.errors import InputError, VocabularyError
from skneg.prompts import PromptEncoder, context_from_text, encode_prompts

from .conftest import NAMES, build_tower

# name -> whether the tower is causal; read off open_clip's configs
TOWERS = {
    "ViT-B-16": True,
    "ViT-B-32-quickgelu": True,
    "RN50": True,
    "ViT-L-14": True,
    "EVA02-B-16": True,
    "MobileCLIP-B": True,
    "MobileCLIP-S1": False,
    "coca_ViT-B-32": False,
    "ViT-B-16-SigLIP": False,
}


@pytest.fixture(scope="module", params=TOWERS)
def tower(request):
    return build_tower(request.param), TOWERS[request.param]


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def gradient(tower, contexts, **options) -> torch.Tensor:
    leaf = contexts.clone().requires_grad_()
    features = encode_prompts(tower, leaf, NAMES, **options)
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad((features * weights).sum(), leaf)[0]


def test_hand_written_contexts_give_open_clips_own_embeddings(tower):
    tower, causal = tower
    assert tower.causal is causal
    contexts = context_from_text(tower, "a photo of a")[None].expand(2, -1, -1)
    tokens = tower.tokenize([f"a photo of a {name}" for name in NAMES])
    with torch.no_grad():
        expected = tower.encode_tokens(tokens)
        got = encode_prompts(tower, contexts, NAMES)
    torch.testing.assert_close(got[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(got[1], got[0], atol=1e-5, rtol=0)


def test_gradients_equal_the_full_length_pass(tower):
    tower, _ = tower
    noise = torch.randn(2, 4, tower.width, generator=torch.Generator().manual_seed(0))
    contexts = context_from_text(tower, "a photo of a") + 0.01 * noise
    expected = gradient(tower, contexts, method="full_length")
    assert relative(gradient(tower, contexts), expected) < 1e-4
    assert relative(gradient(tower, contexts, max_tokens=9), expected) < 1e-4


def test_class_specific_contexts_equal_shared_ones_where_they_are_the_same(tiny_tower):
    contexts = torch.randn(2, 3, tiny_tower.width, generator=torch.Generator().manual_seed(0)) * 0.1
    own = contexts[:, None].expand(-1, len(NAMES), -1, -1)
    torch.testing.assert_close(
        encode_prompts(tiny_tower, own, NAMES), encode_prompts(tiny_tower, contexts, NAMES), atol=1e-5, rtol=0
    )
    expected = gradient(tiny_tower, contexts)
    for options in ({}, {"max_tokens": 20}, {"method": "full_length"}):
        assert relative(gradient(tiny_tower, own, **options).sum(dim=1), expected) < 1e-4


def test_class_specific_contexts_stay_with_their_class(tiny_tower):
    own = torch.randn(1, len(NAMES), 3, tiny_tower.width, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = encode_prompts(tiny_tower, own, NAMES, max_tokens=20)
    for i, name in enumerate(NAMES):
        alone = encode_prompts(tiny_tower, own[:, i], [name])
        torch.testing.assert_close(whole[:, i], alone[:, 0], atol=1e-5, rtol=0)


def test_rows_keep_the_order_of_the_names_whatever_the_chunks(tiny_tower):
    contexts = torch.randn(2, 3, tiny_tower.width, generator=torch.Generator().manual_seed(0)) * 0.1
    whole = encode_prompts(tiny_tower, contexts, NAMES)
    for max_tokens in (1, 8, 17):
        chunked = encode_prompts(tiny_tower, contexts, NAMES, max_tokens=max_tokens)
        torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=0)
    backwards = encode_prompts(tiny_tower, contexts, NAMES[::-1])
    torch.testing.assert_close(backwards.flip(1), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("max_tokens", [9, 512])
def test_some_names_are_encoded_as_among_all_in_the_order_asked_for(tiny_tower, own, max_tokens):
    shape = (2, len(NAMES), 3) if own else (2, 3)
    contexts = torch.randn(*shape, tiny_tower.width, generator=torch.Generator().manual_seed(0)) * 0.1
    encoder = PromptEncoder(tiny_tower, 3, NAMES, max_tokens=max_tokens)
    rows = torch.tensor([3, 0, 2])
    features, gradients = [], []
    for leaf in (contexts.clone().requires_grad_() for _ in range(2)):
        some = encoder(leaf)[:, rows] if not features else encoder(leaf, rows=rows)
        features.append(some.detach())
        gradients.append(torch.autograd.grad(some.square().sum(), leaf)[0])
    torch.testing.assert_close(*features, atol=1e-5, rtol=0)
    assert relative(*gradients) < 1e-4
    if own:
        assert not gradients[1][:, [1, 4]].any()


def test_names_are_tokenized_once(tiny_tower, monkeypatch):
    encoder = PromptEncoder(tiny_tower, 3, NAMES)
    monkeypatch.setattr(type(tiny_tower), "tokenize", lambda *_: pytest.fail("tokenized again"))
    contexts = torch.zeros(1, 3, tiny_tower.width)
    assert encoder(contexts, rows=torch.tensor([4, 1])).shape[1] == 2
    assert encoder(contexts).shape[1] == len(NAMES)


def test_normalize_gives_unit_rows(tiny_tower):
    features = encode_prompts(tiny_tower, torch.zeros(1, 2, tiny_tower.width), NAMES, normalize=True)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(1, len(NAMES)))


@pytest.mark.parametrize("n_ctx", [1, 2, 16])
def test_any_number_of_context_vectors(tiny_tower, n_ctx):
    contexts = torch.randn(1, n_ctx, tiny_tower.width, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(
        encode_prompts(tiny_tower, contexts, NAMES),
        encode_prompts(tiny_tower, contexts, NAMES, method="full_length"),
        atol=1e-5,
        rtol=0,
    )


def test_overlong_names_are_refused_by_name(tiny_tower):
    names = ["cat", "an exceedingly long name " * 5]
    with pytest.raises(VocabularyError, match="exceedingly.*number 1"):
        encode_prompts(tiny_tower, torch.zeros(1, 4, tiny_tower.width), names)
    fits = "x " * (32 - 4 - 2)  # start and end tokens beside four context vectors
    assert encode_prompts(tiny_tower, torch.zeros(1, 4, tiny_tower.width), [fits]).shape == (1, 1, 128)
    with pytest.raises(VocabularyError):
        encode_prompts(tiny_tower, torch.zeros(1, 4, tiny_tower.width), [fits + "x"])


@pytest.mark.parametrize("shape", [(4, 64), (1, 4, 65), (1, 3, 4, 64)])
def test_contexts_of_a_wrong_shape_are_refused(tiny_tower, shape):
    with pytest.raises(InputError, match="contexts"):
        encode_prompts(tiny_tower, torch.zeros(shape), NAMES)


def test_threads_do_not_see_each_other_s_contexts(tiny_tower):
    contexts = torch.ones(1, 4, tiny_tower.width)
    expected = tiny_tower.encode(["a photo of a star"] * 4)
    stop = threading.Event()

    def elsewhere():
        while not stop.is_set():
            encode_prompts(tiny_tower, contexts, NAMES, method="full_length")

    thread = threading.Thread(target=elsewhere)
    thread.start()
    try:
        for _ in range(20):
            np.testing.assert_array_equal(tiny_tower.encode(["a photo of a star"] * 4), expected)
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("contexts", "names", "message"),
    [
        (torch.zeros(1, 4, 64), "cat", "one string"),
        (torch.zeros(1, 4, 64), [], "empty"),
        (np.zeros((1, 4, 64)), NAMES, "float tensor"),
    ],
)
def test_odd_arguments_are_named(tiny_tower, contexts, names, message):
    with pytest.raises(ValueError if names == [] else TypeError, match=message):
        encode_prompts(tiny_tower, contexts, names)


def test_unknown_or_impossible_methods_are_refused(tiny_tower):
    with pytest.raises(InputError, match="method"):
        PromptEncoder(tiny_tower, 4, NAMES, method="fast")
    with pytest.raises(InputError, match="causal"):
        PromptEncoder(build_tower("MobileCLIP-S1"), 4, NAMES, method="shared_prefix")
