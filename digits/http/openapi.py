"""The OpenAPI 3.1 document of digits.http.app, made from the models that check and describe its bodies."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

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

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif")
MODELS: tuple[type[BaseModel], ...] = (
    PredictBody, PredictResponse, PredictManyResponse, ProblemDocument, Health, Ready, Reloaded,
)  # fmt: skip

EDGE = (
    400,
    408,
    413,
    415,
    431,
)  # what digits.gateway may answer on any path, before there is a route
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
            "description": "Reads handwritten digits: one image, or many, in one request.",
        },
        "paths": {
            "/predict": {"post": _predict()},
            "/admin/reload": {"post": _reload()},
            "/healthz": {"get": _get("The replica's process answers", Health)},
            "/readyz": {"get": _get("A model is loaded, warmed and reads the golden digits", Ready, 503)},
            "/openapi.json": {"get": _get("This document")},
            "/docs": {"get": _page()},
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
    """One response for each status, naming the codes that come with it."""
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
        "description": "Every file is an image, whatever its field is called.",
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
        "description": "An image file; or images one after another, 784 grey levels each, a byte a level, "
        "answered by a list.",
    }
    zeros = [0] * 784
    examples = {
        "one file as base64": {"value": {"image": "iVBORw0KGgo..."}},
        "many files": {"value": {"images": ["data:image/png;base64,iVBORw0KGgo...", "/9j/4AAQSkZJ..."]}},
        "784 grey levels": {"value": {"pixels": zeros}},
    }
    answer = {"oneOf": [_ref(PredictResponse), _ref(PredictManyResponse)]}
    return {
        "summary": "Read the digit on an image, or on each of many",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                **{media_type: {} for media_type in IMAGE_TYPES},
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": _ref(PredictBody), "examples": examples},
                "application/octet-stream": {"schema": levels},
            },
        },
        "responses": {
            "200": {
                "description": "One image in, one answer out; a list in, a list out, in the same order.",
                "content": {"application/json": {"schema": answer}},
            },
            **_problems(400, 401, 403, 408, 413, 415, 422, 429, 431, 500, 502, 503, 504),
        },
        "security": [{}, *KEYS],
    }


def _reload() -> dict[str, Any]:
    description = "Where the alias points was looked up, and what it points at loaded if it is another"
    return {
        **_get(description, Reloaded, 401, 403, 503),
        "summary": "Follow the model's alias now, on the replica that answers",
        "operationId": "reload",
        "security": KEYS,
    }


def _get(description: str, model: type[BaseModel] | None = None, *problems: int) -> dict[str, Any]:
    schema = _ref(model) if model else {"type": "object"}
    ok = {"description": description, "content": {"application/json": {"schema": schema}}}
    return {"summary": description, "responses": {"200": ok, **_problems(*sorted({*EDGE, *problems}))}}


def _page() -> dict[str, Any]:
    page = {"description": "A page that loads nothing from outside", "content": {"text/html": {}}}
    return {"summary": "Draw a digit, read the manual", "responses": {"200": page, **_problems(*EDGE)}}
