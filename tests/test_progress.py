from skneg._progress import progress_bar

from .conftest import run_python


def test_a_bar_is_drawn_where_one_is_wanted(capsys):
    with progress_bar(3, "counting", "thing", True) as bar:
        bar.update(3)
    assert "counting: 100%" in capsys.readouterr().err


def test_a_silent_one_draws_nothing_and_imports_nothing(capsys):
    with progress_bar(3, "counting", "thing", False) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
    code = "import sys; from skneg._progress import progress_bar; progress_bar(3, 'a', 'b', 0); "
    assert run_python(code + "print('tqdm' in sys.modules)") == "False"


def test_a_prediction_starts_no_thread_that_stays():
    code = """
import threading
from skneg import CLIPImageEncoder
from skneg.datasets import make_scenes
CLIPImageEncoder(model="skneg-tiny").transform(make_scenes(9, random_state=0)[0])
print([thread.name for thread in threading.enumerate()])
"""
    assert run_python(code) == "['MainThread']"
