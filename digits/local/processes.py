"""Processes of this machine, found by a mark in their environment and ended."""

import os
import signal
import time
from collections.abc import Callable, Iterable
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


def using(folder: Path, title: str) -> list[int]:
    """The pids of the processes so titled that have a file of the folder open, also a deleted one.

    Ray's dashboard agent overwrites its environment with its title, so it has no mark.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # as above
            command = (process / "cmdline").read_bytes()
            if command.startswith(title.encode()) and any(
                target(file).startswith(f"{folder}/") for file in (process / "fd").iterdir()
            ):
                found.append(int(process.name))
    return found


def target(file: Path) -> str:
    """Where a link of /proc/PID/fd leads."""
    try:
        return str(file.readlink())
    except OSError:  # closed meanwhile
        return ""


def end_marked(mark: str) -> None:
    """Kills the marked processes until none is left, those included that start meanwhile."""
    end_all(lambda: marked(mark))


def end_all(find: Callable[[], Iterable[int]]) -> None:
    """Kills what `find` returns, but for this process, until it returns nothing more."""
    deadline = time.monotonic() + END_WITHIN_S
    while pids := [pid for pid in find() if pid != os.getpid()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} still run {END_WITHIN_S} s after SIGKILL")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
