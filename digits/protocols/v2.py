"""The Open Inference Protocol (V2 of KServe): requests -> images, rows -> answers, metadata.

With the extensions for binary tensors, classification and the model configuration, as Triton defines them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydantic_core import to_json

from digits.errors import BadInput
from digits.inference.classifier import Classifier
from digits.inference.items import Item, check_count
from digits.inference.predictor import Predictions
from digits.protocols.json_bodies import validated
from digits.protocols.rows import Rows, rows_of
from digits.protocols.tensors import in_bytes, in_json, items_of, top_classes
from digits.protocols.v2_schemas import (
    IMAGE,
    INFER_REQUEST,
    IS_DIGIT,
    LABEL,
    NAME,
    PIXELS,
    PROBABILITIES,
    InputTensor,
    RequestedOutput,
)
from digits.task import CLASSES, LABELS, SHAPE, ModelVersion

HEADER_LENGTH = b"inference-header-content-length"  # bytes of JSON at the start of a body with binary tensors
OUTPUTS = (LABEL, PROBABILITIES, IS_DIGIT)
SERVER = {
    "name": NAME,
    "version": "1",
    "extensions": ["binary_tensor_data", "classification", "model_configuration"],
}


@dataclass(frozen=True, slots=True)
class _Output:
    name: str
    classes: int  # number of classes for the classification extension; 0: the plain output
    is_binary: bool


@dataclass(frozen=True, slots=True)
class Request:
    """The images of a request and its options; empty `outputs` means all outputs of the model."""

    items: Sequence[Item]
    id: str
    outputs: Sequence[_Output]
    is_binary: bool  # whether outputs that are not listed are binary


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    json_length: int | None  # bytes of JSON before binary outputs; None: the body is only JSON


def check_version(wanted: str | None, live: ModelVersion) -> None:
    """Raises BadInput unless the version is the live one; None accepts any."""
    if wanted not in (None, live.version):
        raise BadInput(
            "version_unknown", f"The service has the model `{NAME}` in version `{live.version}` and no other"
        )


def parse(body: bytes, header_length: bytes | None, max_images: int) -> Request:
    """Returns the request. Raises BadInput for what the protocol or this model does not allow."""
    length = _json_length(body, header_length)
    request = validated(INFER_REQUEST, body if length is None else body[:length], max_images)
    if len(request.inputs) != 1:
        raise BadInput("body_invalid", f"A request has one input, `{PIXELS}` or `{IMAGE}`; send one of them")
    (tensor,) = request.inputs
    if tensor.shape:
        check_count(tensor.shape[0], max_images)
    after = memoryview(body)[len(body) if length is None else length :]
    items = items_of(tensor, _bytes_of(tensor, after))
    is_binary = _flag(request.parameters, "binary_data_output", False)
    outputs = [_output(requested, is_binary) for requested in request.outputs or ()]
    return Request(items, request.id, outputs, is_binary)


def respond(request: Request, predictions: Predictions) -> Response:
    """Returns the answer. Raises BadInput for an unreadable image or an output that the model lacks."""
    rows = rows_of(predictions)
    answer: dict[str, Any] = {"model_name": NAME, "model_version": predictions.model.version}
    if request.id:
        answer["id"] = request.id
    said = [name for name in OUTPUTS if name != IS_DIGIT or rows.is_digit is not None]
    outputs, parts = [], []
    for output in request.outputs or [_Output(name, 0, request.is_binary) for name in said]:
        array = _array(output, rows)
        if output.is_binary:
            described, data = in_bytes(output.name, array)
            parts.append(data)
        else:
            described = in_json(output.name, array)
        outputs.append(described)
    head = to_json(answer | {"outputs": outputs})
    return Response(b"".join((head, *parts)), len(head) if parts else None)


def metadata(classifier: Classifier) -> dict[str, Any]:
    """Returns the model's inputs and outputs, as the protocol describes tensors.

    `reject_below` is the is_digit below which POST /predict rejects a picture.
    """
    tensors = [
        {"name": LABEL, "datatype": "INT64", "shape": [-1]},
        {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, CLASSES]},
        {"name": IS_DIGIT, "datatype": "FP32", "shape": [-1]},
    ]
    return {
        "name": NAME,
        "versions": [classifier.version.version],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": PIXELS, "datatype": "UINT8", "shape": [-1, *SHAPE]},
            {"name": IMAGE, "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": tensors if classifier.says_is_digit else tensors[:-1],
        "parameters": {"reject_below": classifier.reject_below},
    }


def configuration(classifier: Classifier) -> dict[str, Any]:
    """Returns the same in Triton's form: `perf_analyzer` requests it before it sends anything.

    Inputs are optional, because a request has only one of them.
    """
    described = metadata(classifier)
    return {
        "name": NAME,
        "platform": described["platform"],
        "max_batch_size": 0,  # the first dimension of each tensor is its number of images
        "input": [_configured(tensor) | {"optional": True} for tensor in described["inputs"]],
        "output": [_configured(tensor) for tensor in described["outputs"]],
    }


def _configured(tensor: dict[str, Any]) -> dict[str, Any]:
    kind = {"BYTES": "STRING"}.get(tensor["datatype"], tensor["datatype"])
    return {"name": tensor["name"], "data_type": f"TYPE_{kind}", "dims": tensor["shape"]}


def _json_length(body: bytes, header: bytes | None) -> int | None:
    if header is None:
        return None
    # int() accepts more than digits, and rejects very long numbers.
    length = int(header) if header.isdigit() and len(header) < 20 else -1
    if not 0 < length <= len(body):
        raise BadInput(
            "header_invalid",
            "`Inference-Header-Content-Length` is not the size of the JSON in front of the binary tensors; "
            f"send 1 to {len(body)}, the body's size",
        )
    return length


def _bytes_of(tensor: InputTensor, after: memoryview) -> memoryview | None:
    """Returns the bytes after the JSON, which must be the tensor's; None if the tensor is in the JSON."""
    size = tensor.parameters.get("binary_data_size")
    if size is None and not after:
        return None
    if type(size) is not int or size != len(after):
        raise BadInput(
            "body_invalid",
            f"{len(after)} bytes follow the JSON, and `binary_data_size` of `{tensor.name[:40]}` is "
            f"{size if type(size) is int else 'not a number'}; send the same number, and "
            "`Inference-Header-Content-Length`",
        )
    return after


def _output(requested: RequestedOutput, is_binary: bool) -> _Output:
    if requested.name not in OUTPUTS:
        raise BadInput(
            "body_invalid", f"No output is called {requested.name[:40]!r}; ask for {', '.join(OUTPUTS)}"
        )
    classes = requested.parameters.get("classification", 0)
    if type(classes) is not int or classes < 0 or (classes and requested.name != PROBABILITIES):
        raise BadInput(
            "body_invalid",
            f"`classification` is a number of labels, 1 to {CLASSES}, and only for `{PROBABILITIES}`",
        )
    return _Output(requested.name, classes, _flag(requested.parameters, "binary_data", is_binary))


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadInput("body_invalid", f"The parameter `{name}` is not true or false; send one of them")
    return value


def _array(output: _Output, rows: Rows) -> NDArray[Any]:
    if output.name == LABEL:
        return rows.labels
    if output.name == PROBABILITIES:
        if output.classes:
            return top_classes(rows.probabilities, output.classes, LABELS)
        return rows.probabilities
    if rows.is_digit is None:
        raise BadInput("body_invalid", f"The live model has no output `{IS_DIGIT}`; request other outputs")
    return rows.is_digit
