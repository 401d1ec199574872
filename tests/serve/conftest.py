"""One Ray cluster behind HAProxy, then one behind Ray's own proxy; each test module deploys what it needs."""

from collections.abc import Iterator

import pytest

from testkit.cluster import ENVIRONMENTS, LocalCluster


@pytest.fixture(scope="session", params=ENVIRONMENTS)
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """A cluster without an application."""
    with LocalCluster(**ENVIRONMENTS[request.param]()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def unharmed(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster with one replica, which must survive all tests of the module."""
    cluster.serve(cluster.fixed(1), replicas=1)
    before = cluster.replica_pids()
    yield cluster
    assert cluster.replica_pids() == before
