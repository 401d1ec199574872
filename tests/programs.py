"""What a test needs of the machine: without it it is skipped, or fails where nothing may be skipped.

DIGITS_REQUIRE_ALL=1 says so; DIGITS_WITHOUT names, apart by spaces, what the machine cannot have anyway.
"""

import os
import shutil
from typing import NoReturn

import pytest


def skip_or_fail(what: str, reason: str) -> NoReturn:
    is_excused = what in os.environ.get("DIGITS_WITHOUT", "").split()
    if os.environ.get("DIGITS_REQUIRE_ALL") == "1" and not is_excused:
        pytest.fail(reason)
    pytest.skip(reason)


def require_program(program: str, package: str) -> None:
    if shutil.which(program) is None:
        skip_or_fail(program, f"{program} is missing; install the package {package}")
