"""Ray for a training or a scoring: the cluster of RAY_ADDRESS, or one that is started on this machine.

It is left at Ctrl-C and SIGTERM, before the command ends.
"""

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from digits.errors import RayUnavailable
from digits.interrupts import caught

ANSWERS_WITHIN_S = 5.0
# Its start logs an error about its own actor, and nothing announces the end of a Ray that is started here.
PREEMPTION_WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
TOKENS = "ray._private.authentication.authentication_token_setup"  # a logger


def start_ray(**options: Any) -> None:
    """Calls `ray.init` with these options, unless this process has called it; keeps the handler of SIGTERM.

    Raises RayUnavailable.
    """
    import ray

    if ray.is_initialized():
        return
    if address := os.environ.get("RAY_ADDRESS"):
        check_answers(address)
    else:  # Ray warns that what it starts requires a token, which it finds by itself
        logging.getLogger(TOKENS).setLevel(logging.ERROR)
        options["dashboard_port"] = 0  # a free one: 8265 is that of `make serve`
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except Exception as error:  # of many classes; Exception itself if a process starts too slowly
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise RayUnavailable(f"Ray does not start: {reason}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray's aborts the program when Python ends


def check_answers(address: str) -> None:
    """Raises RayUnavailable if nothing listens at this RAY_ADDRESS: Ray itself would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?\[?([^\s/]+?)\]?:(\d{1,5})", address)
    if not found:  # a word that Ray knows, like auto
        return
    try:
        socket.create_connection((found[1], int(found[2])), ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise RayUnavailable(
            f"nothing answers at RAY_ADDRESS {address} ({error}); start that cluster, correct the address, "
            f"or unset RAY_ADDRESS to run on this machine"
        ) from error


@contextmanager
def left_when_interrupted() -> Iterator[None]:
    """Disconnects from Ray at Ctrl-C or SIGTERM, which ends the workers; then raises it again.

    The block must use Ray in this thread only. When another thread waited in `ray.get` while Ray was shut
    down, the process rarely ended with SIGSEGV; the cause was not found.
    """
    import ray

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        caught()
        ray.shutdown()
        raise
    finally:
        _close_bars()


def _close_bars() -> None:
    """Closes progress bars: at the end of Python tqdm would draw them below the last message."""
    from tqdm import tqdm

    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()
