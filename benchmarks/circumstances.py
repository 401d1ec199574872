"""The circumstances of a measurement: machine, versions, commit, command."""

import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.services import ROOT, Service

PACKAGES = (
    "import importlib.metadata as m; "
    "print(', '.join(sorted({d.name.lower() + ' ' + d.version for d in m.distributions()})))"
)


def circumstances(services: Iterable[Service]) -> dict[str, Any]:
    environments = sorted({service.virtual_environment for service in services} | {Path(sys.prefix)})
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "rev-parse", "HEAD").strip(),
        # Without the figures that a benchmark before this one wrote.
        "dirty": bool(_output("git", "status", "--porcelain", "--", ":!docs/benchmarks")),
        "command": " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "machine": {
            "cpu": _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()),
            "cores": os.cpu_count(),
            "memory_gib": round(int(_first(r"MemTotal: +(\d+)", Path("/proc/meminfo").read_text())) / 2**20),
            "os": platform.freedesktop_os_release()["PRETTY_NAME"],
            "python": platform.python_version(),
        },
        "generators": {
            "wrk": _first(r"(\d+\.\d+\.\d+)", _output("wrk", "-v")),
            "h2load": _first(r"(\d+\.\d+\.\d+)", _output("h2load", "--version")),
        },
        # By virtual environment; "digits" is the development environment of requirements/dev.txt.
        "packages": {
            "digits" if folder == Path(sys.prefix) else folder.name: _output(
                str(folder / "bin" / "python"), "-c", PACKAGES
            ).strip()
            for folder in environments
        },
    }


def _output(*command: str) -> str:
    # wrk -v exits with 1
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "unknown"
