"""Long and crowded use: memory that stays, one cache for many processes, a service with bad requests."""

import asyncio
import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skneg import CLIPImageEncoder
from skneg.cache import EmbeddingCache

from ..conftest import run_python
from ..test_examples_serving import client, module, place  # noqa: F401  # fixtures

# Without torch, so that a process starts at once.
ON_ONE_CACHE = """
import sys, warnings
import numpy as np
from skneg.cache import EmbeddingCache
from skneg.images import as_image_sequence

warnings.simplefilter("error")
folder, seed, n_images, n_kept, n_calls = sys.argv[1], *map(int, sys.argv[2:])
pixels = np.random.default_rng(0).integers(0, 256, (n_images, 9, 9, 3), dtype=np.uint8)
means = pixels.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
rng = np.random.default_rng(seed)
cache = EmbeddingCache(folder, "0" * 32, max_bytes=n_kept * 4096)


def tower(images):
    read = [np.asarray(images[i]).mean(axis=(0, 1), dtype=np.float64) for i in range(len(images))]
    return np.array(read, dtype=np.float32)


for _ in range(n_calls):
    rows = rng.integers(0, n_images, 9)
    np.testing.assert_array_equal(cache.encode_through(as_image_sequence(pixels[rows]), tower), means[rows])
print("right")
"""


def on_one_cache(folder, n_processes, n_images, n_kept, n_calls):
    """What processes say that read and fill one cache, which holds less than all of them ask for."""
    asked = [*map(str, (n_images, n_kept, n_calls))]
    children = [
        subprocess.Popen(
            [sys.executable, "-c", ON_ONE_CACHE, str(folder), str(seed), *asked], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for seed in range(n_processes)
    ]  # fmt: skip
    try:
        told = [child.communicate(timeout=300)[0].strip() for child in children]
    finally:
        for child in children:
            child.kill()
    cache = EmbeddingCache(folder, "0" * 32)
    assert 0 < len(cache) <= n_kept
    assert not list(Path(folder).rglob("*.unfinished"))
    return told


def test_processes_on_one_cache_with_eviction(tmp_path):
    assert on_one_cache(tmp_path, 3, n_images=40, n_kept=12, n_calls=30) == ["right"] * 3


@pytest.mark.slow
def test_eight_processes_on_one_cache_with_eviction(tmp_path):
    assert on_one_cache(tmp_path, 8, n_images=2000, n_kept=300, n_calls=400) == ["right"] * 8


@pytest.mark.slow
def test_eight_threads_on_one_cache_with_eviction(tmp_path, scenes, monkeypatch):
    monkeypatch.setenv("SKNEG_CACHE_SIZE", "120 KB")  # 30 of 120 images
    X = scenes[0]
    expected = CLIPImageEncoder(model="skneg-tiny").transform(X)
    wrong = []

    def work(seed):
        rng, encoder = np.random.default_rng(seed), CLIPImageEncoder(model="skneg-tiny", cache=tmp_path)
        try:
            for _ in range(40):
                rows = rng.integers(0, len(X), 10)
                np.testing.assert_allclose(encoder.transform(X[rows]), expected[rows], atol=1e-5)
        except BaseException as error:
            wrong.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert 0 < len(list(tmp_path.glob("*/??/*.safetensors"))) <= 30


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads the memory of Linux")
def test_memory_stays_over_two_thousand_calls(tmp_path):
    code = f"""
import gc, os
import numpy as np
import skneg
from skneg.datasets import make_scenes

X, y = make_scenes(60, shapes=["heart", "key", "star"], random_state=0)
detector = skneg.NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
encoder = skneg.CLIPImageEncoder(model="skneg-tiny", cache={str(tmp_path)!r})
Z = encoder.transform(X)


def memory():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def call(number):
    rows = np.arange(number, number + 4) % len(X)
    detector.predict(X[rows] if number % 2 else Z[rows])
    if number % 10 == 0:
        encoder.transform(X[rows])
        detector.explain(X[rows])


for number in range(300):
    call(number)
before = memory()
for number in range(2000):
    call(number)
print(before, memory())
"""
    before, after = map(int, run_python(code).split())
    assert after < 1.02 * before, f"{before / 2**20:.0f} MiB, then {after / 2**20:.0f} MiB"
    print(f"{before / 2**20:.0f} MiB, then {after / 2**20:.0f} MiB")


@pytest.mark.slow
def test_the_service_under_two_hundred_requests_at_a_time(client, module, place):  # noqa: F811
    import httpx

    files = sorted(place.glob("*.png"))
    good = [file.read_bytes() for file in files]
    alone = [client.post("/predict", files=[("files", ("a.png", data))]).json() for data in good]
    Image.new("L", (4000, 3), 1).save(strip := io.BytesIO(), "PNG")
    bad = [
        ([("files", ("bad.png", b"no image"))], 422),
        ([("files", ("bad.png", good[0][:60]))], 422),
        ([("files", ("bad.png", strip.getvalue()))], 422),
        ([("files", ("many.png", b"x"))] * (module.MAX_FILES + 1), 413),
        ([("other", ("a.png", good[0]))], 422),
        ([("files", ("large.png", bytes(module.MAX_BYTES + 1)))], 413),
    ]

    async def ask(asking, number):
        if number % 4 == 3:
            files, code = bad[number // 4 % len(bad)]
            return (await asking.post("/predict", files=files)).status_code == code
        row = number % len(good)
        response = await asking.post("/predict", files=[("files", ("a.png", good[row]))])
        told, right = response.json()[0], alone[row][0]
        same = {**told, "p_value": 0} == {**right, "p_value": 0}
        return response.status_code == 200 and same and abs(told["p_value"] - right["p_value"]) < 1e-6

    async def ask_all():
        transport = httpx.ASGITransport(app=module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=300) as asking:
            return await asyncio.gather(*(ask(asking, number) for number in range(200)))

    assert asyncio.run(ask_all()) == [True] * 200
