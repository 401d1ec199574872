"""Installing shows how far it is in a terminal, one line elsewhere, and pip's status."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.cluster import ROOT

LOCK = """
one==1 \\
    --hash=sha256:00
    # via two
two==2 ; sys_platform == 'linux' \\
    --hash=sha256:11
"""
PIP = """
import sys
assert "--require-hashes" in sys.argv
if "--disable-pip-version-check" not in sys.argv:
    sys.exit("[notice] A new release of pip is available")
print("Requirement already satisfied: one==1 in /somewhere", flush=True)
print("Collecting two==2 (from -r lock.txt (line 4))", flush=True)
print("  Downloading two-2.whl (1 kB)", flush=True)
print("Installing collected packages: two", flush=True)
sys.exit({status})
"""
START = (
    "import sys; from requirements.install import main; sys.exit(main('{lock}', [sys.executable, '{pip}']))"
)


@pytest.fixture
def command(tmp_path: Path, status: int) -> list[str]:
    """Installs from LOCK by PIP, which stands in for pip."""
    lock, pip = tmp_path / "lock.txt", tmp_path / "pip_of_the_test.py"
    lock.write_text(LOCK)
    pip.write_text(PIP.format(status=status))
    return [sys.executable, "-c", START.format(lock=lock, pip=pip)]


@pytest.mark.parametrize(("status", "end"), [(0, ": installed\n"), (3, ": not installed\n")])
def test_without_a_terminal_one_line_says_the_end(command: list[str], status: int, end: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (status, 1)
    assert done.stdout.endswith(end)


@pytest.mark.parametrize("status", [0])
def test_a_terminal_shows_each_package(command: list[str]) -> None:
    ours, its = pty.openpty()
    try:
        assert subprocess.run(command, cwd=ROOT, stdout=its, timeout=30, check=False).returncode == 0
        shown = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(its)
    assert [part.split(": ", 1)[1] for part in shown.replace("\r\n", "").split("\r\033[K")[1:]] == [
        "one==1, 1 of at most 2 packages",
        "two==2, 2 of at most 2 packages",
        "unpacking, which takes a minute",
        "installed",
    ]
