"""The middleware over small ASGI apps: what it passes on, and what Ray's own answers become."""

import asyncio
import hashlib
import json
import weakref
from pathlib import Path
from typing import Any, cast

import pytest
from httpx2 import Response
from pydantic import ValidationError
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from digits.gateway.answers import PLAIN_STATUSES, SECURITY_HEADERS
from digits.gateway.middleware import Edge, is_loaded_by_ray, middlewares
from digits.gateway.ray_facts import CALLBACK, DISABLED_RAY_WATCHDOGS, HAPROXY_BUFFERED_BYTES
from digits.gateway.settings import EdgeSettings
from digits.http.schemas import ProblemDocument
from digits.problems import PROBLEMS

ONE, TWO = "1" * 64, "2" * 64  # hashes of keys
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


def test_only_headers_that_the_service_reads_are_passed_on() -> None:
    """Those with which a client could steer Ray Serve are dropped."""
    read = {"content-type": "image/png", "content-encoding": "identity", "traceparent": "00-1-2-03"}
    passed = seen(STEERING | read)
    assert set(passed) == {*read, "host", "content-length", "x-request-id"}
    assert passed.items() >= read.items()


def test_behind_haproxy_rays_watchdogs_are_disabled() -> None:
    passed = seen(STEERING, behind_haproxy=True)
    assert passed.items() >= {name.decode(): value.decode() for name, value in DISABLED_RAY_WATCHDOGS}.items()


@pytest.mark.parametrize("given", ["a-7.B_c", "x" * 64])
def test_a_well_formed_request_id_is_kept(given: str) -> None:
    assert seen({"X-Request-Id": given})["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", 'a"b', "a/b"])
