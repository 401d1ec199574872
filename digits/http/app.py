"""The HTTP surface around the model that answers now: routes, answers, problems.  Ray is not known here.

What protects it from the world (limits, keys, headers) is digits.gateway.middleware, which stands in front.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from digits.errors import Abandoned, BadInput, NotReady, RequestError
from digits.http.bodies import Parsed, parse_body
from digits.http.openapi import openapi_document
from digits.inference.classifier import Classifier
from digits.inference.live_model import LiveModel
from digits.problems import PROBLEMS, problem_document, problem_response, request_id_from

log = logging.getLogger(__name__)

# A body up to this size is decoded on the event loop, where a hop to a thread would cost more than
# the decoding: 2 KiB of PNG inflate to 2 MB at most (deflate reaches 1032:1), some 10 ms of work.
ON_LOOP_BYTES = 2048
# The page at /docs is one file: nothing from outside runs in it, and nobody frames it.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
Headers = dict[bytes, bytes]


def create_api(live: LiveModel, middleware: Sequence[Middleware] = ()) -> Starlette:
    """`live.classifier` is looked up once for each request; what it is then answers the whole of it."""
    page = files("digits.http").joinpath("page.html").read_text()
    document = openapi_document()

    def ready() -> Classifier:
        if (classifier := live.classifier) is None:
            raise NotReady(PROBLEMS["not_ready"].detail)
        return classifier

    async def readyz(_: Request) -> Response:
        return JSONResponse({"status": "ready", "model": _model_name(ready()), "warning": live.warning})

    async def reload(_: Request) -> Response:
        changed = await live.reload()
        return JSONResponse({"changed": changed, "model": _model_name(ready()), "warning": live.warning})

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def docs(_: Request) -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    async def openapi(_: Request) -> Response:
        return JSONResponse(document)

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs")

    app = Starlette(
        routes=[
            Route("/predict", _Predict(ready), methods=["POST"]),
            Route("/admin/reload", reload, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/docs", docs),
            Route("/openapi.json", openapi),
            Route("/", root),
        ],
        middleware=middleware,
        exception_handlers={
            RequestError: _explain_request_error,
            Abandoned: _forget,
            HTTPException: _explain_http_error,
            ClientDisconnect: _forget,
            Exception: _explain_failure,
        },
    )
    # Behind TLS it would send a client with its key to http://, and an extra slash is soon mended.
    app.router.redirect_slashes = False
    return app


class _Predict:
    """POST /predict as plain ASGI: Starlette's Request and Response would cost a tenth of the whole request.

    An object, since Starlette hands a function a Request.  What it raises, the handlers of the app explain.
    """

    def __init__(self, ready: Callable[[], Classifier]) -> None:
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        classifier = self._ready()
        headers = dict(scope["headers"])
        parsed = await _parse(headers, receive, classifier.settings.max_images_per_request)
        body = await _answer(classifier, parsed, _request_id(headers), lambda: _is_gone(receive))
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def _parse(headers: Headers, receive: Receive, max_images: int) -> Parsed:
    body = await _read_body(receive)
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if len(body) <= ON_LOOP_BYTES:
        return parse_body(content_type, body, max_images)
    return await asyncio.to_thread(parse_body, content_type, body, max_images)


async def _read_body(receive: Receive) -> bytes:
    """As the edge lets it through, which bounds its size and its time."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_gone(receive: Receive) -> bool:
    """Whether the client has hung up: the only message there can be after the body.

    One step of `receive`, which waits if there is none, as Starlette's Request.is_disconnected does it.
    """
    step = receive().__await__()
    try:
        next(step)
    except StopIteration as message:
        return bool(message.value["type"] == "http.disconnect")
    step.close()
    return False


async def _answer(
    classifier: Classifier, parsed: Parsed, request_id: str, is_abandoned: Callable[[], bool]
) -> bytes:
    readable = [item for item in parsed.items if not isinstance(item, BadInput)]
    rows = iter((await classifier.classify(np.array(readable), is_abandoned)).tolist() if readable else ())
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


def _problem(request: Request, code: str, detail: str | None = None) -> Response:
    headers, body = problem_response(code, detail, _request_id(dict(request.scope["headers"])))
    return Response(body, PROBLEMS[code].status, headers)


async def _explain_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _problem(request, error.code, str(error))


async def _explain_http_error(request: Request, error: Exception) -> Response:
    """What Starlette's router raises: no such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response = _problem(request, "method_not_allowed", f"This path accepts {allowed}")
        response.headers["Allow"] = allowed
        return response
    return _problem(request, "not_found")


async def _forget(_: Request, __: Exception) -> Response:
    """The client went away: nobody reads this answer, but Ray counts its status."""
    return Response(status_code=499)


async def _explain_failure(request: Request, error: Exception) -> Response:
    log.error("request failed path=%s", request.url.path, exc_info=error)
    return _problem(request, "internal")
