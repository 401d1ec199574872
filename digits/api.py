"""The HTTP surface around a Classifier: routes, answers, problems.  Ray is not known here."""

import asyncio
import logging
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from digits.bodies import Parsed, parse_body
from digits.classifier import Classifier
from digits.errors import BadInput, NotReady, RequestError
from digits.openapi import openapi_document
from digits.problems import MEDIA_TYPE, PROBLEMS, problem_document, request_id_from
from digits.settings import ServeSettings

log = logging.getLogger(__name__)

# A body up to this size is decoded on the event loop, where a hop to a thread would cost more than
# the decoding: 2 KiB of PNG inflate to 2 MB at most (deflate reaches 1032:1), some 10 ms of work.
ON_LOOP_BYTES = 2048
RETRY_AFTER = {"Retry-After": "1"}
Headers = dict[bytes, bytes]


def create_api(current: Callable[[], Classifier | None]) -> Starlette:
    """`current` is asked once for each request; what it gives answers the whole of it."""
    page = files("digits").joinpath("docs.html").read_text()
    document = openapi_document()

    def ready() -> Classifier:
        if (classifier := current()) is None:
            raise NotReady("no model is loaded yet; try again in a few seconds")
        return classifier

    async def readyz(_: Request) -> Response:
        return JSONResponse({"status": "ready", "model": _model_name(ready())})

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def docs(_: Request) -> Response:
        return HTMLResponse(page)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs")

    return Starlette(
        routes=[
            Route("/predict", _Predict(ready), methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/docs", docs),
            Route("/openapi.json", openapi),
            Route("/", root),
        ],
        exception_handlers={
            RequestError: _explain_request_error,
            HTTPException: _explain_http_error,
            ClientDisconnect: _forget,
            Exception: _explain_failure,
        },
    )


class _Predict:
    """POST /predict as plain ASGI: Starlette's Request and Response would cost a tenth of the whole request.

    An object, since Starlette hands a function a Request.  What it raises, the handlers of the app explain.
    """

    def __init__(self, ready: Callable[[], Classifier]) -> None:
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        classifier = self._ready()
        headers = dict(scope["headers"])
        parsed = await _parse(headers, receive, classifier.settings)
        body = await _answer(classifier, parsed, _request_id(headers))
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def _parse(headers: Headers, receive: Receive, settings: ServeSettings) -> Parsed:
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise BadInput("content_encoding_unsupported", "send the body as it is, without Content-Encoding")
    body = await _read_body(headers, receive, settings.max_body_bytes)
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if len(body) <= ON_LOOP_BYTES:
        return parse_body(content_type, body, settings.max_images_per_request)
    return await asyncio.to_thread(parse_body, content_type, body, settings.max_images_per_request)


async def _read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The body, of which never more than `limit` bytes and one chunk are held."""
    if int(headers.get(b"content-length", 0)) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> BadInput:
    return BadInput("body_too_large", f"the body has more than {limit} bytes; send smaller images, or fewer")


async def _answer(classifier: Classifier, parsed: Parsed, request_id: str) -> bytes:
    readable = [item for item in parsed.items if not isinstance(item, BadInput)]
    rows = iter((await classifier.classify(np.array(readable))).tolist() if readable else ())
    answers = [
        {"error": problem_document(item.code, str(item), request_id)}
        if isinstance(item, BadInput)
        else _prediction(next(rows))
        for item in parsed.items
    ]
    content = {"predictions": answers} if parsed.many else answers[0]
    # pydantic's writer takes a sixth of the time of json.dumps, which was 5 % of a request.
    return to_json(content | {"model": _model_name(classifier), "request_id": request_id})


def _prediction(probabilities: list[float]) -> dict[str, Any]:
    confidence = max(probabilities)
    digit = probabilities.index(confidence)
    return {"digit": digit, "confidence": confidence, "probabilities": probabilities}


def _model_name(classifier: Classifier) -> dict[str, str]:
    return {"name": classifier.name, "version": classifier.version}


def _request_id(headers: Headers) -> str:
    return request_id_from(headers.get(b"x-request-id", b""))


def _problem(request: Request, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    document = problem_document(code, detail, _request_id(dict(request.scope["headers"])))
    return JSONResponse(document, PROBLEMS[code].status, headers, MEDIA_TYPE)


async def _explain_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = RETRY_AFTER if PROBLEMS[error.code].status in (429, 503) else None
    return _problem(request, error.code, str(error), headers)


async def _explain_http_error(request: Request, error: Exception) -> Response:
    """What Starlette's router raises: no such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = dict(error.headers or {})
        return _problem(request, "method_not_allowed", f"this path takes {allowed.get('Allow')}", allowed)
    return _problem(request, "not_found", "this service has POST /predict, and GET /docs that explains it")


async def _forget(_: Request, __: Exception) -> Response:
    """The client went away in the middle of its body: nobody reads this answer."""
    return Response(status_code=400)


async def _explain_failure(request: Request, error: Exception) -> Response:
    log.error("request failed path=%s", request.url.path, exc_info=error)
    return _problem(request, "internal", "the failure is in the service's log under this request's id")
