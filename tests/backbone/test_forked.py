import pytest
import torch

from skneg.backbone import _forked, load_backbone
from skneg.errors import BackboneError


@pytest.fixture
def forked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)


@pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
def test_a_gpu_that_the_process_before_the_fork_uses_is_refused(device, forked, monkeypatch):
    monkeypatch.setattr(_forked, "_kinds", {"cpu", "cuda"})
    with pytest.raises(BackboneError, match=r"forked.*'spawn'.*'forkserver'.*loky"):
        load_backbone("skneg-tiny", device=device)
    assert load_backbone("skneg-tiny", device="cpu").name == "skneg-tiny"


def test_nothing_is_refused_where_no_gpu_was_used(forked, monkeypatch):
    monkeypatch.setattr(_forked, "_kinds", {"cpu"})
    _forked.refuse_gpu_after_fork("auto")


def test_nothing_is_refused_where_nothing_was_forked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: False)
    monkeypatch.setattr(_forked, "_kinds", {"cuda"})
    _forked.refuse_gpu_after_fork("auto")
