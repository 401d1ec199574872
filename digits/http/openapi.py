"""The OpenAPI 3.1 document, generated from the models that validate requests."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

from digits.http import openapi_protocols
from digits.http.answers import EXPLAIN
from digits.http.openapi_parts import (
    KEYS,
    KEYS_IF_SET,
    PREDICTING,
    Json,
    all_examples,
    all_problems,
    json_content,
    operation,
    ref,
)
from digits.http.schemas import (
    Failure,
    Health,
    PredictBody,
    PredictManyResponse,
    PredictResponse,
    ProblemDocument,
    Ready,
    Reloaded,
)
from digits.task import LEVELS, NOUN, READER
from digits.vision.formats import MEDIA_TYPES

MODELS: tuple[type[BaseModel], ...] = (
    PredictBody, PredictResponse, PredictManyResponse, ProblemDocument, Failure, Health, Ready, Reloaded,
    *openapi_protocols.MODELS,
)  # fmt: skip
ABOUT = "Reads handwritten digits." if READER == "digit" else f"Says which {NOUN} a picture shows."
HTML: Json = {"text/html": {"schema": {"type": "string"}}}
PREDICT, SERVICE = "Predict", "Service"
TAGS = {
    PREDICT: f"Pictures in, {NOUN}s out.",
    openapi_protocols.V2: "The same with the protocol of KServe, Triton and MLServer (V2).",
    openapi_protocols.TF: "The same for clients of TensorFlow Serving and of KServe V1.",
    openapi_protocols.MLFLOW: "The same for clients of `mlflow models serve`.",
    SERVICE: "Health checks, operation and this document.",
}


class _WithoutDefaults(GenerateJsonSchema):
    """Leaves out defaults: client generators treat a field with a default as required in requests."""

    def default_schema(self, schema: WithDefaultSchema) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])


def openapi_document() -> Json:
    """Returns the document; its schemas are those of the models that validate requests."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in MODELS],
        ref_template="#/components/schemas/{model}",
        schema_generator=_WithoutDefaults,
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "digits",
            "version": "1",
            "summary": ABOUT,
            "description": f"{ABOUT[:-1]}: one image or many in a request.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The service that sent this document"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": {
            "/predict": {"post": _predict()},
            **openapi_protocols.protocol_paths(),
            "/admin/reload": {"post": _reload()},
            "/healthz": {"get": _get("healthz", "The replica is alive", json_content(Health))},
            "/readyz": {
                "get": _get("readyz", "A model is loaded and has passed its checks", json_content(Ready), 503)
            },
            "/openapi.json": {
                "get": _get(
                    "openapi", "This OpenAPI document", {"application/json": {"schema": {"type": "object"}}}
                )
            },
            "/docs": {"get": _get("docs", "The API reference for people", HTML)},
            "/": {"get": _get("page", f"A page to send pictures and see the {NOUN} in each", HTML)},
        },
        "components": {
            "schemas": schemas["$defs"],
            "examples": all_examples(),
            "responses": all_problems(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _predict() -> Json:
    binary = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "description": "Every file is an image, under any field name.",
        "properties": {"image": {"type": "array", "items": binary}},
        "additionalProperties": binary,
    }
    levels = {
        **binary,
        "description": f"An image file; or consecutive images of {LEVELS} bytes each, one per level, "
        "which get a list as answer.",
    }
    text = {"type": "string", "description": "An image file as base64, or as a data: URL."}
    answer = {"oneOf": [ref(PredictResponse), ref(PredictManyResponse)]}
    return operation(
        "predict",
        PREDICT,
        f"Read the {NOUN} in an image, or in each of several images",
        {"application/json": {"schema": answer}},
        *PREDICTING,
        description="An answer for one image; for a list, a list of answers in the same order.",
        parameters=[
            {
                "name": EXPLAIN,
                "in": "query",
                "description": "Adds to the answer the picture that the model was given (`pixels`) and how "
                "the request was handled (`timing`).",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        requestBody={
            "required": True,
            "content": {
                **{media_type: {"schema": binary} for media_type in MEDIA_TYPES},
                "multipart/form-data": {"schema": form},
                **json_content(PredictBody, "predict"),
                "application/octet-stream": {"schema": levels},
                "text/plain": {"schema": text},
            },
        },
        security=KEYS_IF_SET,
    )


def _reload() -> Json:
    return operation(
        "reload",
        SERVICE,
        "Load the version that the model's alias points to, in the replica that answers",
        json_content(Reloaded),
        401, 403, 503,
        security=KEYS,
    )  # fmt: skip


def _get(name: str, summary: str, content: Json, *statuses: int) -> Json:
    return operation(name, SERVICE, summary, content, *statuses)
