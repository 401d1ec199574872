"""A test that needs a program skips without it; with DIGITS_REQUIRE_ALL=1 it fails.

DIGITS_WITHOUT lists, separated by spaces, what may be missing all the same.
"""

import os
import shutil
from typing import NoReturn

import pytest


def skip_or_fail(what: str, reason: str) -> NoReturn:
    """Skips the test, or fails it if `what` must not be missing."""
    is_excused = what in os.environ.get("DIGITS_WITHOUT", "").split()
    if os.environ.get("DIGITS_REQUIRE_ALL") == "1" and not is_excused:
        pytest.fail(reason)
    pytest.skip(reason)


def require_program(program: str, package: str) -> None:
    if shutil.which(program) is None:
        skip_or_fail(program, f"{program} is missing; install the package {package}")
