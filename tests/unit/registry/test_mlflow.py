"""What a failed request to MLflow is called: no answer, an error of the server, or not registered."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from digits.errors import NotRegistered, TrackingUnavailable
from digits.registry.mlflow import mlflow_client
from testkit.ports import free_port

Answers = Callable[[int, str], str]


@pytest.fixture
def server() -> Iterator[Answers]:
    """Returns the address of a server that answers each request with this status and body."""

    class Handler(BaseHTTPRequestHandler):
        status, body = 200, ""

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()

        def answers(status: int, body: str) -> str:
            Handler.status, Handler.body = status, body
            return f"http://127.0.0.1:{running.server_port}"

        yield answers
        running.shutdown()


def error(code: str, message: str) -> str:
    return json.dumps({"error_code": code, "message": message})


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, "You are not authenticated.", "error code 401 .*You are not authenticated"),
        (403, error("PERMISSION_DENIED", "Permission denied"), "Permission denied"),
        (500, "", "too many 500 error responses"),
        (400, error("INVALID_PARAMETER_VALUE", "Param value is too long"), "Param value is too long"),
    ],
)
def test_an_error_of_mlflow_is_not_called_silence(status: int, body: str, said: str, server: Answers) -> None:
    """It has answered, and nothing in it says that a model is not registered."""
    uri = server(status, body)
    with (
        pytest.raises(TrackingUnavailable, match=rf"^MLflow at {uri} failed: .*{said}"),
        mlflow_client(uri) as client,
    ):
        client.get_run("1")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, error("RESOURCE_DOES_NOT_EXIST", "Run with id=1 not found")),
        (400, error("INVALID_PARAMETER_VALUE", "Registered model alias champion not found.")),
    ],
)
def test_what_mlflow_does_not_find_is_not_registered(status: int, body: str, server: Answers) -> None:
    uri = server(status, body)
    with (
        pytest.raises(NotRegistered, match=rf"not found.* \(MLflow at {uri}\)"),
        mlflow_client(uri) as client,
    ):
        client.get_run("1")


def test_a_port_without_mlflow_does_not_answer() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with (
        pytest.raises(TrackingUnavailable, match=f"^MLflow at {uri} does not answer: "),
        mlflow_client(uri) as client,
    ):
        client.get_run("1")
