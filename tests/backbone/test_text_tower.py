"""Texts to embeddings, and what prompt learning needs to know of a text tower."""

import copy

import numpy as np
import pytest
import torch

from skneg.backbone import load_backbone
from skneg.errors import VocabularyError

from ..prompts.conftest import build_tower


@pytest.fixture
def tower():
    return load_backbone("skneg-tiny").text_tower


def test_too_long_texts_are_refused_by_name(tower):
    name = "very " * 40 + "long"
    with pytest.raises(ValueError, match=r"very very.*number 1\).*32 tokens"):
        tower.tokenize(["short", name])


def test_temperature_is_the_inverse_logit_scale(tower):
    assert tower.temperature == pytest.approx(1 / float(tower.module.logit_scale.exp()))


def test_a_too_long_text_may_go_by_another_name(tower):
    with pytest.raises(VocabularyError, match=r"class name 'whale' \(number 0\)"):
        tower.tokenize(["very " * 40 + "large whale"], names=["whale"])
    fits = "x " * (tower.context_length - 2)  # beside the start and the end token
    assert tower.tokenize([fits]).shape == (1, tower.context_length)
    with pytest.raises(VocabularyError):
        tower.tokenize([fits + "x"])


def test_texts_are_encoded_alike_in_one_chunk_and_in_several(tower, monkeypatch):
    texts = [f"a photo of {number} stars" for number in range(5)]
    whole = tower.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    monkeypatch.setattr("skneg.backbone._text_tower._CHUNK", 2)
    np.testing.assert_allclose(tower.encode(texts), whole, atol=1e-6)


TEXTS = ["a key", "a photo of a rusty old gate beside the harbour of a town", "a photo of a star", "a"]


@pytest.mark.parametrize(
    "name", ["ViT-B-16", "ViT-B-32-quickgelu", "EVA02-B-16", "coca_ViT-B-32", "MobileCLIP-S1"]
)
def test_texts_are_encoded_as_open_clip_does_it(name):
    tower = build_tower(name)
    with torch.inference_mode():
        whole = torch.nn.functional.normalize(tower.encode_tokens(tower.tokenize(TEXTS)), dim=-1)
    np.testing.assert_allclose(tower.encode(TEXTS), whole.numpy(), atol=1e-6)
    np.testing.assert_allclose(tower.encode(TEXTS[::-1])[::-1], whole.numpy(), atol=1e-6)
    for text, row in zip(TEXTS, whole.numpy(), strict=True):
        np.testing.assert_allclose(tower.encode([text])[0], row, atol=1e-6)
    np.testing.assert_array_equal(tower.encode(TEXTS), tower.encode(TEXTS))


def test_no_text_has_no_embedding(tower):
    assert tower.encode([]).shape == (0, tower.embed_dim)


def test_a_tower_may_pool_the_end_token_by_its_id():
    tower = build_tower("ViT-B-16")
    expected = tower.encode(TEXTS)
    tower.module.text_pool_type, tower.module.text_eos_id = "eos", 49407
    np.testing.assert_allclose(tower.encode(TEXTS), expected, atol=1e-6)


def test_nothing_is_computed_behind_the_end_of_a_text_and_long_texts_go_apart(tower):
    sizes = []
    transformer = tower.module.transformer
    handle = transformer.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape))
    try:
        tower.encode(["a key"])
        tower.encode(["a key"] * 20 + [TEXTS[1]] + ["a star"] * 20)
    finally:
        handle.remove()
    longest = int(tower.pooled_positions(tower.tokenize([TEXTS[1]]))) + 1
    assert [tuple(size[:2]) for size in sizes] == [(1, 4), (40, 4), (1, longest)]


def test_replaced_vectors_stand_in_for_the_tokens_at_their_place(tower):
    written, spoken = tower.tokenize(["a photo of a key", "a photo of a star"])
    word = tower.token_embedding(spoken)[5:6].detach().clone()  # behind the start token and four words
    plain = tower.encode_tokens(torch.stack([written, spoken]))
    with tower.replaced_vectors(word, 5):
        replaced = tower.encode_tokens(torch.stack([written, spoken]))
    torch.testing.assert_close(replaced, plain[[1, 1]])
    assert not torch.allclose(plain[0], plain[1], atol=0.1)


def test_each_text_may_have_vectors_of_its_own(tower):
    tokens = tower.tokenize(["a photo of a key", "a photo of a star"])
    words = tower.token_embedding(tokens)[:, 5:6].detach().clone()
    plain = tower.encode_tokens(tokens)
    with tower.replaced_vectors(words.flip(0), 5):
        torch.testing.assert_close(tower.encode_tokens(tokens), plain.flip(0))


def test_the_replacement_ends_with_its_context_also_after_an_error(tower):
    before = tower.encode(["a photo of a star"])

    def fail():
        with tower.replaced_vectors(torch.ones(2, tower.width), 1):
            assert (tower.encode(["a photo of a star"]) != before).any()
            raise KeyError("amid the context")

    with pytest.raises(KeyError):
        fail()
    np.testing.assert_array_equal(tower.encode(["a photo of a star"]), before)


def test_a_copy_of_the_tower_is_not_replaced_with_the_original(tower):
    copied = copy.deepcopy(tower.token_embedding)
    tokens = tower.tokenize(["a photo of a star"])
    expected = copied(tokens)
    with tower.replaced_vectors(torch.ones(1, tower.width), 1):
        assert torch.equal(copied(tokens), expected)
        assert torch.equal(tower.token_embedding(tokens)[0, 1], torch.ones(tower.width))


@pytest.mark.parametrize("name", ["ViT-B-16", "EVA02-B-16"])
def test_the_pooled_token_is_the_last_that_a_causal_tower_reads(name):
    tower = build_tower(name)
    tokens = tower.tokenize(["a key", "a photo of a star"])
    positions = tower.pooled_positions(tokens)
    assert tower.causal
    assert positions.tolist() == [3, 6]  # start token, words, end token
    behind = tokens.clone()
    for row, position in zip(behind, positions, strict=True):
        row[position + 1 :] = 5
    amid = tokens.clone()
    amid[:, 1] = 5
    expected = tower.encode_tokens(tokens)
    torch.testing.assert_close(tower.encode_tokens(behind), expected)
    assert not torch.allclose(tower.encode_tokens(amid), expected)


def test_sizes_are_those_of_what_comes_out(tower):
    assert tower.embed_dim == tower.encode(["a"]).shape[1]
    assert tower.width == tower.token_embedding(tower.tokenize(["a"])).shape[-1]
