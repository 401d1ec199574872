"""Builds the images once, if a container engine answers."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.containers.engine import ROOT, answers, clean_up
from tests.programs import skip_or_fail

BUILT_WITHIN_S = 1800


@pytest.fixture(scope="session")
def images() -> Iterator[None]:
    if not answers():
        skip_or_fail("docker", "no container engine answers; start one, for `docker info` to work")
    built = subprocess.run(
        ["make", "image"], cwd=ROOT, capture_output=True, text=True, timeout=BUILT_WITHIN_S, check=False
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    clean_up()
    try:
        yield
    finally:
        clean_up()
