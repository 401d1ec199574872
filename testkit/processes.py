"""Processes of this machine: found by a mark in their environment, measured and ended."""

import os
import re
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
        with suppress(OSError):  # it has ended meanwhile
            command = (process / "cmdline").read_bytes().split(b"\0")[0]
            if title.encode() in command and mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end_marked(mark: str) -> None:
    """Kills the marked processes until none is left, those included that start meanwhile."""
    deadline = time.monotonic() + END_WITHIN_S
    while pids := marked(mark):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} still run {END_WITHIN_S} s after SIGKILL")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def resident_mb(pid: int) -> float:
    """Its resident memory; a page shared with other processes counts in full."""
    return _kilobytes(pid, "status", "VmRSS") / 1024


def proportional_mb(pid: int) -> float:
    """Its resident memory; of a page shared by n processes, one n-th."""
    return _kilobytes(pid, "smaps_rollup", "Pss") / 1024


def _kilobytes(pid: int, file: str, field: str) -> int:
    text = Path(f"/proc/{pid}/{file}").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def cpu_seconds(pid: int) -> float:
    """The CPU time it has used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
