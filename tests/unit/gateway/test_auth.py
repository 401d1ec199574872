"""API keys over a small ASGI app: which paths need one, and which keys they accept."""

import hashlib

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from digits.gateway.middleware import Edge
from digits.gateway.settings import EdgeSettings


async def shows_headers(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(str(scope["headers"]))(scope, receive, send)


def edge(**settings: object) -> TestClient:
    return TestClient(Edge(shows_headers, EdgeSettings.model_validate(settings), behind_haproxy=False))


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def asked(client: TestClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    response = client.post(path, headers=headers)
    return response.status_code, "" if response.is_success else response.json()["code"]


PROTOCOLS = ("/v2", "/v2/models/digits/infer", "/v1/models/digits:predict", "/invocations", "/v2/health/x")
PROBES = ("/v2/health/live", "/v2/health/ready")


@pytest.mark.parametrize("path", ["/predict", "/nothing", "/docs/", *PROTOCOLS])
def test_with_keys_set_only_a_request_with_one_passes(path: str) -> None:
    """Either header may hold the key; another value, or the hash itself, is refused."""
    client = edge(api_keys_sha256=f"{sha256('one')},{sha256('two')}")
    assert asked(client, path, {}) == (401, "key_missing")
    assert client.post(path).headers["www-authenticate"] == "Bearer"
    for key in ("three", sha256("one"), "", "Bearer one"):
        assert asked(client, path, {"X-API-Key": f"Bearer {key}"}) == (403, "key_refused")
    both = {"Authorization": "Bearer the gateway's own", "X-API-Key": "two"}
    schemes = [{"Authorization": f"{scheme}one"} for scheme in ("Bearer ", "bearer ", "BEARER  ")]
    for headers in (*schemes, {"X-API-Key": "two"}, both):
        assert asked(client, path, headers) == (200, "")
        assert "one" not in client.post(path, headers=headers).text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/-/healthz", "/docs", "/openapi.json", *PROBES])
def test_health_and_the_manual_need_no_key(path: str) -> None:
    assert asked(edge(api_keys_sha256=sha256("one")), path, {}) == (200, "")


def test_admin_paths_need_an_admin_key() -> None:
    """An API key does not open them."""
    one, two = {"X-API-Key": "one"}, {"X-API-Key": "two"}
    client = edge(api_keys_sha256=sha256("one"), admin_keys_sha256=sha256("two"))
    assert asked(client, "/admin/reload", {}) == (401, "key_missing")
    assert asked(client, "/admin/reload", one) == (403, "key_refused")
    assert asked(client, "/admin/reload", two) == (200, "")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "one"}])
def test_without_an_admin_key_admin_paths_are_disabled(headers: dict[str, str]) -> None:
    """The answer asks for no key, because none would be accepted."""
    client = edge(api_keys_sha256=sha256("one"))
    assert asked(client, "/admin/reload", headers) == (403, "path_disabled")
    response = client.post("/admin/reload", headers=headers)
    assert "www-authenticate" not in response.headers
    assert "DIGITS_EDGE_ADMIN_KEYS_SHA256" in response.json()["detail"]
