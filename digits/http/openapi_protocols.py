"""The paths of the other protocols in the OpenAPI document."""

from typing import Any

from pydantic import BaseModel

from digits.http.openapi_parts import ERROR, KEYS_IF_SET, PREDICTING, Json, json_content, operation
from digits.protocols.instances import Instances, Invocation, Scores
from digits.protocols.v2_schemas import (
    NAME,
    InferRequest,
    InferResponse,
    Live,
    ModelConfiguration,
    ModelMetadata,
    ModelReady,
    ServerMetadata,
    ServerReady,
)
from digits.task import NOUN, READER

MODELS: tuple[type[BaseModel], ...] = (
    InferRequest, InferResponse, Live, ModelConfiguration, ModelMetadata, ModelReady, ServerMetadata,
    ServerReady, Instances, Invocation, Scores,
)  # fmt: skip
V2, TF, MLFLOW = "Open Inference Protocol", "TensorFlow Serving", "MLflow"
VERSION: Json = {
    "name": "version", "in": "path", "required": True, "schema": {"type": "string"}, "example": "starter",
    "description": "Any version but the live one gets 404.",
}  # fmt: skip
HEADER: Json = {
    "name": "Inference-Header-Content-Length", "schema": {"type": "integer", "minimum": 1},
    "description": "Bytes of JSON at the start of a body with binary tensors.",
}  # fmt: skip
UNKNOWN = (404, 503)  # another version, and no model yet
ROWS = (
    "A row for each image"
    + (
        ", even if it shows no digit: then it has the best guess, and `is_digit` is low; it is 0 for several "
        "digits and for a blank image. "
        if READER == "digit"
        else ". "
    )
    + "An image that cannot be read fails the request."
)


def protocol_paths() -> Json:
    """Returns the paths, each also with a version if the protocol has one."""
    model, v1 = f"/v2/models/{NAME}", f"/v1/models/{NAME}"
    return {
        "/v2/health/live": {"get": _open("is_live", "The server is alive", Live)},
        "/v2/health/ready": {"get": _open("is_ready", "A model is loaded", ServerReady, 503)},
        "/v2": {"get": _get("server_metadata", "Name and extensions of the server", ServerMetadata)},
        **_with_version(model, "", "get", _model_metadata),
        **_with_version(model, "/config", "get", _model_configuration),
        **_with_version(model, "/ready", "get", _model_ready),
        **_with_version(model, "/infer", "post", _infer),
        **_with_version(v1, "", "get", _model_status),
        **_with_version(v1, ":predict", "post", _predict_instances),
        "/invocations": {"post": _scores("invoke", MLFLOW, Invocation)},
    }


def _with_version(path: str, end: str, method: str, made: Any) -> Json:
    return {
        path + end: {method: made("")},
        f"{path}/versions/{{version}}{end}": {"parameters": [VERSION], method: made("_of_version")},
    }


def _open(name: str, summary: str, model: type[BaseModel], *statuses: int) -> Json:
    return operation(name, V2, summary, json_content(model), *statuses, form=ERROR)


def _get(name: str, summary: str, model: type[BaseModel], *statuses: int) -> Json:
    content = json_content(model)
    return operation(name, V2, summary, content, 401, 403, *statuses, form=ERROR, security=KEYS_IF_SET)


def _model_metadata(end: str) -> Json:
    return _get(f"model_metadata{end}", "Inputs and outputs of the model", ModelMetadata, *UNKNOWN)


def _model_configuration(end: str) -> Json:
    return _get(
        f"model_configuration{end}",
        "The model configuration for Triton clients",
        ModelConfiguration,
        *UNKNOWN,
    )


def _model_ready(end: str) -> Json:
    return _get(f"is_model_ready{end}", "The model is ready", ModelReady, *UNKNOWN)


def _infer(end: str) -> Json:
    binary = {
        "application/octet-stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": "The JSON, then the bytes of its tensors that have a `binary_data_size`.",
            }
        }
    }
    made = operation(
        f"infer{end}", V2, f"Read {NOUN}s with the Open Inference Protocol",
        {**json_content(InferResponse), **binary},
        404, *PREDICTING,
        description=f"{ROWS} The extensions for binary tensors and classification are supported.",
        parameters=[HEADER | {"in": "header"}],
        requestBody={"required": True, "content": {**json_content(InferRequest, "infer"), **binary}},
        form=ERROR, security=KEYS_IF_SET,
    )  # fmt: skip
    made["responses"]["200"]["headers"] = {
        HEADER["name"]: {key: value for key, value in HEADER.items() if key != "name"}
    }
    return made


def _model_status(end: str) -> Json:
    content = {"application/json": {"schema": {"type": "object"}}}
    return operation(
        f"model_status{end}", TF, "State of the model's version", content, 401, 403, *UNKNOWN,
        form=ERROR, security=KEYS_IF_SET,
    )  # fmt: skip


def _predict_instances(end: str) -> Json:
    return _scores(f"predict_instances{end}", TF, Instances, 404)


def _scores(name: str, tag: str, body: type[BaseModel], *statuses: int) -> Json:
    return operation(
        name, tag, f"Read {NOUN}s with {tag}'s protocol", json_content(Scores), *PREDICTING, *statuses,
        description=f"A probability for each label and image. {ROWS}",
        requestBody={"required": True, "content": json_content(body, name.removesuffix("_of_version"))},
        form=ERROR, security=KEYS_IF_SET,
    )  # fmt: skip
