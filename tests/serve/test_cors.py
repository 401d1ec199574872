"""A page of another origin calls the real service, as a browser does it."""

import hashlib
from collections.abc import Iterator

import httpx2
import pytest

from testkit.cluster import ENVIRONMENTS, ROOT, LocalCluster

PAGE, KEY = "https://page.example", "a-key-of-the-test"


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def service(request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """A client of a service with an API key and one allowed page."""
    settings = {
        "DIGITS_EDGE_CORS_ORIGINS": PAGE,
        "DIGITS_EDGE_API_KEYS_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
    }
    with LocalCluster(**ENVIRONMENTS[request.param](), **settings) as cluster:
        cluster.serve(cluster.fixed(1), replicas=1)
        with httpx2.Client(base_url=cluster.url, headers={"Origin": PAGE}, timeout=30) as client:
            yield client


def test_a_preflight_request_allows_the_page_its_headers(service: httpx2.Client) -> None:
    """It carries no key. A typed picture, JSON and a key need it."""
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    answer = service.options("/predict", headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"content-type", "x-api-key"} <= set(allowed)


def test_the_page_may_read_answers_and_problems(service: httpx2.Client) -> None:
    picture = (ROOT / "docs" / "seven.png").read_bytes()
    typed = {"Content-Type": "image/png"}
    digit = service.post("/predict", content=picture, headers={**typed, "X-API-Key": KEY})
    problem = service.post("/predict", content=picture, headers=typed)
    assert digit.json()["digit"] == 7
    assert problem.json()["code"] == "key_missing"
    for answer in (digit, problem):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        assert answer.headers["x-request-id"]


def test_another_page_may_read_nothing(service: httpx2.Client) -> None:
    answer = service.post("/predict", content=b"x", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in answer.headers
