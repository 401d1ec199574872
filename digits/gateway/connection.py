"""uvicorn's HTTP connections: accepted together, without upgrades, and with problems for malformed HTTP.

llhttp, the parser in uvicorn, ends a request with an Upgrade header at the end of its headers, because
another protocol may follow. uvicorn keeps to HTTP/1.1, but answers as if there were no body, and then reads
the body as the next request. Clients send the header without need: Java's HttpClient offers h2c with its
first request. This service supports no other protocol, so it ignores the header, as RFC 9110 allows.
"""

from asyncio import Transport
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from digits.gateway.accepting import accept_waiting, remember_listeners
from digits.problems import problem_on_the_wire


class Connection(HttpToolsProtocol):
    """An HTTP connection that parses a request with an Upgrade header again, without that header."""

    is_first = True  # whether it is the first connection in this turn of the event loop

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if isinstance(self.app, ProxyHeadersMiddleware):
            self.app = self.app.app  # it looks for X-Forwarded-For, which nothing here reads: 5 us a request

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.is_first:
            accept_waiting(self.config, self._one_more)

    def _one_more(self) -> "Connection":
        more = Connection(self.config, self.server_state, self.app_state, self.loop)
        more.is_first = False
        return more

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        rest: bytes | memoryview = data
        try:
            while rest:
                try:
                    self.parser.feed_data(rest)
                    return
                except HttpParserUpgrade as upgrade:
                    rest = memoryview(rest)[upgrade.args[0] :]  # no copy: each request in `data` may upgrade
                    self._parse_head_without_upgrade()
        except HttpParserError:
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        if not self._is_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._is_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        codings = [value.lower() for name, value in self.headers or () if name == b"transfer-encoding"]
        code = "http_invalid" if codings in ([], [b"chunked"]) else "transfer_encoding_unsupported"
        self.transport.write(problem_on_the_wire(code))
        self.transport.close()

    def _is_upgrade(self) -> bool:
        """Returns whether the parser stops after the headers.

        Raises ValueError for CONNECT, which gets a 400.
        """
        is_upgrade: bool = self.parser.should_upgrade()
        if is_upgrade and self.parser.get_method() == b"CONNECT":
            raise ValueError("the service is not a proxy")
        return is_upgrade

    def _parse_head_without_upgrade(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))


def use_in_uvicorn() -> None:
    """Makes `Connection` the default protocol of every uvicorn server in this process."""
    remember_listeners()
    HTTP_PROTOCOLS["auto"] = f"{__name__}:{Connection.__name__}"
