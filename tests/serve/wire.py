"""HTTP/1.1 by hand: sends what no HTTP library would, and reads the answers with a deadline."""

import http.client
import io
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from digits.vision.golden import golden_digits
from testkit.encodings import image_file

TIMEOUT_S = 60  # above every limit of the service, so that only a hang reaches it
SEVEN = image_file(golden_digits()[0][7])
HEAD = b"POST /predict HTTP/1.1\r\nHost: digits\r\nContent-Type: image/png\r\n"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    content: bytes


def request(body: bytes = SEVEN, headers: bytes = b"") -> bytes:
    return HEAD + b"Content-Length: %d\r\n" % len(body) + headers + b"\r\n" + body


class Wire:
    """One connection to the service."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> bool:
        """Returns False if the service closed the connection before it had everything."""
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end(self) -> None:
        """Sends FIN: the answer can still be read."""
        with suppress(OSError):  # the service closed first
            self.socket.shutdown(socket.SHUT_WR)

    def reply(self, method: str = "POST") -> Reply:
        """Returns the next response, and leaves what follows it."""
        return _read(http.client.HTTPResponse(self.socket, method=method))

    def read_all(self) -> bytes:
        """Reads until the service closes; raises TimeoutError if it never does."""
        return b"".join(iter(self._received, b""))

    def read_until(self, text: bytes, count: int = 1) -> bytes:
        """Reads until `text` has come `count` times, or the service closes."""
        seen = b""
        while seen.count(text) < count and (piece := self._received()):
            seen += piece
        return seen

    def _received(self) -> bytes:
        try:
            return self.socket.recv(2**16)
        except ConnectionResetError:  # it closed with unread data
            return b""


def statuses(answer: bytes) -> list[int]:
    """Returns the status of each response in a stream; no body may hold a status line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def ask(
    port: int, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes, chunked: bool
) -> Reply:
    """Sends path and headers unchanged, however odd; reads the answer even if the body is not accepted."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: digits", framing]
    lines += [name + b": " + value for name, value in headers]
    content = b"".join([b"%x\r\n%b\r\n" % (len(body), body)] * bool(body)) + b"0\r\n\r\n" if chunked else body
    with Wire(port) as wire:
        wire.send(b"\r\n".join(lines) + b"\r\n\r\n", content)
        return wire.reply(method)


class _Bytes:
    """The part of a socket that http.client needs."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._content)


def parsed(answer: bytes) -> Reply:
    """Returns the first response of a stream."""
    return _read(http.client.HTTPResponse(_Bytes(answer)))  # type: ignore[arg-type]


def _read(response: http.client.HTTPResponse) -> Reply:
    response.begin()
    return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
