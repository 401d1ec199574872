"""Clients of the other protocols, written by others, get right answers and useful errors."""

import sys
from pathlib import Path

import pytest

from tests.programs import ask_with


@pytest.mark.essential
@pytest.mark.parametrize("client", ["triton", "kserve_rest", "mlserver_types"])
def test_a_client_of_the_open_inference_protocol(service: str, client: str) -> None:
    """Health, metadata, binary and JSON tensors, files, 64 requests at once, wrong requests."""
    ask_with(client, service)


def test_the_client_of_mlflows_scoring_server(service: str) -> None:
    """Arrays and a DataFrame."""
    ask_with("mlflow_scoring", service, Path(sys.executable))
