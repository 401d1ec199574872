"""Broken, cut off, slow and endless HTTP over a raw socket: no 5xx, no hang, and the next request works."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from digits.gateway.settings import EdgeSettings
from testkit.cluster import LocalCluster
from tests.serve.wire import HEAD, SEVEN, Wire, parsed, request, statuses

MAX_BYTES = EdgeSettings().max_body_bytes
BODY_TIMEOUT_S = EdgeSettings().body_timeout_s
SLACK_S = 15  # for a busy machine
EMPTY_LINE = b"\r\n\r\n"


@pytest.fixture
def wire(unharmed: LocalCluster) -> Iterator[Wire]:
    """One connection; after each test the service must read a digit correctly."""
    with Wire(unharmed.port) as wire:
        yield wire
    with Wire(unharmed.port) as other:
        other.send(request(headers=b"Connection: close\r\n"))
        answer = parsed(other.read_all())
    assert (answer.status, json.loads(answer.content)["digit"]) == (200, 7)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
# Refused by the first parser, or closed without an answer, as a TLS client expects.
BROKEN: dict[str, bytes] = {
    "a length and chunks": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two lengths in one": HEAD + b"Content-Length: 5, 6\r\n\r\nhello!",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "a length with a plus": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a length in hexadecimal": HEAD + b"Content-Length: 0x5\r\n\r\nhello",
    "a length of words": HEAD + b"Content-Length: five\r\n\r\nhello",
    "a length past 64 bits": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "a transfer of garbage": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a transfer in two codings": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a chunk of no length": HEAD + CHUNKED + b"\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a chunk of negative length": HEAD + CHUNKED + b"\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a chunk past 64 bits": HEAD + CHUNKED + b"\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a space before a colon": b"POST /predict HTTP/1.1\r\nHost : digits\r\n\r\n",
    "a header of no name": b"GET /healthz HTTP/1.1\r\nHost: digits\r\n: x\r\n\r\n",
    "a header of no colon": b"GET /healthz HTTP/1.1\r\nHost: digits\r\nx\r\n\r\n",
    "a folded header first": b"GET /healthz HTTP/1.1\r\n x: y\r\nHost: digits\r\n\r\n",
    "a zero in a header": b"GET /healthz HTTP/1.1\r\nHost: digits\r\nx: a\0b\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a host with a path": b"GET /healthz HTTP/1.1\r\nHost: a/?x=\r\n\r\n",
    "a path of no slash": b"GET healthz HTTP/1.1\r\nHost: digits\r\n\r\n",
    "a request of no path": b"GET\r\n\r\n",
    "an unknown protocol": b"HELO digits\r\n\r\n",
    "http/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "a tls hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(160)),
    "a proxy line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /healthz HTTP/1.1\r\nHost: digits\r\n\r\n",
    "a websocket": b"GET /predict HTTP/1.1\r\nHost: digits\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "a tunnel": b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: digits\r\n\r\n",
    "5 MB of header": HEAD + b"X: " + b"y" * 5_000_000 + EMPTY_LINE,
    "5 MB of path": b"GET /" + b"y" * 5_000_000 + b" HTTP/1.1\r\nHost: digits\r\n\r\n",
    "50,000 headers": HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
    "only zeros": bytes(100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_http_is_refused_or_closed(wire: Wire, name: str) -> None:
    wire.send(BROKEN[name])
    wire.end()
    got = statuses(wire.read_all())
    assert got == [] or (len(got) == 1 and 400 <= got[0] < 500), got


# Bodies in codings that the service does not decode.  HAProxy before 3.2 answers with a page of its own.
CODED: dict[str, bytes] = {
    "gzip, chunked": b"5\r\nhello\r\n0\r\n\r\n",
    "x, Chunked": b"5\r\nhello\r\n0\r\n\r\n",
    "deflate": b"hello",
    "identity": b"hello",
}


@pytest.mark.parametrize("coding", CODED)
def test_a_transfer_coding_that_is_not_decoded_is_refused(
    unharmed: LocalCluster, wire: Wire, coding: str
) -> None:
    wire.send(HEAD + b"Transfer-Encoding: %b\r\n\r\n" % coding.encode() + CODED[coding])
    answer = wire.reply()
    if unharmed.behind_haproxy:
        assert answer.status in (400, 422)
        return
    content = json.loads(answer.content)
    assert (answer.status, content["code"]) == (400, "transfer_encoding_unsupported")
    assert "Transfer-Encoding" in content["detail"]


CLOSE = b"Connection: close\r\n"
CLOSING = request(headers=CLOSE)
# Unusual, but unambiguous.
ODD: dict[str, bytes] = {
    "a version of the future": CLOSING.replace(b"HTTP/1.1", b"HTTP/9.9", 1),
    "bare line feeds": CLOSING.replace(b"\r\n", b"\n", 5),
    "an address as its path": CLOSING.replace(b"/predict", b"http://digits/predict", 1),
    "empty lines before it": b"\r\n\r\n" + CLOSING,
    "an upgrade with a handshake": CLOSING.replace(
        CLOSE, b"Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 1),
    "chunks of one byte": HEAD + CHUNKED + b"Connection: close\r\n\r\n"
    + b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in SEVEN) + b"0\r\nX-Trailer: z\r\n\r\n",
    **{f"a timeout of {value!r}": request(headers=b"X-Request-Timeout-Seconds: %b\r\n%b" % (value, CLOSE))
       for value in (b"\xff", b"-1", b"nan", b"1e9", b"0.000001")},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_http_is_answered_or_refused(wire: Wire, name: str) -> None:
    wire.send(ODD[name])
    answer = parsed(wire.read_all())
    if name in ("bare line feeds", "a version of the future"):  # a parser may accept or refuse these
        assert answer.status in (200, 400)
    else:
        assert (answer.status, json.loads(answer.content)["digit"]) == (200, 7)


def problem(wire: Wire) -> str:
    """Returns the code of the next answer.  HAProxy may keep the connection for the rest of the body."""
    answer = wire.reply()
    content = json.loads(answer.content)
    assert answer.status == content["status"]
    return str(content["code"])


def test_a_body_of_10_gb_is_refused_after_its_first_byte(wire: Wire) -> None:
    start = time.monotonic()
    wire.send(HEAD + b"Content-Length: 10000000000\r\n\r\n\x89")
    assert problem(wire) == "body_too_large"
    assert time.monotonic() - start < SLACK_S


def test_a_too_large_body_gets_413_instead_of_100_continue(wire: Wire) -> None:
    wire.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (MAX_BYTES + 1))
    answer = wire.read_until(EMPTY_LINE)
    wire.end()  # HAProxy would keep the connection for half a minute
    answer += wire.read_all()
    assert statuses(answer) == [413], answer[:300]


def test_a_client_that_expects_100_continue_gets_it(wire: Wire) -> None:
    head, body = request(headers=b"Expect: 100-continue\r\nConnection: close\r\n").split(EMPTY_LINE, 1)
    wire.send(head + EMPTY_LINE)
    assert statuses(wire.read_until(EMPTY_LINE)) == [100]
    wire.send(body)
    assert json.loads(parsed(wire.read_all()).content)["digit"] == 7


@pytest.mark.parametrize("length", [len(SEVEN) + 1, 100_000], ids=["of one byte", "of 100 kB"])
def test_a_client_that_stops_mid_body_gets_no_5xx(wire: Wire, length: int) -> None:
    wire.send(HEAD + b"Content-Length: %d\r\n\r\n" % length + SEVEN)
    wire.end()
    assert all(400 <= status < 500 for status in statuses(wire.read_all()))


def test_an_endless_body_is_refused_and_its_connection_closed(wire: Wire) -> None:
    wire.send(HEAD + CHUNKED + b"\r\n")
    chunk, sent = b"10000\r\n" + bytes(2**16) + b"\r\n", 0
    while wire.send(chunk):
        sent += 2**16
        assert sent < 20 * MAX_BYTES, "the service reads without end"
    # The answer can be lost when the connection is closed under a client that sends without reading.
    assert statuses(wire.read_all()) in ([413], [])


def test_a_chunked_body_over_the_limit_is_refused(wire: Wire) -> None:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    wire.send(HEAD + CHUNKED + b"\r\n", *[chunk] * (MAX_BYTES // 2**16), b"1\r\nx\r\n")
    assert problem(wire) == "body_too_large"


@pytest.mark.parametrize("megabytes", [20, 100])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_a_client_that_sends_all_before_it_reads_gets_413(
    wire: Wire, megabytes: int, is_chunked: bool
) -> None:
    """As urllib does: closed too early, its connection is reset before it reads the answer."""
    chunk = bytes(10**6)
    if is_chunked:
        head, chunk, end = HEAD + CHUNKED, b"%x\r\n%b\r\n" % (len(chunk), chunk), b"0\r\n\r\n"
    else:
        head, end = HEAD + b"Content-Length: %d\r\n" % (megabytes * 10**6), b""
    assert wire.send(head + b"\r\n", *[chunk] * megabytes, end)
    assert problem(wire) == "body_too_large"


def test_large_bodies_past_the_memory_get_429_small_ones_200(unharmed: LocalCluster, wire: Wire) -> None:
    """Seven bodies that are nearly complete hold what there is for bodies; a drawing is still answered."""
    size = MAX_BYTES - 2**20
    large = [Wire(unharmed.port) for _ in range(7)]
    try:
        sent = [one.send(HEAD + b"Content-Length: %d\r\n\r\n" % MAX_BYTES, bytes(size)) for one in large]
        assert all(sent)
        wire.send(request(headers=CLOSE))
        assert json.loads(parsed(wire.read_all()).content)["digit"] == 7
        for one in large:
            one.send(bytes(MAX_BYTES - size))
        replies = [one.reply() for one in large]
    finally:
        for one in large:
            one.socket.close()
    codes = sorted(json.loads(reply.content)["code"] for reply in replies)
    assert codes == ["image_unsupported"] * codes.count("image_unsupported") + ["overloaded"] * (
        len(codes) - codes.count("image_unsupported")
    )
    assert 1 <= codes.count("image_unsupported") <= EdgeSettings().max_buffered_bytes // MAX_BYTES
    assert {reply.headers["retry-after"] for reply in replies if reply.status == 429} == {"1"}


def dripped(wire: Wire, head: bytes, piece: bytes) -> tuple[bytes, float]:
    """Sends a piece of a body twice a second; returns the answer, and after how many seconds it came."""
    start = time.monotonic()
    wire.send(head)
    wire.socket.settimeout(0.5)
    answer = b""
    while time.monotonic() - start < BODY_TIMEOUT_S + SLACK_S:
        try:
            received = wire.socket.recv(2**16)
        except TimeoutError:
            wire.send(piece)
            continue
        except ConnectionResetError:
            received = b""
        answer += received
        if not received:
            return answer, time.monotonic() - start
    raise AssertionError("the connection is still open")


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x"),
        (HEAD + CHUNKED + b"\r\n", b"1\r\nx\r\n"),
    ],
    ids=["large", "small", "in chunks"],
)
def test_a_body_that_arrives_slowly_times_out(wire: Wire, head: bytes, piece: bytes) -> None:
    answer, seconds = dripped(wire, head, piece)
    assert statuses(answer) in ([408], [])
    assert seconds > BODY_TIMEOUT_S / 2


def test_100_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    each = [b"X-Request-Id: r%d\r\n" % number for number in range(100)]
    each[99] += b"Connection: close\r\n"
    wire.send(b"".join(request(b"" if number == 50 else SEVEN, one) for number, one in enumerate(each)))
    answer = wire.read_all()
    assert statuses(answer) == [200] * 50 + [400] + [200] * 49
    places = [answer.index(b'"request_id":"r%d"' % number) for number in range(100) if number != 50]
    assert places == sorted(places)


def test_300_silent_connections_do_not_delay_a_request(unharmed: LocalCluster, wire: Wire) -> None:
    silent = [Wire(unharmed.port) for _ in range(300)]
    try:
        wire.send(request(headers=b"Connection: close\r\n"))
        assert json.loads(parsed(wire.read_all()).content)["digit"] == 7
    finally:
        for other in silent:
            other.socket.close()


def test_a_client_that_reads_nothing_delays_no_other(wire: Wire) -> None:
    """Thousands of answers wait for it."""
    wire.socket.settimeout(2)
    with suppress(
        TimeoutError, BrokenPipeError, ConnectionResetError
    ):  # the service may stop reading, as it should
        wire.socket.sendall(request() * 3000)
