"""The routes around a predictor, without Ray.

digits.gateway has already checked limits, API keys and headers.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from digits.errors import Abandoned, NoDigit, Overloaded, RequestError
from digits.http.answers import Handling, answer_body, model_name, wants_explanation, what_was_seen
from digits.http.bodies import parse_body
from digits.http.disconnect import Disconnect
from digits.http.forms import silence_parser
from digits.http.messages import ON_LOOP_BYTES, off_loop, read_body, send_body
from digits.http.openapi import openapi_document
from digits.http.page import page_of
from digits.http.protocols import protocol_routes
from digits.inference.predictor import Predictor
from digits.problems import PROBLEMS, PROTOCOL_PATHS, problem_response, request_id_from
from digits.protocols.v2_schemas import NAME
from digits.vision.formats import is_image_file

log = logging.getLogger(__name__)

Headers = dict[bytes, bytes]
PREDICT, JSON = "/predict", b"application/json"
# Of an unknown path of another protocol; most often the model has another name in the client.
NO_SUCH_MODEL = f"The service has the model `{NAME}` and no other; GET /openapi.json lists all paths"


def create_api(
    predictor: Predictor, middleware: Sequence[Middleware] = (), replica: str = "local"
) -> Starlette:
    """Returns the ASGI application; `replica` is this process's name in explanations."""
    silence_parser()
    page, reference = page_of("page.html"), page_of("reference.html")
    document = JSONResponse(openapi_document())  # rendered once: it takes as long as eight predictions
    live = predictor.live

    async def readyz(_: Request) -> Response:
        model = model_name(live.ready().version)
        return JSONResponse({"status": "ready", "model": model, "warning": live.warning})

    async def reload(_: Request) -> Response:
        changed = await live.reload()
        model = model_name(live.ready().version)
        return JSONResponse({"changed": changed, "model": model, "warning": live.warning})

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def docs(_: Request) -> Response:
        return reference

    async def openapi(_: Request) -> Response:
        return document

    async def root(_: Request) -> Response:
        return page

    predict = _Predict(predictor, replica)
    app = _Api(
        predict,
        routes=[
            Route(PREDICT, predict, methods=["POST"]),
            *protocol_routes(predictor),
            Route("/admin/reload", reload, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/docs", docs),
            Route("/openapi.json", openapi),
            Route("/", root),
        ],
        middleware=middleware,
        exception_handlers=EXPLAINED | {Exception: _explain_failure},
    )
    # A redirect would send a client behind TLS, with its API key, to http://.
    app.router.redirect_slashes = False
    return app


class _Predict:
    """POST /predict as plain ASGI: Starlette's Request and Response would take a tenth of the whole time.

    It is a class, because Starlette passes a Request to a function.
    """

    def __init__(self, predictor: Predictor, replica: str) -> None:
        self._predictor = predictor
        self._replica = replica

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, await self.answer(scope, receive), JSON)

    async def answer(self, scope: Scope, receive: Receive) -> bytes:
        """Returns the JSON of the answer; the app's exception handlers turn its exceptions into problems."""
        began = time.perf_counter()
        query: bytes = scope.get("query_string", b"")
        explain = wants_explanation(query) if query else False
        most = self._predictor.live.ready().settings.max_images_per_request
        headers = dict(scope["headers"])
        body = await read_body(receive)
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        is_quick = len(body) <= ON_LOOP_BYTES or is_image_file(body)
        parsed = await off_loop(not is_quick, parse_body, content_type, body, most)
        predictions = await self._predictor.predict(parsed.items, Disconnect(receive))
        took_ms = (time.perf_counter() - began) * 1000
        handling = Handling(self._replica, took_ms) if explain else None
        return answer_body(predictions, parsed.many, _request_id(headers), handling)


class _Api(Starlette):
    """Answers POST /predict before Starlette's middlewares and router, which cost 5 % of a small picture.

    The same functions handle its errors. If middlewares are configured, every request goes through them.
    """

    def __init__(self, predict: _Predict, **options: Any) -> None:
        super().__init__(**options)
        self._predict = predict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != PREDICT or scope.get("method") != "POST" or self.user_middleware:
            await super().__call__(scope, receive, send)
            return
        try:
            answer = await self._predict.answer(scope, receive)
        except Exception as error:
            explain = next((EXPLAINED[kind] for kind in type(error).__mro__ if kind in EXPLAINED), None)
            response = await (explain or _explain_failure)(Request(scope), error)
            await response(scope, receive, send)
            if explain is None:
                raise  # the server logs it, too
            return
        await send_body(send, answer, JSON)


def _request_id(headers: Headers) -> str:
    return request_id_from(headers.get(b"x-request-id", b""))


def _problem(
    request: Request, code: str, detail: str | None = None, more: dict[str, Any] | None = None
) -> Response:
    headers, body = problem_response(
        code, detail, _request_id(dict(request.scope["headers"])), request.url.path, more
    )
    return Response(body, PROBLEMS[code].status, headers)


async def _explain_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    # Only POST /predict raises NoDigit, after it has checked the query.
    explain = isinstance(error, NoDigit) and wants_explanation(request.scope["query_string"])
    seen = what_was_seen(error, explain)
    response = _problem(request, error.code, str(error), seen)
    if isinstance(error, Overloaded):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


async def _explain_http_error(request: Request, error: Exception) -> Response:
    """Returns the problem for an error of Starlette's router: unknown path or wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        response = _problem(request, "method_not_allowed", f"This path accepts {allowed} only")
        response.headers["Allow"] = allowed
        return response
    of_protocol = request.url.path.startswith(PROTOCOL_PATHS)
    return _problem(request, "not_found", NO_SUCH_MODEL if of_protocol else None)


async def _close(_: Request, __: Exception) -> Response:
    """Ends the answer of a disconnected client: no client reads it, but Ray counts its status."""
    return Response(status_code=499)


async def _explain_failure(request: Request, error: Exception) -> Response:
    request_id = _request_id(dict(request.scope["headers"]))
    log.error("request failed path=%s request_id=%s", request.url.path, request_id, exc_info=error)
    return _problem(request, "internal")


EXPLAINED: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    RequestError: _explain_request_error,
    Abandoned: _close,
    HTTPException: _explain_http_error,
    ClientDisconnect: _close,
}
