"""One Ray cluster, first behind HAProxy, then behind Ray's own proxy; each test deploys what it needs."""

from collections.abc import Iterator

import pytest

from tests.serve.cluster import LocalCluster, serve_env


@pytest.fixture(scope="session", params=["haproxy", "proxy"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(**(serve_env() if request.param == "haproxy" else {})) as cluster:
        yield cluster
