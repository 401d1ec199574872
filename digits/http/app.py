"""The routes around a predictor, without Ray.

Limits, API keys and headers are checked before, in digits.gateway.
"""

import asyncio
import logging
from collections.abc import Sequence
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

from digits.errors import Abandoned, BadInput, RequestError
from digits.http.bodies import parse_body
from digits.http.disconnect import Disconnect
from digits.http.openapi import openapi_document
from digits.http.reading import Read, read
from digits.inference.predictor import Predictor
from digits.problems import PROBLEMS, problem_document, problem_response, request_id_from
from digits.task import ModelVersion, Prediction

log = logging.getLogger(__name__)

# A body up to this size is decoded on the event loop: a hop to a thread would cost more than the decoding.
# 2 KiB of PNG inflate to 2 MB at most (deflate reaches 1032:1), some 10 ms of work.
ON_LOOP_BYTES = 2048
# The page at /docs is one file: no script from elsewhere runs in it, and no other page may frame it.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
Headers = dict[bytes, bytes]


def create_api(predictor: Predictor, middleware: Sequence[Middleware] = ()) -> Starlette:
    """The ASGI application."""
    page = files("digits.http").joinpath("page.html").read_text()
    document = openapi_document()
    live = predictor.live

    async def readyz(_: Request) -> Response:
        model = _model_name(live.ready().version)
        return JSONResponse({"status": "ready", "model": model, "warning": live.warning})

    async def reload(_: Request) -> Response:
        changed = await live.reload()
        model = _model_name(live.ready().version)
        return JSONResponse({"changed": changed, "model": model, "warning": live.warning})

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
            Route("/predict", _Predict(predictor), methods=["POST"]),
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
            Abandoned: _close,
            HTTPException: _explain_http_error,
            ClientDisconnect: _close,
            Exception: _explain_failure,
        },
    )
    # A redirect would send a client behind TLS, with its API key, to http://.
    app.router.redirect_slashes = False
    return app


class _Predict:
    """POST /predict as plain ASGI: Starlette's Request and Response would cost a tenth of the whole request.

    A class, since Starlette passes a Request to a function.  The app's exception handlers render what it
    raises.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        classifier = self._predictor.live.ready()
        headers = dict(scope["headers"])
        most = classifier.settings.max_images_per_request
        asked = await _parse_and_read(headers, await _read_body(receive), most)
        readable = [item for item in asked.items if not isinstance(item, BadInput)]
        predictions: list[Prediction] = []
        if readable:
            predictions = await self._predictor.predict(np.array(readable), Disconnect(receive))
        version = predictions[0].model if predictions else classifier.version
        body = _answer(asked, predictions, version, _request_id(headers))
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def _parse_and_read(headers: Headers, body: bytes, max_images: int) -> Read:
    content_type = headers.get(b"content-type", b"").decode("latin-1")

    def parse_and_read() -> Read:
        return read(parse_body(content_type, body, max_images))

    return parse_and_read() if len(body) <= ON_LOOP_BYTES else await asyncio.to_thread(parse_and_read)


async def _read_body(receive: Receive) -> bytes:
    """The whole body; the gateway has bounded its size and its time."""
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _answer(read: Read, predictions: Sequence[Prediction], version: ModelVersion, request_id: str) -> bytes:
    """The JSON body; `predictions` are those of the readable items, in their order."""
    following = iter(predictions)
    answers = [
        {"error": problem_document(item.code, str(item), request_id)}
        if isinstance(item, BadInput)
        else _prediction(next(following))
        for item in read.items
    ]
    content = {"predictions": answers} if read.many else answers[0]
    # pydantic's writer takes a sixth of the time of json.dumps, which was 5 % of a request.
    return to_json(content | {"model": _model_name(version), "request_id": request_id})


def _prediction(prediction: Prediction) -> dict[str, Any]:
    return {
        "digit": prediction.label,
        "confidence": prediction.confidence,
        "probabilities": prediction.probabilities,
    }


def _model_name(version: ModelVersion) -> dict[str, str]:
    return {"name": version.name, "version": version.version}


def _request_id(headers: Headers) -> str:
    return request_id_from(headers.get(b"x-request-id", b""))


def _problem(request: Request, code: str, detail: str) -> Response:
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
        response = _problem(request, "method_not_allowed", f"this path takes {allowed}")
        response.headers["Allow"] = allowed
        return response
    return _problem(request, "not_found", "this service has POST /predict, and GET /docs that explains it")


async def _close(_: Request, __: Exception) -> Response:
    """The client has disconnected: no one reads this answer, but Ray counts its status."""
    return Response(status_code=499)


async def _explain_failure(request: Request, error: Exception) -> Response:
    log.error("request failed path=%s", request.url.path, exc_info=error)
    return _problem(request, "internal", "the failure is in the service's log under this request's id")
