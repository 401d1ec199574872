"""Every row of the table of bad inputs over HTTP, to one service that must come through all of them."""

from collections.abc import Iterator

import pytest

from tests.bad_inputs import TABLE, check
from tests.serve.cluster import LocalCluster, wait_until
from tests.serve.wire import ask


@pytest.fixture(scope="module")
def service(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """Ends as it began: with the same replica, which no row may have ended."""
    cluster.deploy(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=120, on_timeout=cluster.logs)
    wait_until(cluster.ready, timeout_s=60, on_timeout=cluster.logs)
    before = cluster.replica_pids()
    yield cluster
    assert cluster.replica_pids() == before


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_input_gets_its_problem_and_a_trap_its_digit(service: LocalCluster, name: str) -> None:
    row = TABLE[name]
    reply = ask(service.port, row.method, row.path, row.all_headers, row.body.content, row.chunked)
    check(row, reply.status, reply.headers, reply.content)
