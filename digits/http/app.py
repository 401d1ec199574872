"""The routes around a predictor, without Ray.

Limits, API keys and headers are checked before, in digits.gateway.
"""

import asyncio
import logging
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from digits.errors import Abandoned, BadInput, Overloaded, RequestError
from digits.http.bodies import Parsed, parse_body
from digits.http.disconnect import Disconnect
from digits.http.openapi import openapi_document
from digits.inference.predictor import Predictions, Predictor
from digits.problems import PROBLEMS, problem_document, problem_response, request_id_from
from digits.task import ModelVersion, Prediction
from digits.vision.decoding import is_image_file

log = logging.getLogger(__name__)

# JSON, forms and text up to this size are parsed on the event loop: a hop to a thread would cost more.
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
        most = self._predictor.live.ready().settings.max_images_per_request
        headers = dict(scope["headers"])
        parsed = await _parse(headers, await _read_body(receive), most)
        predictions = await self._predictor.predict(parsed.items, Disconnect(receive))
        body = _answer(predictions, parsed.many, _request_id(headers))
        sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": sent})
        await send({"type": "http.response.body", "body": body})


async def _parse(headers: Headers, body: bytes, max_images: int) -> Parsed:
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    if len(body) <= ON_LOOP_BYTES or is_image_file(body):
        return parse_body(content_type, body, max_images)
    return await asyncio.to_thread(parse_body, content_type, body, max_images)


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


def _answer(predictions: Predictions, many: bool, request_id: str) -> bytes:
    """The JSON body; raises the problem of the only picture of a request."""
    if not many and isinstance(predictions.items[0], BadInput):
        raise predictions.items[0]
    answers = [
        {"error": problem_document(item.code, str(item), request_id)}
        if isinstance(item, BadInput)
        else _prediction(item)
        for item in predictions.items
    ]
    content = {"predictions": answers} if many else answers[0]
    # pydantic's writer takes a sixth of the time of json.dumps, which was 5 % of a request.
    return to_json(content | {"model": _model_name(predictions.model), "request_id": request_id})


def _prediction(prediction: Prediction) -> dict[str, Any]:
    answer = {
        "digit": prediction.label,
        "confidence": prediction.confidence,
        "probabilities": prediction.probabilities,
    }
    return answer if prediction.is_digit is None else answer | {"is_digit": prediction.is_digit}


def _model_name(version: ModelVersion) -> dict[str, str]:
    return {"name": version.name, "version": version.version}


def _request_id(headers: Headers) -> str:
    return request_id_from(headers.get(b"x-request-id", b""))


def _problem(request: Request, code: str, detail: str | None = None) -> Response:
    headers, body = problem_response(code, detail, _request_id(dict(request.scope["headers"])))
    return Response(body, PROBLEMS[code].status, headers)


async def _explain_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    response = _problem(request, error.code, str(error))
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def _explain_http_error(request: Request, error: Exception) -> Response:
    """What Starlette's router raises: no such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response = _problem(request, "method_not_allowed", f"This path accepts the methods {allowed} only")
        response.headers["Allow"] = allowed
        return response
    return _problem(request, "not_found")


async def _close(_: Request, __: Exception) -> Response:
    """The client has disconnected: no one reads this answer, but Ray counts its status."""
    return Response(status_code=499)


async def _explain_failure(request: Request, error: Exception) -> Response:
    request_id = _request_id(dict(request.scope["headers"]))
    log.error("request failed path=%s request_id=%s", request.url.path, request_id, exc_info=error)
    return _problem(request, "internal")
