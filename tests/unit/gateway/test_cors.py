"""Pages of other origins: none by default, those of the setting otherwise."""

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from digits.gateway.middleware import middlewares, middlewares_of_the_app
from digits.gateway.settings import EdgeSettings

PAGE = "https://page.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-api-key",
}


async def answer(_: object) -> PlainTextResponse:
    return PlainTextResponse("7")


ROUTES = [Route("/predict", answer, methods=["POST"])]


def in_rays_servers() -> ASGIApp:
    """Returns the app as Ray's HTTP servers run it; digits/ray_internals.py checks that they do."""
    app: ASGIApp = Starlette(routes=ROUTES)
    for middleware in middlewares():
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app


def without_ray() -> ASGIApp:
    return Starlette(routes=ROUTES, middleware=middlewares_of_the_app())


@pytest.fixture(params=[in_rays_servers, without_ray])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The edge with a key and one allowed page."""
    monkeypatch.setenv("DIGITS_EDGE_CORS_ORIGINS", f"{PAGE}, http://localhost:3000")
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", "1" * 64)
    return TestClient(request.param())


def test_a_preflight_request_is_answered_at_the_edge(client: TestClient) -> None:
    """Browsers send it without the key, and read from it that the key may be sent."""
    response = client.options("/predict", headers=PREFLIGHT)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "X-API-Key" in response.headers["access-control-allow-headers"]


def test_an_allowed_page_reads_problems_too(client: TestClient) -> None:
    response = client.post("/predict", headers={"Origin": PAGE}, content=b"x")
    assert response.json()["code"] == "key_missing"
    assert response.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]


def test_another_page_is_not_allowed(client: TestClient) -> None:
    other = {"Origin": "https://page.example.org"}
    assert client.options("/predict", headers=PREFLIGHT | other).status_code == 400
    assert "access-control-allow-origin" not in client.post("/predict", headers=other, content=b"x").headers


def test_by_default_no_page_is_allowed() -> None:
    client = TestClient(in_rays_servers())
    response = client.options("/predict", headers=PREFLIGHT)
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "origin",
    ["page.example", "https://page.example/", "null", "https://page#", "https://b\u00fccher.example"],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """It would never match, without a word."""
    with pytest.raises(ValidationError):
        EdgeSettings.model_validate({"cors_origins": origin})
