"""Every row of the table of bad inputs, in process, read by the starter model."""

import time
from collections.abc import Iterator

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from digits.api import create_api
from digits.classifier import Classifier
from digits.edge import Edge
from digits.settings import EdgeSettings, ServeSettings
from tests.bad_inputs import MAX_BYTES, TABLE, Row, check
from tests.fakes import live

# Of CPU, which no busy machine stretches.  The most that a row takes is 0.7 s; a JPEG of padding would take 4 s
# if Pillow were let at it, and 256 images of 16 million pixels 15.
BOUND_S = 2.0


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = Classifier.load(ServeSettings(model_uri="models/starter"), threads=1)
    edge = Edge(create_api(live(classifier)), EdgeSettings(max_body_bytes=MAX_BYTES), behind_haproxy=False)
    with TestClient(edge, raise_server_exceptions=False) as client:
        yield client


def ask(client: TestClient, row: Row) -> Response:
    content = iter([row.body.content]) if row.chunked else row.body.content
    return client.request(
        row.method, f"{client.base_url}{row.path}", content=content, headers=row.all_headers,
        follow_redirects=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_bad_input_gets_its_problem_and_a_trap_its_digit(client: TestClient, name: str) -> None:
    start = time.process_time()
    response = ask(client, TABLE[name])
    assert time.process_time() - start < BOUND_S
    check(TABLE[name], response.status_code, dict(response.headers), response.content)
