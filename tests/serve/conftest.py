"""One Ray cluster, first behind HAProxy, then behind Ray's own proxy; each test deploys what it needs."""

from collections.abc import Iterator

import pytest

from testkit.cluster import LocalCluster, proxy_env, serve_env, wait_until


@pytest.fixture(scope="session", params=["haproxy", "proxy"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(**(serve_env() if request.param == "haproxy" else proxy_env())) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def unharmed(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """One replica, and the same one at the end: no test of the module may have ended it."""
    cluster.apply(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=120, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
    before = cluster.replica_pids()
    yield cluster
    assert cluster.replica_pids() == before
