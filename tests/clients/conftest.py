"""The API in a thread, and the environment that `make clients` made."""

from collections.abc import Iterator

import pytest

from digits.gateway.settings import EdgeSettings
from testkit.serving import served
from tests.programs import require_clients


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of the API; skips without the clients."""
    require_clients()
    with served(EdgeSettings()) as url:
        yield url.rstrip("/")
