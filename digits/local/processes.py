"""Processes of this machine, found by a mark in their environment and ended."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

END_WITHIN_S = 30


def marked(mark: str, title: str = "") -> list[int]:
    """The pids of the processes with the variable NAME=VALUE whose first argument contains `title`.

    Children inherit the variable, so one mark finds a program with all that it started.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            if title.encode() in command and mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end_marked(mark: str) -> None:
    """Kills the marked processes until none is left, those included that start meanwhile."""
    deadline = time.monotonic() + END_WITHIN_S
    while pids := [pid for pid in marked(mark) if pid != os.getpid()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} still run {END_WITHIN_S} s after SIGKILL")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
