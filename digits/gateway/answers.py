"""Answers to the client: the app's own, or a problem in place of Ray Serve's plain text."""

from collections.abc import Awaitable

from starlette.types import Message, Send

from digits.problems import PROBLEMS, problem_response

Headers = list[tuple[bytes, bytes]]
# Statuses of plain-text answers of Ray Serve and uvicorn -> the problems that replace them.
PLAIN_STATUSES = {
    404: "not_found",
    408: "timed_out",
    429: "overloaded",
    500: "internal",
    502: "replica_lost",
    503: "unavailable",
}
SECURITY_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
KEPT_HEADERS = (b"x-request-id", b"retry-after")  # headers that a problem takes over from a plain answer


class Answer:
    """An ASGI `send` that adds the security headers and replaces Ray Serve's plain errors by problems.

    With `adds_id` it also adds the request id, in place of Ray Serve.
    """

    def __init__(self, send: Send, request_id: str, path: str, adds_id: bool = False) -> None:
        self._send = send
        self._request_id = request_id
        self._path = path
        self._adds_id = adds_id
        self._problem_body: bytes | None = None  # set when the answer has become a problem
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            if message["status"] in PLAIN_STATUSES and not _is_json(message):
                kept = [header for header in message["headers"] if header[0] in KEPT_HEADERS]
                message = self._problem(PLAIN_STATUSES[message["status"]], None, kept)
            headers = [*message["headers"], *SECURITY_HEADERS]
            if self._adds_id and not any(name == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", self._request_id.encode()))
            message = {**message, "headers": headers}
        elif self._problem_body is not None:
            body, self._problem_body = self._problem_body, b""
            message = {**message, "body": body}
        await self._send(message)

    async def refuse(self, code: str, detail: str | None, discard_body: Awaitable[None]) -> None:
        """Sends a problem; closes the connection once the rest of the body has been discarded."""
        await self._send_problem(code, detail)
        await discard_body
        await self({"type": "http.response.body"})

    async def refuse_if_unanswered(self, code: str) -> None:
        """Sends a problem, unless the app has begun an answer."""
        if not self._has_begun:
            await self._send_problem(code, None)
            await self({"type": "http.response.body"})

    async def _send_problem(self, code: str, detail: str | None) -> None:
        """Sends the whole problem without the end of the answer."""
        headers = [(b"x-request-id", self._request_id.encode()), (b"connection", b"close")]
        await self(self._problem(code, detail, headers))
        await self({"type": "http.response.body", "more_body": True})

    def _problem(self, code: str, detail: str | None, kept: Headers) -> Message:
        headers, self._problem_body = problem_response(code, detail, self._request_id, self._path)
        names = {name for name, _ in kept}
        rendered = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return {
            "type": "http.response.start",
            "status": PROBLEMS[code].status,
            "headers": [*kept, *(header for header in rendered if header[0] not in names)],
        }


def _is_json(message: Message) -> bool:
    """Returns whether this is one of the app's own errors, which are problems already."""
    return any(name == b"content-type" and b"json" in value for name, value in message["headers"])
