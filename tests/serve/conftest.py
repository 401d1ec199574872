"""One Ray cluster for the folder; each test deploys what it needs."""

from collections.abc import Iterator

import pytest

from tests.serve.cluster import LocalCluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster
