"""Work beside the first process, in further ones that end when it does, whatever ends it."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

from speechalign.errors import UserError
from speechalign.interrupts import unheard_by_children


@contextmanager
def beside(
    work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[Callable[[], bool]]:
    """Call a function in a process of its own for each of some arguments, while the block runs.

    Gives a function that tells whether one is still at work, and raises what one was stopped by.
    The block is to call it; if the block fails or is interrupted, the processes are ended.

    Raises:
        UserError: If a process was killed.
    """
    started: list[BaseProcess] = []
    context = multiprocessing.get_context("spawn")
    before = multiprocessing.active_children()
    with ProcessPoolExecutor(
        max(1, len(arguments)), mp_context=context, initializer=end_with_the_first
    ) as pool:
        try:
            with unheard_by_children():
                calls = [pool.submit(work, *given) for given in arguments]
                started += [one for one in multiprocessing.active_children() if one not in before]

            yield partial(working, calls)
        except BaseException as error:
            for process in started:
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise UserError(
                    "A further process was killed, perhaps for want of memory: give fewer "
                    "--processes or a smaller --batch-size; the same command goes on."
                ) from error
            raise


def working(calls: Sequence[Future[Any]]) -> bool:
    """Whether a call is still at work; raises what one was stopped by."""
    done = [call for call in calls if call.done()]
    for call in done:
        call.result()
    return len(done) < len(calls)


def end_with_the_first() -> None:
    """Have this process end when the first one is gone, killed perhaps: it would keep its GPU."""
    threading.Thread(target=wait_for_the_first, daemon=True).start()


def wait_for_the_first() -> None:
    """End this process once the first one is gone."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)
