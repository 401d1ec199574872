"""Every row of the table of bad inputs, in process, with the starter model."""

from collections.abc import Iterator

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from digits.gateway.middleware import Edge
from digits.gateway.settings import EdgeSettings
from digits.http.app import create_api
from digits.inference.settings import ServeSettings
from testkit.fakes import predictor_of
from testkit.models import load_classifier
from tests.bad_inputs import MAX_BYTES, TABLE, Row, check
from tests.cpu import within_cpu_s

# CPU time.  A refusal takes about 10 ms at most, where Pillow alone needs
# 2 s for a JPEG of padding; the largest answer takes 0.7 s, where 256 images of 16 million pixels need 15 s.
REFUSED_S, ANSWERED_S = 0.5, 2.0


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = load_classifier(ServeSettings(model_uri="models/starter"))
    edge = Edge(
        create_api(predictor_of(classifier)), EdgeSettings(max_body_bytes=MAX_BYTES), behind_haproxy=False
    )
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
    row = TABLE[name]
    most_s = REFUSED_S if isinstance(row.answer, str) else ANSWERED_S
    response = within_cpu_s(most_s, lambda: ask(client, row))
    check(row, response.status_code, dict(response.headers), response.content)
