"""The one table of what a client can be told, and its RFC 9457 form (application/problem+json)."""

import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    title: str
    headers: dict[str, str] = field(default_factory=dict)


AGAIN_SOON = {"Retry-After": "1"}


PROBLEMS = {
    "image_empty": Problem(400, "The body or file is empty"),
    "body_malformed": Problem(400, "The body cannot be parsed as its content type"),
    "header_invalid": Problem(400, "A header is missing, doubled or not what it may be"),
    "key_missing": Problem(401, "This service asks for a key", {"WWW-Authenticate": "Bearer"}),
    "key_refused": Problem(403, "The key opens nothing here"),
    "not_found": Problem(404, "There is nothing at this path"),
    "method_not_allowed": Problem(405, "This path does not take this method"),
    "body_too_slow": Problem(408, "The body did not arrive in time"),
    "body_too_large": Problem(413, "The body is larger than this service takes"),
    "image_too_large": Problem(413, "The image has more pixels than this service takes"),
    "too_many_images": Problem(413, "The request holds more images than this service takes"),
    "content_type_unsupported": Problem(415, "The content type is not one this service reads"),
    "content_encoding_unsupported": Problem(
        415, "The body must not be compressed", {"Accept-Encoding": "identity"}
    ),
    "image_unsupported": Problem(415, "The image format is not one this service reads"),
    "image_unreadable": Problem(422, "The image cannot be decoded"),
    "image_blank": Problem(422, "The image holds no ink"),
    "not_a_digit": Problem(422, "The picture does not look like one digit"),
    "several_digits": Problem(422, "The picture shows several digits"),
    "body_invalid": Problem(422, "The body does not match the schema"),
    "overloaded": Problem(429, "The service is at its limit", AGAIN_SOON),
    "headers_too_large": Problem(431, "The headers are more than this service takes"),
    "internal": Problem(500, "The service failed"),
    "replica_lost": Problem(502, "The replica ended before it answered"),
    "not_ready": Problem(503, "No model is loaded", AGAIN_SOON),
    "unavailable": Problem(503, "No replica is up", AGAIN_SOON),
    "timed_out": Problem(504, "The request waited too long for the model"),
}


def request_id_from(given: bytes) -> str:
    """The client's own if it is well-formed, else 32 hexadecimal digits: unique, not secret."""
    return given.decode() if REQUEST_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"


def problem_document(code: str, detail: str, request_id: str) -> dict[str, Any]:
    """`type` is a relative reference that the service itself answers: its page lists the codes."""
    problem = PROBLEMS[code]
    return {
        "type": f"/docs#{code}",
        "title": problem.title,
        "status": problem.status,
        "detail": detail,
        "instance": f"urn:request:{request_id}",
        "code": code,
    }


def problem_response(code: str, detail: str, request_id: str) -> tuple[dict[str, str], bytes]:
    """The headers and the body of the whole answer."""
    body = json.dumps(problem_document(code, detail, request_id)).encode()
    length = str(len(body))
    return {"Content-Type": MEDIA_TYPE, "Content-Length": length} | PROBLEMS[code].headers, body
