"""Memory and CPU time of processes of this machine, and their end; digits.local.processes finds them."""

import os
import re
from pathlib import Path

from digits.local.processes import end_all, marked


def end_marked(mark: str) -> None:
    """Kills the marked processes until none is left, including those that start meanwhile."""
    end_all(lambda: marked(mark))


def resident_mb(pid: int) -> float:
    """Returns the resident memory; a page shared with other processes counts in full."""
    return _kilobytes(pid, "status", "VmRSS") / 1024


def proportional_mb(pid: int) -> float:
    """Returns the resident memory; of a page shared by n processes, one n-th."""
    return _kilobytes(pid, "smaps_rollup", "Pss") / 1024


def _kilobytes(pid: int, file: str, field: str) -> int:
    text = Path(f"/proc/{pid}/{file}").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
