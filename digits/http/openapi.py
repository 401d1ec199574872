"""The OpenAPI 3.1 document, made from the models that validate requests."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from digits.http.answers import EXPLAIN
from digits.http.schemas import (
    Health,
    PredictBody,
    PredictManyResponse,
    PredictResponse,
    ProblemDocument,
    Ready,
    Reloaded,
)
from digits.problems import MEDIA_TYPE, PROBLEMS
from digits.task import PIXELS

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif")
MODELS: tuple[type[BaseModel], ...] = (
    PredictBody, PredictResponse, PredictManyResponse, ProblemDocument, Health, Ready, Reloaded,
)  # fmt: skip

GATEWAY = (400, 408, 413, 415, 431)  # what digits.gateway may answer on any path
KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]


def openapi_document() -> dict[str, Any]:
    _, schemas = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "digits",
            "version": "1",
            "description": "Reads handwritten digits: one image or many in a request.",
        },
        "paths": {
            "/predict": {"post": _predict()},
            "/admin/reload": {"post": _reload()},
            "/healthz": {"get": _get("The replica is alive", Health)},
            "/readyz": {"get": _get("A model is loaded and has passed its checks", Ready, 503)},
            "/openapi.json": {"get": _get("This document")},
            "/docs": {"get": _page("Read how to use the service")},
            "/": {"get": _page("Draw a digit and see it read")},
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _problems(*statuses: int) -> dict[str, Any]:
    """A response for each status, with the codes that come with it."""
    return {
        str(status): {
            "description": "; ".join(
                f"`{code}`: {problem.title}" for code, problem in PROBLEMS.items() if problem.status == status
            ),
            "content": {MEDIA_TYPE: {"schema": _ref(ProblemDocument)}},
        }
        for status in statuses
    }


def _predict() -> dict[str, Any]:
    form = {
        "type": "object",
        "description": "Every file is an image, under any field name.",
        "additionalProperties": {
            "anyOf": [
                {"type": "string", "contentMediaType": "image/*"},
                {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}},
            ]
        },
    }
    levels = {
        "type": "string",
        "format": "binary",
        "description": f"An image file; or images one after another, {PIXELS} bytes each, one per grey "
        "level, which are answered by a list.",
    }
    text = {"type": "string", "description": "An image file as base64, or as a data: URL."}
    zeros = [0] * PIXELS
    examples = {
        "one file as base64": {"value": {"image": "iVBORw0KGgo..."}},
        "many files": {"value": {"images": ["data:image/png;base64,iVBORw0KGgo...", "/9j/4AAQSkZJ..."]}},
        f"{PIXELS} grey levels": {"value": {"pixels": zeros}},
    }
    answer = {"oneOf": [_ref(PredictResponse), _ref(PredictManyResponse)]}
    return {
        "summary": "Read the digit on an image, or on each of many",
        "operationId": "predict",
        "parameters": [
            {
                "name": EXPLAIN,
                "in": "query",
                "description": "Adds to the answer the picture that the model was given (`pixels`) and how "
                "the request was handled (`timing`).",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                **{media_type: {} for media_type in IMAGE_TYPES},
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": _ref(PredictBody), "examples": examples},
                "application/octet-stream": {"schema": levels},
                "text/plain": {"schema": text},
            },
        },
        "responses": {
            "200": {
                "description": "An answer for one image; for a list, a list of answers in the same order.",
                "content": {"application/json": {"schema": answer}},
            },
            **_problems(400, 401, 403, 408, 413, 415, 422, 429, 431, 500, 502, 503, 504),
        },
        "security": [{}, *KEYS],
    }


def _reload() -> dict[str, Any]:
    description = "The alias was resolved, and its version loaded if it is another one"
    return {
        **_get(description, Reloaded, 401, 403, 503),
        "summary": "Load the version that the model's alias points to, on the replica that answers",
        "operationId": "reload",
        "security": KEYS,
    }


def _get(description: str, model: type[BaseModel] | None = None, *problems: int) -> dict[str, Any]:
    schema = _ref(model) if model else {"type": "object"}
    ok = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {"summary": description, "responses": {"200": ok, **_problems(*sorted({*GATEWAY, *problems}))}}


def _page(summary: str) -> dict[str, Any]:
    page = {"description": "A page that needs no other site", "content": {"text/html": {}}}
    responses = {"200": page, **_problems(*GATEWAY)}
    return {"summary": summary, "responses": responses}
