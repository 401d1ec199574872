"""Finds processes of this machine by a mark in their environment, and kills them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

END_WITHIN_S = 30


def marked(mark: str, title: str = "") -> list[int]:
    """Returns the pids of the processes with the variable NAME=VALUE and `title` in their first argument.

    Children inherit the variable, so one mark finds a program and everything that it started.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            if title.encode() in command and mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def using(folder: Path, title: str) -> list[int]:
    """Returns the pids of processes with this title that have a file of the folder open, even a deleted one.

    Ray's dashboard agent overwrites its environment with its title, so the mark does not find it.
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


def command_of(pid: int) -> list[str]:
    """Returns the words of a process's command, [] if it has ended; from `ps` without /proc, as on macOS."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return []
    said = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return said.stdout.split()


def target(file: Path) -> str:
    """Returns the target of a link /proc/PID/fd/N."""
    try:
        return str(file.readlink())
    except OSError:  # closed meanwhile
        return ""


def end_all(find: Callable[[], Iterable[int]]) -> None:
    """Kills the processes that `find` returns, except this one, until it returns none."""
    deadline = time.monotonic() + END_WITHIN_S
    while pids := [pid for pid in find() if pid != os.getpid()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} still run {END_WITHIN_S} s after SIGKILL")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
