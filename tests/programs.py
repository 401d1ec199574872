"""Programs that tests run.  A test that needs one skips without it; with DIGITS_REQUIRE_ALL=1 it fails.

DIGITS_WITHOUT lists, separated by spaces, what may be missing all the same.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]
CLIENTS = ROOT / ".clients"  # made by `make clients`
GOLDEN = ROOT / "digits" / "vision" / "golden.npz"


def skip_or_fail(what: str, reason: str) -> NoReturn:
    """Skips the test, or fails it if `what` must not be missing."""
    is_excused = what in os.environ.get("DIGITS_WITHOUT", "").split()
    if os.environ.get("DIGITS_REQUIRE_ALL") == "1" and not is_excused:
        pytest.fail(reason)
    pytest.skip(reason)


def require_program(program: str, package: str) -> None:
    if shutil.which(program) is None:
        skip_or_fail(program, f"{program} is missing; install the package {package}")


def require_clients() -> None:
    if not (CLIENTS / "lock").exists():
        skip_or_fail("clients", "the clients are missing; `make clients` installs them")


def ask_with(client: str, url: str, python: Path = CLIENTS / "bin" / "python") -> None:
    """Runs tests/clients/CLIENT.py, which must find every answer right."""
    run(str(python), str(ROOT / "tests" / "clients" / f"{client}.py"), url, str(GOLDEN))


def run(*command: str, cwd: Path = ROOT, path: Path = ROOT) -> str:
    """Returns what a program prints; it must exit with 0 within a minute.  Python finds modules in `path`."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    result = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout
