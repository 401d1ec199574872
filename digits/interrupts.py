"""SIGINT and SIGTERM as KeyboardInterrupt, repeated until it is caught.

Python drops an exception that a signal raises within a destructor or a callback of C code; a training or a
scoring would then run to its end.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

AGAIN_S = 3.0
INTERRUPTED = 130  # the status of a program that Ctrl-C ended
_held: list[bool] = []  # for each active block of `deferred`, whether a signal has arrived


def interrupt_on_signals() -> None:
    """Installs the handlers; call it in the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _interrupt)


def caught() -> None:
    """Stops the repetition; call it first where a KeyboardInterrupt is caught."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def leave(text: str) -> NoReturn:
    """Ends the program with this line on stderr and the status of Ctrl-C."""
    caught()
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)  # skips Python's finalisation, in which interrupted programs have aborted


@contextmanager
def deferred() -> Iterator[None]:
    """Delays the interrupt until the block ends: within it, a database could stay half-written and locked."""
    _held.append(False)
    try:
        yield
    finally:
        has_arrived = _held.pop()
    if has_arrived:
        _interrupt(signal.SIGINT, None)


def _interrupt(_: int, __: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    if _held:
        _held[-1] = True
        return
    raise KeyboardInterrupt
