"""Clients of other protocols at the real service, through its proxy."""

import pytest

from testkit.cluster import LocalCluster
from tests.programs import ask_with, require_clients


@pytest.mark.parametrize("client", ["triton", "kserve_rest"])
def test_a_client_gets_right_answers_through_the_proxy(unharmed: LocalCluster, client: str) -> None:
    """Binary tensors and their header, 64 requests at once, and errors as the protocol has them."""
    require_clients()
    ask_with(client, unharmed.url)
