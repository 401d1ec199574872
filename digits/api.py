"""The HTTP surface around a Classifier: routes, answers, problems.  Ray is not known here."""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from digits.bodies import Parsed, parse_body
from digits.classifier import Classifier
from digits.errors import BadInput, NotReady, RequestError
from digits.openapi import openapi_document
from digits.problems import MEDIA_TYPE, PROBLEMS, problem_document

log = logging.getLogger(__name__)

# A body up to this size is decoded on the event loop, where a hop to a thread would cost more than
# the decoding: 2 KiB of PNG inflate to 2 MB at most (deflate reaches 1032:1), some 10 ms of work.
ON_LOOP_BYTES = 2048
RETRY_AFTER = {"Retry-After": "1"}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def create_api(current: Callable[[], Classifier | None]) -> Starlette:
    """`current` is asked once for each request; what it gives answers the whole of it."""
    page = files("digits").joinpath("docs.html").read_text()
    document = openapi_document()

    def ready() -> Classifier:
        if (classifier := current()) is None:
            raise NotReady("no model is loaded yet; try again in a few seconds")
        return classifier

    async def predict(request: Request) -> Response:
        classifier = ready()
        return await _answer(classifier, await _parse(request, classifier), _request_id(request))

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
            Route("/predict", predict, methods=["POST"]),
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


async def _parse(request: Request, classifier: Classifier) -> Parsed:
    settings, headers = classifier.settings, request.headers
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise BadInput("content_encoding_unsupported", "send the body as it is, without Content-Encoding")
    body = await _read_body(request, settings.max_body_bytes)
    arguments = headers.get("content-type", ""), body, settings.max_images_per_request
    if len(body) <= ON_LOOP_BYTES:
        return parse_body(*arguments)
    return await asyncio.to_thread(parse_body, *arguments)


async def _read_body(request: Request, limit: int) -> bytes:
    """The body, of which never more than `limit` bytes and one chunk are held."""
    chunks, size = [], int(request.headers.get("content-length", 0))
    if size <= limit:
        size = 0
        async for chunk in request.stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                break
    if size > limit:
        raise BadInput(
            "body_too_large", f"the body has more than {limit} bytes; send smaller images, or fewer"
        )
    return b"".join(chunks)


async def _answer(classifier: Classifier, parsed: Parsed, request_id: str) -> Response:
    readable = [item for item in parsed.items if not isinstance(item, BadInput)]
    rows = iter(await classifier.classify(np.stack(readable)) if readable else ())
    answers = [
        {"error": problem_document(item.code, str(item), request_id)}
        if isinstance(item, BadInput)
        else _prediction(next(rows))
        for item in parsed.items
    ]
    content = {"predictions": answers} if parsed.many else answers[0]
    return _json(content | {"model": _model_name(classifier), "request_id": request_id})


def _prediction(probabilities: NDArray[np.float32]) -> dict[str, Any]:
    # Six decimals: the rest is noise of float32 and would be most of the answer's bytes.
    rounded = probabilities.astype(np.float64).round(6).tolist()
    digit = int(probabilities.argmax())
    return {"digit": digit, "confidence": rounded[digit], "probabilities": rounded}


def _model_name(classifier: Classifier) -> dict[str, str]:
    return {"name": classifier.name, "version": classifier.version}


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content), media_type="application/json")


def _problem(request: Request, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    document = problem_document(code, detail, _request_id(request))
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
