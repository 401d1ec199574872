"""The API does what its OpenAPI document says, in process; tests/serve asks a real service the same."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from digits.http.openapi import openapi_document
from testkit.fakes import api_of, checksum_classifier

# Not positive_data_acceptance: no schema can say of a text or of bytes that they are an image.  Not
# negative_data_rejection: an item of a list that is wrong gets its problem in its place, under status 200.
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
]  # fmt: skip
APP = api_of(checksum_classifier())
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)


@schema.parametrize()
@settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
def test_generated_requests_are_answered_as_documented(case: Case[Any]) -> None:
    """Requests that schemathesis generates from the document get answers that match it."""
    case.call_and_validate(checks=CHECKS)


METHODS = ("get", "post")


def test_every_operation_documents_the_gateways_answers() -> None:
    for path, item in openapi_document()["paths"].items():
        for operation in (item[method] for method in METHODS if method in item):
            assert {"400", "408", "413", "415", "431"} <= set(operation["responses"]), path