def test_an_invalid_request_id_is_replaced_by_a_unique_one(given: str) -> None:
    made = {seen({"X-Request-Id": given})["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 32 and set(one) <= set("0123456789abcdef") for one in made)


class RequestIdMiddleware:
    """As Ray Serve's, which Edge replaces: it must not be called."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app


@pytest.mark.parametrize("status", [200, 422, 500])
def test_each_answer_names_its_request_once(status: int) -> None:
    """In place of Ray Serve, and whether the app names it or not."""
    for named in ({}, {"X-Request-Id": "mine"}):
        app = RequestIdMiddleware(PlainTextResponse("x", status, named))
        response = answered_by(cast(ASGIApp, app))
        assert response.headers.get_list("x-request-id") == ["mine"]


def answered_by(app: ASGIApp) -> Response:
    return edge(app).post("/", headers={"X-Request-Id": "mine"})


@pytest.mark.parametrize("status", PLAIN_STATUSES)
def test_a_plain_error_of_ray_becomes_a_problem(status: int) -> None:
    """Its Retry-After and request id are kept, its text is not."""
    plain = PlainTextResponse("Request 7 timed out", status, {"Retry-After": "3", "X-Request-Id": "mine"})
    response = answered_by(plain)
    problem = ProblemDocument.model_validate_json(response.content)
    assert response.status_code == problem.status == PROBLEMS[PLAIN_STATUSES[status]].status
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.headers["retry-after"], response.headers["x-request-id"]) == ("3", "mine")
    assert problem.instance == "urn:request:mine"
    assert problem.detail == PROBLEMS[problem.code].detail


def test_an_error_in_many_pieces_becomes_one_problem() -> None:
    async def in_pieces(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]}
        await send(start)
        for more in (True, True, False):
            await send({"type": "http.response.body", "body": b"Internal", "more_body": more})

    assert answered_by(in_pieces).json()["code"] == "internal"


@pytest.mark.parametrize("status", [200, 404, 422, 429, 503])
def test_answers_of_the_app_pass_unchanged(status: int) -> None:
    for media_type in ("application/json", "application/problem+json"):
        response = answered_by(PlainTextResponse(json.dumps({"a": 1}), status, media_type=media_type))
        assert (response.status_code, response.json()) == (status, {"a": 1})
    assert answered_by(PlainTextResponse("success")).text == "success"


@pytest.mark.parametrize(("value", "behind_haproxy"), [("1", True), ("0", False), (None, False)])
def test_haproxy_mode_is_read_from_rays_setting(
    monkeypatch: pytest.MonkeyPatch, value: str | None, behind_haproxy: bool
) -> None:
    monkeypatch.delenv("RAY_SERVE_ENABLE_HA_PROXY", raising=False)
    if value:
        monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", value)
    (middleware,) = middlewares()
    assert middleware.kwargs["behind_haproxy"] == behind_haproxy


class Wire:
    """A client at the ASGI level, which can send slowly, hang up, or send for ever."""

    def __init__(self, *messages: dict[str, object], then_waits: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.read = 0
        self.answered_after = -1  # messages that were read before the answer began
        self._messages = list(messages)
        self._then_waits = then_waits

    async def receive(self) -> Message:
        self.read += 1
        if not self._messages and self._then_waits:
            await asyncio.Event().wait()
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self.sent:
            self.answered_after = self.read
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


async def test_a_too_large_content_length_is_refused_unread() -> None:
    wire = await through(Wire(), (b"content-length", b"1025"), max_body_bytes=1024)
    assert (wire.problem.code, wire.problem.status) == ("body_too_large", 413)
    assert wire.answered_after == 0
    assert wire.headers[b"connection"] == b"close"


async def test_a_chunked_body_is_read_up_to_the_limit_and_refused() -> None:
    wire = await through(
        Wire(*[part(bytes(500))] * 9), (b"transfer-encoding", b"chunked"), max_body_bytes=1024
    )
    assert (wire.problem.code, wire.answered_after) == ("body_too_large", 3)


async def test_a_refused_body_is_freed_before_the_rest_is_discarded() -> None:
    class Part(dict[str, object]):
        """Allows weak references."""

    read: list[weakref.ref[Part]] = []
    kept: list[int] = []

    async def receive() -> Message:
        kept.append(sum(one() is not None for one in read))
        message = Part(part(bytes(500), more=len(read) < 5))
        read.append(weakref.ref(message))
        return message

    wire = Wire()
    wire.receive = receive  # type: ignore[method-assign]
    await through(wire, (b"transfer-encoding", b"chunked"), max_body_bytes=1024)
    assert wire.problem.code == "body_too_large"
    assert kept[3:] == [0, 0, 0]  # the third message was one too many


@pytest.mark.parametrize("behind_haproxy", [True, False])
async def test_a_body_that_does_not_arrive_times_out(behind_haproxy: bool) -> None:
    wire = await through(
        Wire(part(b"x"), then_waits=True), (b"content-length", b"40000"),
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
async def test_the_app_gets_the_whole_body_then_the_disconnect(length: bytes) -> None:
    parts = part(b"12345"), part(b"6789", more=False)
    wire = await through(Wire(*parts), (b"content-length", length), app=reads_its_body)
    assert json.loads(wire.sent[1]["body"]) == [9, "http.disconnect"]


@pytest.mark.parametrize("size", [1, 25_000, HAPROXY_BUFFERED_BYTES])
async def test_a_body_that_haproxy_waited_for_passes(size: int) -> None:
    length = (b"content-length", b"%d" % size)
    whole = Wire(part(bytes(size), more=False))
    wire = await through(whole, length, app=reads_its_body, behind_haproxy=True, body_timeout_s=0.01)
    assert json.loads(wire.sent[1]["body"]) == [size, "http.disconnect"]


@pytest.mark.parametrize("parts", [[], [part(bytes(24_999))]], ids=["nothing", "all but one byte"])
async def test_a_body_that_haproxy_passed_on_early_has_a_time_limit(parts: list[dict[str, object]]) -> None:
    """With 12 kB of URL, or of a TE header, which HAProxy drops, HAProxy 2.8 has no room for such a body."""
    length = (b"content-length", b"25000")
    wire = Wire(*parts, then_waits=True)
    async with asyncio.timeout(20):
        await through(wire, length, app=reads_its_body, behind_haproxy=True, body_timeout_s=0.01)
    assert wire.problem.code == "body_too_slow"


BAD_HEADERS: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "two hosts": ([(b"host", b"b")], "header_invalid"),
    "two content types": ([(b"content-type", b"image/png"), (b"content-type", b"a/b")], "header_invalid"),
    "a length in words": ([(b"content-length", b"ten")], "header_invalid"),
    "a negative length": ([(b"content-length", b"-5")], "header_invalid"),
    "gzip": ([(b"content-encoding", b"gzip")], "content_encoding_unsupported"),
    "gzip in chunks": ([(b"transfer-encoding", b"gzip, chunked")], "transfer_encoding_unsupported"),
    "many headers": ([(b"a%d" % number, b"") for number in range(64)], "headers_too_large"),
    "a long header": ([(b"a", bytes(16384))], "headers_too_large"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
async def test_bad_headers_are_refused_before_the_body_is_read(name: str) -> None:
    headers, code = BAD_HEADERS[name]
    wire = await through(Wire(), *headers)
    assert (wire.problem.code, wire.sent[0]["status"]) == (code, PROBLEMS[code].status)
    assert wire.answered_after == 0


@pytest.mark.parametrize(("name", "shown"), [(b"host", "Host"), (b"content-type", "Content-Type")])
async def test_a_duplicate_header_is_named(name: bytes, shown: str) -> None:
    wire = await through(Wire(), (b"content-type", b"image/png"), (name, b"a"))
    assert wire.problem.detail == f"Duplicate header `{shown}`; send it once"


@pytest.mark.parametrize("host", ["", "a/?x=", "a b", "a@b", "x" * 256])
def test_an_invalid_host_is_refused(host: str) -> None:
    assert edge(shows_headers).post("/", headers={"Host": host}).json()["code"] == "header_invalid"


def test_a_refused_encoding_is_answered_with_the_allowed_one() -> None:
    response = edge(shows_headers).post("/", headers={"Content-Encoding": "br"})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")


def test_every_answer_carries_the_security_headers() -> None:
    for response in (edge(shows_headers).post("/"), edge(shows_headers).post("/", headers={"Host": ""})):
        assert dict(response.headers).items() >= {n.decode(): v.decode() for n, v in SECURITY_HEADERS}.items()


def test_a_websocket_is_refused() -> None:
    with pytest.raises(WebSocketDisconnect), edge(shows_headers).websocket_connect("/predict"):
        pass


def test_the_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# web site\n{ONE}\n{TWO}  # batch job\n")
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", f"@{keys}")
    monkeypatch.setenv("DIGITS_EDGE_MAX_BODY_BYTES", "2048")
    (middleware,) = middlewares()
    assert middleware.kwargs["settings"] == EdgeSettings(max_body_bytes=2048, api_keys_sha256=(ONE, TWO))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAX_BODY", "2048", "nearest known one is 'max_body_bytes'"),
        ("MAX_BODY_BYTES", "1", "greater than or equal to 1024"),
        ("API_KEYS_SHA256", "hunter2", "api_keys_sha256"),
        ("API_KEYS_SHA256", "@/nothing/here", "cannot be read: No such file"),
        ("API_KEYS_SHA256", hashlib.sha256(b"").hexdigest(), "the hash of an empty key"),
        ("ADMIN_KEYS_SHA256", hashlib.sha256(b"").hexdigest(), "the hash of an empty key"),
    ],
)
def test_an_invalid_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """The message names the setting and does not show its value, which may be a key."""
    monkeypatch.setenv(f"DIGITS_EDGE_{name}", value)
    with pytest.raises(ValidationError, match=said) as caught:
        middlewares()
    assert "hunter2" not in str(caught.value)


NO_HASH = "holds no hash: without one every client is accepted"


@pytest.mark.parametrize("content", ["", "\n", "# web site\n", ", #"])
def test_a_file_without_an_api_key_stops_the_start(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would open the service. Without an admin key /admin/ is disabled, so that file may be empty."""
    keys = tmp_path / "keys"
    keys.write_text(content)
    monkeypatch.setenv("DIGITS_EDGE_ADMIN_KEYS_SHA256", f"@{keys}")
    (middleware,) = middlewares()
    assert middleware.kwargs["settings"] == EdgeSettings()
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", f"@{keys}")
    with pytest.raises(ValidationError, match=NO_HASH):
        middlewares()


def test_only_an_empty_variable_disables_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", "")
    (middleware,) = middlewares()
    assert middleware.kwargs["settings"] == EdgeSettings()
    monkeypatch.setenv("DIGITS_EDGE_API_KEYS_SHA256", " ,")
    with pytest.raises(ValidationError, match=NO_HASH):
        middlewares()


@pytest.mark.parametrize(
    ("value", "loaded"), [("digits.gateway.middleware:middlewares", True), ("a:b", False)]
)
def test_whether_ray_loads_it_is_read_from_its_setting(
    monkeypatch: pytest.MonkeyPatch, value: str, loaded: bool
) -> None:
    monkeypatch.setenv(CALLBACK, value)
    assert is_loaded_by_ray() is loaded


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [(RuntimeError("secret"), "internal", 500), (asyncio.CancelledError("secret"), "unavailable", 503)],
)
async def test_an_app_that_fails_unanswered_becomes_a_problem(
    error: BaseException, code: str, status: int
) -> None:
    """The exception is raised again, so that uvicorn logs it."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    wire = Wire()
    with pytest.raises(type(error)):
        await through(wire, app=fails)
    assert (wire.problem.code, wire.sent[0]["status"]) == (code, status)
    assert "secret" not in str(wire.sent)


async def test_an_app_without_an_answer_is_a_lost_replica() -> None:
    """Ray's proxy sends nothing when a replica dies with its request."""

    async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    wire = Wire()
    await through(wire, app=says_nothing)
    assert (wire.problem.code, wire.sent[0]["status"]) == ("replica_lost", 502)


async def test_an_app_that_fails_mid_answer_gets_no_second_answer() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    wire = Wire()
    with pytest.raises(RuntimeError):
        await through(wire, app=fails)
    assert [message["type"] for message in wire.sent] == ["http.response.start"]
