"""Further processes: their results are waited for, their faults raised, and none is left behind."""

import multiprocessing
import os
import signal
import time

import pytest

from speechalign.commands.sharing import beside
from speechalign.errors import UserError

SECONDS = 60.0


def wait_for(what) -> None:
    deadline = time.monotonic() + SECONDS
    while what() and time.monotonic() < deadline:
        time.sleep(0.05)


def refuse(word: str) -> None:
    raise UserError(f"refused: {word}")


def run(work, arguments) -> None:
    with beside(work, arguments) as working:
        wait_for(working)


def test_without_further_processes_nothing_is_at_work():
    with beside(refuse, []) as working:
        assert not working()


def test_a_fault_is_raised():
    with pytest.raises(UserError, match="refused: this"):
        run(refuse, [("this",)])


def test_a_process_that_is_killed_is_told():
    with pytest.raises(UserError, match="A further process was killed"):
        run(os._exit, [(1,)])


def interrupted() -> None:
    with beside(time.sleep, [(SECONDS,), (SECONDS,)]) as working:
        assert working()
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGINT)  # as a terminal does
        time.sleep(0.5)
        assert working()
        raise KeyboardInterrupt


def test_an_interrupt_reaches_the_first_which_ends_the_others():
    before, start = multiprocessing.active_children(), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    wait_for(lambda: set(multiprocessing.active_children()) - set(before))
    assert time.monotonic() - start < SECONDS / 2
