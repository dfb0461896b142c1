"""Downloads, from a hub on this machine that breaks off where a test wants it to."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import numpy as np
import pytest
from huggingface_hub import constants
from sklearn.utils.fixes import parse_version

from skneg.backbone import _loading, embedding_width, load_backbone
from skneg.backbone._download import hub_files
from skneg.backbone._tiny import TINY_FOLDER
from skneg.errors import BackboneError

from .test_config import changed
from .test_timm import saved

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


class Hub(BaseHTTPRequestHandler):
    """Has the shipped model as `someone/tiny`; drops the first connection that fetches weights, halfway."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        file = self.server.folder / self.path.rpartition("/")[2]
        owned = ("tiny", "other") if self.server.instead else ("tiny",)
        revisions = (f"/someone/{name}/resolve/{r}/" for name in owned for r in ("main", "0" * 40))
        is_known = self.path.startswith(tuple(revisions)) and file.is_file()
        body = self.server.instead.get(file.name, file.read_bytes()) if is_known else b""
        first = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])
        self.send_response(206 if first else 200 if is_known or self.path == "/" else 404)
        if is_known:
            self.send_header("ETag", f'"{len(body)}"')
            self.send_header("X-Repo-Commit", "0" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - first))
        self.end_headers()
        if with_body:
            is_cut = self.server.drops and not first and file.suffix == ".safetensors"
            self.server.ranges.append((file.name, first))
            self.wfile.write(body[first : len(body) // 2 if is_cut else len(body)])
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.drops, server.ranges, server.instead, server.folder = False, [], {}, TINY_FOLDER
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("/{repo_id}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}{''.join(template[1:])}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**20)  # the model is smaller than one chunk
    monkeypatch.setattr(_loading, "_loaded", {})
    yield server
    server.shutdown()
    server.server_close()


def test_a_download_says_its_size_and_place_once(hub, tmp_path, caplog):
    load_backbone("hf-hub:someone/tiny")
    said = [record.getMessage() for record in caplog.records if record.name.startswith("skneg")]
    size = (TINY_FOLDER / "open_clip_model.safetensors").stat().st_size / 1e6
    assert said == [f"Downloading open_clip_model.safetensors of someone/tiny: {size:.1f} MB, to {tmp_path}"]
    caplog.clear()
    _loading._loaded.clear()
    load_backbone("hf-hub:someone/tiny")
    assert not [record for record in caplog.records if record.name.startswith("skneg")]


def test_a_configuration_of_the_hub_is_refused_before_weights_are_fetched(hub):
    config = changed("model_cfg.text_cfg.tokenizer_kwargs.trust_remote_code", True)
    hub.instead = {"open_clip_config.json": json.dumps(config).encode()}
    for load in (load_backbone, embedding_width):
        with pytest.raises(BackboneError, match="trust_remote_code is not allowed"):
            load("hf-hub:someone/tiny")
    assert {name for name, _ in hub.ranges} == {"open_clip_config.json"}


def test_a_model_of_timm_comes_from_the_hub_as_from_a_folder(hub, tmp_path, caplog):
    hub.folder = saved(tmp_path / "theirs")
    backbone = load_backbone("timm:hf-hub:someone/tiny", device="cpu")
    assert backbone.weights_sha256 == load_backbone(f"timm:local-dir:{hub.folder}").weights_sha256
    assert embedding_width("timm:hf-hub:someone/tiny") == 64
    assert "Downloading model.safetensors of someone/tiny" in caplog.text
    assert {name for name, _ in hub.ranges} == {"config.json", "model.safetensors"}
    hub.instead = {"config.json": b'{"architecture": "test_vit", "model_args": {"checkpoint_path": "x"}}'}
    hub.ranges.clear()
    with pytest.raises(BackboneError, match="checkpoint_path is not allowed"):
        load_backbone("timm:hf-hub:someone/other")
    with pytest.raises(BackboneError, match="'timm:test_vit.r160_in1k' could not be loaded"):
        load_backbone("timm:test_vit.r160_in1k")  # which this hub does not have
    assert "model.safetensors" not in {name for name, _ in hub.ranges}


@pytest.mark.skipif(parse_version(version("huggingface_hub")) < parse_version("1.20"), reason="it gives up")
def test_a_connection_that_drops_goes_on_where_it_broke_off(hub):
    hub.drops = True
    backbone = load_backbone("hf-hub:someone/tiny")
    starts = [first for name, first in hub.ranges if name.endswith(".safetensors")]
    assert starts[0] == 0
    assert 2**20 <= starts[1] <= 5e6
    np.testing.assert_array_equal(
        backbone.text_tower.encode(["a star"]), load_backbone("skneg-tiny").text_tower.encode(["a star"])
    )


def test_a_model_that_the_hub_does_not_have_fails_within_ten_seconds(hub, caplog):
    began = time.monotonic()
    with pytest.raises(BackboneError, match="'hf-hub:someone/else' could not be loaded"):
        load_backbone("hf-hub:someone/else")
    assert time.monotonic() - began < 10
    assert not [record for record in caplog.records if record.name.startswith("skneg")]


def test_a_hub_that_does_not_answer_fails_within_ten_seconds(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(BackboneError, match="does not answer"):
        load_backbone("hf-hub:someone/tiny")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("model", "pretrained", "repository", "first"),
    [
        ("hf-hub:someone/tiny", None, "someone/tiny", "open_clip_model.safetensors"),
        (
            "ViT-B-16",
            "laion2b_s34b_b88k",
            "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
            "open_clip_model.safetensors",
        ),
        ("RN50", "nothing", "", "open_clip_model.safetensors"),
    ],
)
def test_weights_lie_where_open_clip_looks_for_them(model, pretrained, repository, first):
    found, names = hub_files(model, pretrained)
    assert (found, names[0]) == (repository, first)
