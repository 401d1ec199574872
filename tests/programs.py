"""System programs that a test needs: without one it is skipped, or fails where nothing may be skipped."""

import os
import shutil

import pytest


def require_program(program: str, package: str) -> None:
    if shutil.which(program) is None:
        reason = f"{program} is missing; install the package {package}"
        if os.environ.get("DIGITS_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
