import pytest
import torch

from skneg import SknegError
from skneg.backbone import load_backbone
from skneg.backbone._splitting import encode_splitting


def small_memory(limit, seen):
    def forward(a, b):
        seen.append(len(a))
        if len(a) > limit:
            raise torch.OutOfMemoryError
        return a + b

    return forward


def test_pieces_are_halved_until_they_fit_and_stay_in_order():
    seen, rows = [], torch.arange(11)
    pieces, size = encode_splitting(small_memory(3, seen), (rows, rows), 64, "row")
    assert torch.equal(torch.cat(pieces), 2 * rows)
    assert size == 2
    assert seen == [11, 5, 2, 2, 2, 2, 2, 1]


def test_a_row_that_does_not_fit_is_an_error_with_a_way_out():
    with pytest.raises(SknegError, match="too little memory to encode one row; use device='cpu'"):
        encode_splitting(small_memory(0, []), (torch.arange(4), torch.arange(4)), 4, "row")


def test_texts(monkeypatch):
    tower = load_backbone("skneg-tiny").text_tower
    texts = [f"a photo of {number} stars" for number in range(20)]
    expected, forward, sizes = tower.encode(texts), tower._encode_trimmed, []

    def short(tokens, lengths):
        sizes.append(len(tokens))
        if len(tokens) > 6:
            raise torch.OutOfMemoryError
        return forward(tokens, lengths)

    monkeypatch.setattr(tower, "_encode_trimmed", short)
    assert abs(tower.encode(texts) - expected).max() < 1e-6
    assert max(sizes) > 6 >= sizes[-1]
