"""The edge over small ASGI apps: what passes inward, and what Ray's own answers become."""

import json

import pytest
from httpx2 import Response
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from digits.edge import RAYS_OWN, UNWATCHED, Edge, middlewares
from digits.problems import PROBLEMS
from digits.schemas import ProblemDocument

STEERING = {
    "x-request-timeout-seconds": "1e9", "X-Request-Disconnect-Disabled": "?1", "x-session-id": "a",
    "serve_multiplexed_model_id": "b", "Serve-Multiplexed-Model-Id": "c", "X-Forwarded-For": "127.0.0.1",
}  # fmt: skip


async def shows_headers(scope: Scope, receive: Receive, send: Send) -> None:
    seen = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    await JSONResponse(seen)(scope, receive, send)


def seen(headers: dict[str, str], unwatched: bool = False) -> dict[str, str]:
    pairs = TestClient(Edge(shows_headers, unwatched)).post("/", headers=headers, content=b"x").json()
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_headers_that_steer_ray_serve_stay_outside_and_those_the_service_reads_pass() -> None:
    read = {"content-type": "image/png", "content-encoding": "gzip", "traceparent": "00-1-2-03"}
    passed = seen(STEERING | read)
    assert set(passed) == {*read, "host", "content-length", "x-request-id"}
    assert passed.items() >= read.items()


def test_in_a_replica_behind_haproxy_ray_is_told_not_to_watch() -> None:
    passed = seen(STEERING, unwatched=True)
    assert passed.items() >= {name.decode(): value.decode() for name, value in UNWATCHED}.items()


@pytest.mark.parametrize("given", ["a-7.B_c", "x" * 64])
def test_a_well_formed_request_id_is_kept(given: str) -> None:
    assert seen({"X-Request-Id": given})["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", 'a"b', "a/b"])
def test_another_request_id_is_replaced_by_one_of_its_own(given: str) -> None:
    made = {seen({"X-Request-Id": given})["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in made)


def answered_by(app: ASGIApp) -> Response:
    return TestClient(Edge(app, unwatched=False)).post("/", headers={"X-Request-Id": "mine"})


@pytest.mark.parametrize("status", RAYS_OWN)
def test_a_plain_error_of_rays_becomes_a_problem(status: int) -> None:
    plain = PlainTextResponse("Request 7 timed out", status, {"Retry-After": "3", "X-Request-Id": "mine"})
    response = answered_by(plain)
    problem = ProblemDocument.model_validate_json(response.content)
    assert response.status_code == problem.status == PROBLEMS[RAYS_OWN[status][0]].status
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("3", "mine")
    assert problem.instance == "urn:request:mine"
    assert "Request 7" not in response.text


def test_an_error_in_many_pieces_becomes_one_problem() -> None:
    async def in_pieces(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]}
        await send(start)
        for more in (True, True, False):
            await send({"type": "http.response.body", "body": b"Internal", "more_body": more})

    assert answered_by(in_pieces).json()["code"] == "internal"


@pytest.mark.parametrize("status", [200, 404, 422, 429, 503])
def test_the_services_own_answers_pass_untouched(status: int) -> None:
    for media_type in ("application/json", "application/problem+json"):
        response = answered_by(PlainTextResponse(json.dumps({"a": 1}), status, media_type=media_type))
        assert (response.status_code, response.json()) == (status, {"a": 1})
    assert answered_by(PlainTextResponse("success")).text == "success"


@pytest.mark.parametrize(("value", "unwatched"), [("1", True), ("0", False), (None, False)])
def test_only_behind_haproxy_is_ray_told_not_to_watch(
    monkeypatch: pytest.MonkeyPatch, value: str | None, unwatched: bool
) -> None:
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    if value:
        monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", value)
    (middleware,) = middlewares()
    assert middleware.kwargs == {"unwatched": unwatched}
