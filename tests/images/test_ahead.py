"""Images are read by threads, ahead of what is done with them."""

import threading
import time

import pytest

from skneg.images._ahead import read_ahead


def settled(rows):
    """Rows that have been read, once no thread reads any more of them."""
    before = -1
    while len(rows) != before:
        before = len(rows)
        time.sleep(0.05)
    return sorted(rows)


@pytest.mark.parametrize("n", [0, 1, 3, 50])
def test_results_come_in_order(n):
    with read_ahead(lambda row: time.sleep(0.01 * (row % 3)) or row, n, ahead=4) as results:
        assert list(results) == list(range(n))


def test_no_more_rows_are_read_than_are_allowed_ahead():
    rows = []
    with read_ahead(rows.append, 100, ahead=5) as results:
        next(results)
        assert settled(rows) == list(range(6))
        for _ in range(10):
            next(results)
        assert settled(rows) == list(range(16))
    assert settled(rows) == list(range(16))


def test_an_error_comes_in_its_place_and_ends_the_threads():
    n_threads, rows = threading.active_count(), []

    def read(row):
        rows.append(row)
        if row == 2:
            raise ValueError("row 2")
        time.sleep(0.02)
        return row

    got = []
    with pytest.raises(ValueError, match="row 2"), read_ahead(read, 1000, ahead=500) as results:
        got.extend(iter(results.__next__, None))
    assert got == [0, 1]
    assert len(rows) < 100  # what had been begun
    assert threading.active_count() == n_threads


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_of_whoever_takes_the_results_ends_the_threads(error):
    n_threads, rows = threading.active_count(), []

    def take_one():
        with read_ahead(lambda row: rows.append(row) or time.sleep(0.02), 1000, ahead=500) as results:
            next(results)
            raise error

    with pytest.raises(error):
        take_one()
    assert len(rows) < 100
    assert threading.active_count() == n_threads


def test_one_row_starts_no_thread():
    with read_ahead(lambda row: threading.current_thread(), 1) as results:
        assert list(results) == [threading.main_thread()]
