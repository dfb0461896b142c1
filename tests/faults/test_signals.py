"""Ctrl-C at any moment: a detector, its file and its cache stay as they were, or are new as a whole."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")

CODE = """
import os, random, signal, sys, threading, time, warnings
from pathlib import Path
import numpy as np
import skneg
from skneg import CLIPImageEncoder, KNNDetector, NegPromptDetector
from skneg.datasets import make_scenes

warnings.simplefilter("error")
warnings.simplefilter("ignore", skneg.errors.InputWarning)
warnings.simplefilter("ignore", skneg.errors.CalibrationWarning)
folder, N = Path(sys.argv[1]), int(sys.argv[2])
rng = random.Random(0)
X, y = make_scenes(60, shapes=["heart", "key", "star"], random_state=0)
plain = CLIPImageEncoder(model="skneg-tiny").transform(X)
learned = NegPromptDetector(model="skneg-tiny", random_state=0).fit(plain, y)
detector = KNNDetector(model="skneg-tiny", random_state=0).fit(X[:30], y[:30])
file = folder / "a.skneg"
detector.save(file)


def cached():
    encoder = CLIPImageEncoder(model="skneg-tiny", cache=folder / f"cache{len(times)}")
    np.testing.assert_allclose(encoder.transform(X), plain, atol=1e-5)


works = {
    "fit": lambda: detector.fit(X[::2], y[::2]),
    "fit again": lambda: detector.fit(X[:30], y[:30]),
    "learn": lambda: learned.fit(plain, y),
    "set_vocabulary": lambda: learned.set_vocabulary(["heart", "key", "star"]),
    "add_images": lambda: detector.add_images(X[30:], y[30:]),
    "calibrate": lambda: detector.calibrate(X[30:], y[30:]),
    "encode": cached,
    "save": lambda: [detector.save(file) for _ in range(20)],
    "load": lambda: [skneg.load(file) for _ in range(20)],
}


def others():
    # tqdm's own thread stays once a bar was made.
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name != "MainThread"]


def score(one):
    return one.score_samples(plain).tobytes(), one.offset_, one.predict(plain).tolist()


def run(work, delay):
    # A real SIGINT after a delay, or at the latest once all is done; True where it came in between.
    def press():
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)

    thread, is_done = threading.Thread(target=press), False
    try:
        thread.start()
        work()
        is_done = True
        time.sleep(60)
    except KeyboardInterrupt:
        thread.join()
        return not is_done


times, n_interrupted = {}, 0
for name, work in works.items():
    start = time.perf_counter()
    work()
    times[name] = time.perf_counter() - start
for number in range(N):
    name = list(works)[number % len(works)]
    before = score(detector), score(learned), score(skneg.load(file))
    times[number] = 0  # a cache of its own
    n_interrupted += run(works[name], rng.random() * times[name])
    after = score(detector), score(learned), score(skneg.load(file))
    # Whole, and what was not worked on as before.
    if name in ("encode", "load", "save", "learn", "set_vocabulary"):
        assert after[0] == before[0], (name, "changed one")
    if name not in ("learn", "set_vocabulary"):
        assert after[1] == before[1], (name, "changed another")
    assert after[2] in (before[2], before[0]), (name, "the file")
    cached()  # with warnings as errors: no entry is damaged
    assert not list(folder.rglob("*.unfinished")), name
    late = time.monotonic() + 10  # threads that read images end what they are at
    while (left := others()) and time.monotonic() < late:
        time.sleep(0.01)
    assert not left, (name, left)
print("done", N, n_interrupted)
"""


def interrupted(n, folder, seconds):
    given = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder), str(n)], env=given, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        pytest.fail("it hangs:" + "".join(child.communicate()))
    assert child.returncode == 0, out + err
    done, asked, n_interrupted = out.split()
    assert (done, int(asked)) == ("done", n)
    return int(n_interrupted)


def test_nothing_is_lost_by_an_interrupt(tmp_path):
    assert interrupted(18, tmp_path, 300) > 3


@pytest.mark.slow
def test_nothing_is_lost_by_many_interrupts(tmp_path):
    n_interrupted = interrupted(180, tmp_path, 1200)
    print(f"{n_interrupted} of 180 came before the end")
    assert n_interrupted > 60
