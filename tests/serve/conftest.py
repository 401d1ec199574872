"""One Ray cluster, first behind HAProxy, then behind Ray's own proxy; each test deploys what it needs."""

from collections.abc import Callable, Iterator

import pytest

from tests.serve.cluster import LocalCluster, proxy_env, serve_env, wait_until


@pytest.fixture(scope="session", params=["haproxy", "proxy"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(**(serve_env() if request.param == "haproxy" else proxy_env())) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def unharmed(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """One replica, and the same one at the end: no test of the module may have ended it."""
    cluster.deploy(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=120, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
    before = cluster.replica_pids()
    yield cluster
    assert cluster.replica_pids() == before


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps what a test measured of its promise; the run's summary lists them all."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    figures = [(r.nodeid, text) for r in reports for name, text in r.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
    for test, text in figures:
        terminalreporter.write_line(f"{test.partition('::')[2]}: {text}")
