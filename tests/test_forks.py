import os
import threading

import pytest

from skneg._forks import ForkLock, cached_property

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")


@needs_fork
def test_a_lock_that_another_thread_holds_is_free_after_a_fork():
    lock, is_held, is_over = ForkLock(), threading.Event(), threading.Event()

    def hold():
        with lock.held():
            is_held.set()
            is_over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if lock._lock.acquire(timeout=5) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not lock._lock.acquire(blocking=False)  # still held here
    is_over.set()
    holder.join()
    with lock.held():
        pass


@needs_fork
def test_a_fork_while_it_is_held_by_the_same_thread_leaves_it_in_order():
    lock, child = ForkLock(), -1
    with lock.held():
        child = os.fork()
    if child == 0:
        os._exit(0 if lock._lock.acquire(blocking=False) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Counts:
    n = 0

    @cached_property
    def value(self):
        """What is counted."""
        self.n += 1
        return self.n


def test_a_property_is_computed_once_for_an_object():
    one, other = Counts(), Counts()
    assert [one.value, one.value, other.value] == [1, 1, 1]
    assert Counts.value.__doc__ == "What is counted."


def test_objects_do_not_wait_for_each_other():
    class Waits:
        @cached_property
        def value(self):
            both.wait(30)
            return 1

    both = threading.Barrier(2)
    threads = [threading.Thread(target=lambda: Waits().value) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not both.broken
