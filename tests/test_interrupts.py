"""Ctrl-C waits while a library could swallow it, and is not lost."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from speechalign.interrupts import interrupts_held, unheard_by_children


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def held(*steps) -> None:
    with interrupts_held():
        for step in steps:
            step()


def half() -> None:
    raise ValueError("half a file")


def test_an_interrupt_waits_until_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt):
        held(interrupt, interrupt, lambda: done.append("all"))
    assert done == ["all"]
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_an_interrupt_wins_over_a_fault_that_it_may_have_made():
    with pytest.raises(KeyboardInterrupt):
        held(interrupt, half)


def test_a_fault_without_an_interrupt_is_raised():
    with pytest.raises(ValueError, match="half a file"):
        held(half)


def test_where_interrupts_are_ignored_they_stay_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_held():
            interrupt()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_than_the_first_leaves_them_alone():
    found = []

    def look() -> None:
        with interrupts_held():
            found.append(signal.getsignal(signal.SIGINT))

    other = threading.Thread(target=look)
    other.start()
    other.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_processes_that_are_started_do_not_hear_an_interrupt():
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    with unheard_by_children():
        started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert started.stdout == "True\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("others", [0, 3])
def test_an_interrupt_while_processes_are_started_comes_at_the_end(others):
    done, end = [], threading.Event()
    for _ in range(others):  # the system may hand it to any thread that does not block it
        threading.Thread(target=end.wait, args=(30,), daemon=True).start()

    def start() -> None:
        with unheard_by_children():
            interrupt()
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["all"]
    end.set()
