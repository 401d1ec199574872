"""Every problem that a client can receive, and its RFC 9457 form (application/problem+json, or JSON).

The table holds the text of each problem once. The gateway, HAProxy's error files and the HTTP app all render
their answers here.
"""

import json
import random
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
# The paths of the Open Inference Protocol, TensorFlow Serving and MLflow.
PROTOCOL_PATHS = ("/v1/", "/v2", "/invocations")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem. `detail` is the default; code that knows the limit or the place overrides it."""

    status: int
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


RETRY = {"Retry-After": "1"}

PROBLEMS = {
    "image_empty": Problem(
        400,
        "The image is empty",
        "The body or form field has no bytes; send the bytes of an image file",
    ),
    "body_malformed": Problem(
        400,
        "The body cannot be parsed",
        "The body does not have the format that its Content-Type names; correct the header or the body",
    ),
    "http_invalid": Problem(
        400,
        "The request is not valid HTTP",
        "The request line, a header or the framing of the body is malformed; send it with an HTTP library",
    ),
    "transfer_encoding_unsupported": Problem(
        400,
        "This Transfer-Encoding is not supported",
        "Send the body uncompressed, with `Transfer-Encoding: chunked` alone or with a `Content-Length`",
    ),
    "header_invalid": Problem(
        400,
        "A request header is missing, duplicate or invalid",
        "Send each header once, with a valid value",
    ),
    "query_invalid": Problem(
        400,
        "A query parameter has an invalid value",
        "GET /openapi.json lists the query parameters and their values",
    ),
    "key_missing": Problem(
        401,
        "This path requires an API key",
        "Send an API key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`",
        {"WWW-Authenticate": "Bearer"},
    ),
    "key_refused": Problem(
        403,
        "This API key is not valid for this path",
        "Send a key that is accepted for this path; paths under /admin/ need an admin key",
    ),
    "path_disabled": Problem(
        403,
        "This path is disabled",
        "The service has no admin key; the operator enables this path with DIGITS_EDGE_ADMIN_KEYS_SHA256",
    ),
    "not_found": Problem(
        404,
        "This path does not exist",
        "Send images to POST /predict; GET /docs describes the API",
    ),
    "version_unknown": Problem(
        404,
        "This version of the model is not served",
        "GET /v2/models/digits names the live version",
    ),
    "method_not_allowed": Problem(
        405,
        "This path does not accept this method",
        "Use a method that the Allow header lists",
    ),
    "body_too_slow": Problem(
        408,
        "The request body arrived too slowly",
        "The body was not complete within the time limit; send it faster, or send fewer images",
    ),
    "body_too_large": Problem(
        413,
        "The request body is too large",
        "Send smaller images, or fewer images in one request",
    ),
    "image_too_large": Problem(
        413,
        "The image has too many pixels",
        "Send the image at a lower resolution",
    ),
    "too_many_images": Problem(
        413,
        "The request holds too many images",
        "Split the images over several requests",
    ),
    "content_type_unsupported": Problem(
        415,
        "This content type is not supported",
        "GET /openapi.json lists the content types that POST /predict reads",
    ),
    "content_encoding_unsupported": Problem(
        415,
        "A compressed request body is not supported",
        "Send the body uncompressed, without Content-Encoding",
        {"Accept-Encoding": "identity"},
    ),
    "image_unsupported": Problem(
        415,
        "This image format is not supported",
        "Send a PNG, JPEG, WebP, BMP or GIF image",
    ),
    "image_unreadable": Problem(
        422,
        "The image cannot be decoded",
        "The image file is damaged or incomplete; save the image again and send the new file",
    ),
    "image_blank": Problem(
        422,
        "The image is blank",
        "No ink stands out from the paper; send an image with one dark or light digit on it",
    ),
    "not_a_digit": Problem(
        422,
        "The picture does not look like one digit",
        "Send a picture of one digit; grey levels sent as `pixels` get an answer unless they are blank",
    ),
    "several_digits": Problem(
        422,
        "The picture shows several digits",
        "Send a separate picture of each digit",
    ),
    "body_invalid": Problem(
        422,
        "The body does not match the schema",
        "GET /openapi.json describes the bodies that POST /predict accepts",
    ),
    "overloaded": Problem(
        429,
        "The service is overloaded",
        "The queue is full; retry in 1 s",
        RETRY,
    ),
    "headers_too_large": Problem(
        431,
        "The request headers are too large",
        "Send fewer or shorter headers",
    ),
    "internal": Problem(
        500,
        "The service failed",
        "Give the operator the request id in `instance`; the service's log has the cause",
    ),
    "replica_lost": Problem(
        502,
        "The replica stopped before it answered",
        "A prediction changes nothing, so it is safe to send the request again",
    ),
    "not_ready": Problem(
        503,
        "No model is loaded yet",
        "The replica is still loading its model; retry in 1 s",
        RETRY,
    ),
    "unavailable": Problem(
        503,
        "No replica is available",
        "Replicas are starting or restarting; retry in 1 s",
        RETRY,
    ),
    "timed_out": Problem(
        504,
        "The request timed out",
        "No replica answered within the time limit; send the request again",
    ),
}


def request_id_from(given: bytes) -> str:
    """Returns the client's own id if it is well-formed, else 32 random hexadecimal digits, not secret."""
    return given.decode() if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def problem_document(code: str, detail: str | None, request_id: str) -> dict[str, Any]:
    """Returns the JSON of a problem; `detail` None means the table's.

    `type` is a relative reference to a page of this service that lists the codes.
    """
    problem = PROBLEMS[code]
    return {
        "type": f"/docs#{code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail if detail is None else detail,
        "instance": f"urn:request:{request_id}",
        "code": code,
    }


def problem_response(
    code: str, detail: str | None, request_id: str, path: str, more: dict[str, Any] | None = None
) -> tuple[dict[str, str], bytes]:
    """Returns headers and body, with `more` members; the status is PROBLEMS[code].status.

    Under the PROTOCOL_PATHS the body is JSON with the detail also as `error`, as those clients expect.
    """
    document = problem_document(code, detail, request_id) | (more or {})
    media_type = MEDIA_TYPE
    if path.startswith(PROTOCOL_PATHS):
        media_type = "application/json"
        document["error"] = document["detail"]
    body = json.dumps(document).encode()
    return {"Content-Type": media_type, "Content-Length": str(len(body))} | PROBLEMS[code].headers, body


def problem_on_the_wire(code: str) -> bytes:
    """Returns a whole HTTP/1.1 response, after which the connection closes.

    It is for answers before a request has an id ("unknown" then), and for any path.
    """
    headers, body = problem_response(code, None, "unknown", "", {"error": PROBLEMS[code].detail})
    status = HTTPStatus(PROBLEMS[code].status)
    closing = {"Cache-Control": "no-store", "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (headers | closing).items()]
    return "\r\n".join([f"HTTP/1.1 {status} {status.phrase}", *lines, "", ""]).encode() + body
