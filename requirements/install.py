"""Installs the packages of a lock file into this Python, and says how far it is.

    python -m requirements.install requirements/serve.txt

Runs before any package is there, so it needs the standard library only.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PIP = (sys.executable, "-m", "pip")
BEGINS = ("Collecting ", "Requirement already satisfied: ")  # pip's first line about a package


def main(file: str, pip: Sequence[str] = PIP) -> int:
    """Returns pip's exit status; its errors go to stderr as they are."""
    pins = [line for line in Path(file).read_text().splitlines() if "==" in line and line[0] not in " #"]
    quiet = ("--progress-bar=off", "--disable-pip-version-check")
    command = [*pip, "install", *quiet, "--require-hashes", "--requirement", file]
    found = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if begin := next((begin for begin in BEGINS if line.startswith(begin)), ""):
                found += 1
                package = line.removeprefix(begin).split(" ")[0]
                _show(f"{file}: {package}, {found} of at most {len(pins)} packages")
            elif line.startswith("Installing collected packages"):
                _show(f"{file}: unpacking, which takes a minute")
    _show(f"{file}: {'installed' if not process.returncode else 'not installed'}\n")
    return process.returncode


def _show(text: str) -> None:
    """Replaces the line before; where no terminal shows it, writes only the last one."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K{text}")
    elif text.endswith("\n"):
        sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
