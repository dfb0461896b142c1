"""Processes that are forked off one in which a detector has answered."""

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")

# torch with two threads, which a fork does not copy.
BEFORE = """
import multiprocessing, os, threading, time
import numpy as np, torch
from skneg import CLIPImageEncoder, KNNDetector, NegPromptDetector
from skneg.datasets import make_scenes

torch.set_num_threads(2)
X, y = make_scenes(24, shapes=["heart", "key", "star"], random_state=0)
encoder = CLIPImageEncoder(model="skneg-tiny")
detector = KNNDetector(model="skneg-tiny").fit(X, y)
expected, embeddings = detector.score_samples(X), encoder.transform(X)


def works(_=None):
    np.testing.assert_allclose(encoder.transform(X), embeddings, atol=1e-5)
    np.testing.assert_allclose(detector.score_samples(X), expected, atol=1e-5)
    return os.getpid()


def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


# Each prints one line.
CASES = {
    "a child of fork": "print(in_child(works), in_child(works), works() > 0)",
    # Such as a server that loads first, and forks its workers off a forked arbiter.
    "a fork of a fork": "print(in_child(lambda: os._exit(in_child(works))))",
    "a pool": """
with multiprocessing.get_context("fork").Pool(2) as pool:
    pids = set(pool.map(works, range(6)))
print(len(pids) <= 2, os.getpid() in pids)
""",
    "workers of a data loader": """
class Answers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, row):
        return encoder.transform(X[row : row + 1])[0], detector.score_samples(X[row : row + 1])[0]

loader = torch.utils.data.DataLoader(Answers(), 4, num_workers=2, multiprocessing_context="fork")
found = [np.concatenate(parts) for parts in zip(*((e.numpy(), s.numpy()) for e, s in loader))]
np.testing.assert_allclose(found[0], embeddings[:8], atol=1e-5)
np.testing.assert_allclose(found[1], expected[:8], atol=1e-5)
print("right")
""",
    "a child that trains": """
def fits():
    fitted = NegPromptDetector(model="skneg-tiny", random_state=0).fit(X, y)
    assert (fitted.predict(X) == y).mean() > 0.5

print(in_child(fits))
""",
    # Whatever locks and pools of threads are in use at the moment of the fork.
    "forks while threads answer": """
is_over = threading.Event()

def answer():
    while not is_over.is_set():
        works()

threads = [threading.Thread(target=answer) for _ in range(3)]
for thread in threads:
    thread.start()
codes = []
for _ in range(12):
    time.sleep(0.05)
    codes.append(in_child(works))
is_over.set()
for thread in threads:
    thread.join()
print(codes == [0] * 12)
""",
    "a fork while a thread loads a model": """
from skneg.backbone import _loading

def load():
    with _loading._lock.held():
        is_held.set()
        is_over.wait(60)

is_held, is_over = threading.Event(), threading.Event()
thread = threading.Thread(target=load)
thread.start()
is_held.wait(60)
print(in_child(works))
is_over.set()
thread.join()
""",
}
RIGHT = ["0 0 True", "0", "True False", "right", "0", "True", "0"]


@pytest.fixture(scope="module")
def told():
    """What each case prints, in one process that is killed with its children when late."""
    told = [f"\nprint({name!r}, end=': ', flush=True)\n{case}" for name, case in CASES.items()]
    code = BEFORE + "".join(told)
    given = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", code], env=given, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = child.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, _ = child.communicate()
    return out


@pytest.mark.parametrize(("name", "right"), list(zip(CASES, RIGHT, strict=True)))
def test_forked_processes_answer(name, right, told):
    assert f"{name}: {right}" in told.splitlines(), told
