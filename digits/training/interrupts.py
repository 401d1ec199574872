"""SIGINT and SIGTERM as KeyboardInterrupt, raised again until it is caught.

Python drops an exception that a signal raises within a destructor or a callback of C code, and a training
that dropped it would go on to its end.
"""

import signal
from types import FrameType
from typing import NoReturn

AGAIN_S = 3.0


def interrupt_on_signals() -> None:
    """Call it in the main thread."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _interrupt)


def caught() -> None:
    """Call it first where a KeyboardInterrupt is caught: the next one would interrupt what follows."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    raise KeyboardInterrupt
