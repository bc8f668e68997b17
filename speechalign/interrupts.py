"""Ctrl-C where it would do harm: inside a library that calls back, and in further processes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait until the end of the block.

    libsndfile reads what is no plain file by calling Python back, and an exception cannot pass
    through it: a KeyboardInterrupt would be lost, and the file be taken for one that is cut short.
    Only the main thread is ever interrupted, so in others there is nothing to do.
    """
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[tuple[Any, ...]] = []
    signal.signal(signal.SIGINT, lambda *told: noted.append(told))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if noted:
            handler(*noted[-1])


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: whoever starts them is to end them.

    A terminal interrupts all processes at once, and each would tell where it was. What the block is
    interrupted by comes at its end.
    """
    resource_tracker.ensure_running()  # else it starts with the first process, and unblocks
    with interrupts_held():  # other threads of this process still take it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
