"""Every row of the table of bad inputs over HTTP, to one replica that must survive them all."""

import pytest

from testkit.cluster import LocalCluster
from tests.bad_inputs import TABLE, check
from tests.serve.wire import ask


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_input_gets_its_problem_and_a_trap_its_digit(unharmed: LocalCluster, name: str) -> None:
    row = TABLE[name]
    reply = ask(unharmed.port, row.method, row.path, row.all_headers, row.body.content, row.chunked)
    check(row, reply.status, reply.headers, reply.content)
