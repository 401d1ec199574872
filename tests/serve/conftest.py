"""One Ray cluster, first behind HAProxy, then behind Ray's own proxy; each test deploys what it needs."""

from collections.abc import Callable, Iterator

import pytest

from tests.serve.cluster import LocalCluster, proxy_env, serve_env


@pytest.fixture(scope="session", params=["haproxy", "proxy"])
def cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(**(serve_env() if request.param == "haproxy" else proxy_env())) as cluster:
        yield cluster


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
