"""The edge over small ASGI apps: what passes inward, and what Ray's own answers become."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from pydantic import ValidationError
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from digits.gateway.middleware import (
    ADDED,
    CALLBACK,
    RAYS_OWN,
    UNWATCHED,
    Edge,
    is_loaded_by_ray,
    middlewares,
)
from digits.gateway.settings import EdgeSettings
from digits.http.schemas import ProblemDocument
from digits.problems import PROBLEMS

STEERING = {
    "x-request-timeout-seconds": "1e9", "X-Request-Disconnect-Disabled": "?1", "x-session-id": "a",
    "serve_multiplexed_model_id": "b", "Serve-Multiplexed-Model-Id": "c", "X-Forwarded-For": "127.0.0.1",
}  # fmt: skip


async def shows_headers(scope: Scope, receive: Receive, send: Send) -> None:
    seen = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    await JSONResponse(seen)(scope, receive, send)


def edge(app: ASGIApp, behind_haproxy: bool = False, **settings: object) -> TestClient:
    return TestClient(Edge(app, EdgeSettings.model_validate(settings), behind_haproxy))


def seen(headers: dict[str, str], behind_haproxy: bool = False) -> dict[str, str]:
    pairs = edge(shows_headers, behind_haproxy).post("/", headers=headers, content=b"x").json()
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def test_headers_that_steer_ray_serve_stay_outside_and_those_the_service_reads_pass() -> None:
    read = {"content-type": "image/png", "content-encoding": "identity", "traceparent": "00-1-2-03"}
    passed = seen(STEERING | read)
    assert set(passed) == {*read, "host", "content-length", "x-request-id"}
    assert passed.items() >= read.items()


def test_in_a_replica_behind_haproxy_ray_is_told_not_to_watch() -> None:
    passed = seen(STEERING, behind_haproxy=True)
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
    return edge(app).post("/", headers={"X-Request-Id": "mine"})


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


@pytest.mark.parametrize(("value", "behind_haproxy"), [("1", True), ("0", False), (None, False)])
def test_only_behind_haproxy_is_ray_told_not_to_watch(
    monkeypatch: pytest.MonkeyPatch, value: str | None, behind_haproxy: bool
) -> None:
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    if value:
        monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", value)
    (middleware,) = middlewares()
    assert middleware.kwargs["behind_haproxy"] == behind_haproxy


class Wire:
    """A client at the ASGI level, which can do what no HTTP library would: drip, hang up, send for ever."""

    def __init__(self, *messages: dict[str, object], then_waits: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.read = 0
        self._messages = list(messages)
        self._then_waits = then_waits

    async def receive(self) -> Message:
        self.read += 1
        if not self._messages and self._then_waits:
            await asyncio.Event().wait()
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(dict(message))

    @property
    def problem(self) -> ProblemDocument:
        return ProblemDocument.model_validate_json(b"".join(m.get("body", b"") for m in self.sent))

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def through(
    wire: Wire, *headers: tuple[bytes, bytes], app: ASGIApp = shows_headers, behind_haproxy: bool = False,
    **settings: object,
) -> Wire:  # fmt: skip
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/predict",
        "headers": [(b"host", b"a"), *headers],
    }  # fmt: skip
    await Edge(app, EdgeSettings.model_validate(settings), behind_haproxy)(scope, wire.receive, wire.send)
    return wire


def part(content: bytes, more: bool = True) -> dict[str, object]:
    return {"type": "http.request", "body": content, "more_body": more}


async def test_a_body_over_the_limit_is_refused_unread_if_it_says_so() -> None:
    wire = await through(Wire(), (b"content-length", b"1025"), max_body_bytes=1024)
    assert (wire.problem.code, wire.problem.status, wire.read) == ("body_too_large", 413, 0)
    assert wire.headers[b"connection"] == b"close"


async def test_a_body_over_the_limit_that_does_not_say_so_is_read_no_further_than_the_limit() -> None:
    wire = await through(
        Wire(*[part(bytes(500))] * 9), (b"transfer-encoding", b"chunked"), max_body_bytes=1024
    )
    assert (wire.problem.code, wire.read) == ("body_too_large", 3)


@pytest.mark.parametrize("behind_haproxy", [True, False])
async def test_a_body_that_does_not_arrive_is_given_up_in_time(behind_haproxy: bool) -> None:
    wire = await through(
        Wire(part(b"x"), then_waits=True), (b"content-length", b"20000"),
        behind_haproxy=behind_haproxy, body_timeout_s=0.05,
    )  # fmt: skip
    assert (wire.problem.code, wire.problem.status) == ("body_too_slow", 408)


async def reads_its_body(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    after = await receive()
    await JSONResponse([len(body), after["type"]])(scope, receive, send)


@pytest.mark.parametrize("length", [b"9", b"20000"])
async def test_a_body_comes_whole_to_the_app_and_after_it_what_the_client_does(length: bytes) -> None:
    parts = part(b"12345"), part(b"6789", more=False)
    wire = await through(Wire(*parts), (b"content-length", length), app=reads_its_body)
    assert json.loads(wire.sent[1]["body"]) == [9, "http.disconnect"]


async def test_behind_haproxy_a_body_that_haproxy_has_waited_for_is_not_waited_for_again() -> None:
    wire = await through(Wire(part(b"x", more=False)), (b"content-length", b"1"), behind_haproxy=True)
    assert wire.read == 0
    assert wire.sent[0]["status"] == 200


BAD_HEADERS: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "two hosts": ([(b"host", b"b")], "header_invalid"),
    "two content types": ([(b"content-type", b"image/png"), (b"content-type", b"a/b")], "header_invalid"),
    "a length in words": ([(b"content-length", b"ten")], "header_invalid"),
    "a negative length": ([(b"content-length", b"-5")], "header_invalid"),
    "gzip": ([(b"content-encoding", b"gzip")], "content_encoding_unsupported"),
    "many headers": ([(b"a%d" % number, b"") for number in range(64)], "headers_too_large"),
    "a long header": ([(b"a", bytes(16384))], "headers_too_large"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_bad_headers_get_their_problem_before_anything_is_read(name: str) -> None:
    headers, code = BAD_HEADERS[name]
    wire = await through(Wire(), *headers)
    assert (wire.problem.code, wire.sent[0]["status"], wire.read) == (code, PROBLEMS[code].status, 0)


@pytest.mark.parametrize("host", ["", "a/?x=", "a b", "a@b", "x" * 256])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    assert edge(shows_headers).post("/", headers={"Host": host}).json()["code"] == "header_invalid"


def test_a_refusal_of_an_encoding_says_which_is_taken() -> None:
    response = edge(shows_headers).post("/", headers={"Content-Encoding": "br"})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def asked(client: TestClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    response = client.post(path, headers=headers)
    return response.status_code, "" if response.is_success else response.json()["code"]


@pytest.mark.parametrize("path", ["/predict", "/nothing", "/docs/"])
def test_with_keys_set_only_who_has_one_is_let_through(path: str) -> None:
    client = edge(shows_headers, api_keys_sha256=f"{sha256('one')},{sha256('two')}")
    assert asked(client, path, {}) == (401, "key_missing")
    assert client.post(path).headers["www-authenticate"] == "Bearer"
    for key in ("three", sha256("one"), "", "Bearer one"):
        assert asked(client, path, {"X-API-Key": f"Bearer {key}"}) == (403, "key_refused")
    both = {"Authorization": "Bearer the gateway's own", "X-API-Key": "two"}
    for headers in ({"Authorization": "Bearer one"}, {"X-API-Key": "two"}, both):
        assert asked(client, path, headers) == (200, "")
        assert "one" not in client.post(path, headers=headers).text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/-/healthz", "/docs", "/openapi.json"])
def test_health_and_the_manual_need_no_key(path: str) -> None:
    assert asked(edge(shows_headers, api_keys_sha256=sha256("one")), path, {}) == (200, "")


def test_what_changes_the_service_needs_an_admin_key_and_without_one_set_is_closed() -> None:
    one = {"X-API-Key": "one"}
    assert asked(edge(shows_headers), "/admin/reload", {}) == (401, "key_missing")
    assert asked(edge(shows_headers, api_keys_sha256=sha256("one")), "/admin/reload", one)[0] == 403
    assert asked(edge(shows_headers, admin_keys_sha256=sha256("one")), "/admin/reload", one)[0] == 200


def test_every_answer_carries_the_security_headers() -> None:
    for response in (edge(shows_headers).post("/"), edge(shows_headers).post("/", headers={"Host": ""})):
        assert dict(response.headers).items() >= {n.decode(): v.decode() for n, v in ADDED}.items()


def test_a_websocket_is_refused() -> None:
    with pytest.raises(WebSocketDisconnect), edge(shows_headers).websocket_connect("/predict"):
        pass


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# of the web site\n{sha256('one')}\n{sha256('two')}  # of the batch job\n")
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", f"@{keys}")
    monkeypatch.setenv("DIGITS_EDGE_MAX_BODY_BYTES", "2048")
    (middleware,) = middlewares()
    assert middleware.kwargs["settings"] == EdgeSettings(
        max_body_bytes=2048, api_keys_sha256=(sha256("one"), sha256("two"))
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_BODY", "2048", "nearest known one is 'max_body_bytes'"),
        ("MAX_BODY_BYTES", "1", "greater than or equal to 1024"),
        ("API_KEYS_SHA256", "hunter2", "api_keys_sha256"),
        ("API_KEYS_SHA256", "@/nothing/here", "cannot be read: No such file"),
    ],
)
def test_a_setting_that_cannot_be_stops_the_start_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"DIGITS_EDGE_{name}", value)
    with pytest.raises(ValidationError, match=said) as caught:
        middlewares()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "loaded"), [("digits.gateway.middleware:middlewares", True), ("a:b", False)]
)
def test_whether_ray_loads_it_is_read_from_rays_own_setting(
    monkeypatch: pytest.MonkeyPatch, value: str, loaded: bool
) -> None:
    monkeypatch.setenv(CALLBACK, value)
    assert is_loaded_by_ray() is loaded


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [(RuntimeError("secret"), "internal", 500), (asyncio.CancelledError("secret"), "unavailable", 503)],
)
async def test_an_app_that_fails_before_it_answers_is_a_problem_and_still_logged(
    error: BaseException, code: str, status: int
) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    wire = Wire()
    with pytest.raises(type(error)):
        await through(wire, app=fails)
    assert (wire.problem.code, wire.sent[0]["status"]) == (code, status)
    assert "secret" not in str(wire.sent)


async def test_an_app_that_returns_without_an_answer_has_lost_its_replica() -> None:
    async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    wire = Wire()
    await through(wire, app=says_nothing)
    assert (wire.problem.code, wire.sent[0]["status"]) == ("replica_lost", 502)


async def test_an_app_that_fails_in_the_middle_of_its_answer_gets_no_second_one() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    wire = Wire()
    with pytest.raises(RuntimeError):
        await through(wire, app=fails)
    assert [message["type"] for message in wire.sent] == ["http.response.start"]
