"""Pieces of the OpenAPI document that several paths use."""

from typing import Any

from pydantic import BaseModel

from digits.http.examples import examples
from digits.http.schemas import Failure, ProblemDocument
from digits.problems import MEDIA_TYPE, PROBLEMS, problem_document

Json = dict[str, Any]
GATEWAY = (400, 408, 413, 415, 431)  # what digits.gateway may answer on any path
PREDICTING = (400, 401, 403, 408, 413, 415, 422, 429, 431, 500, 502, 503, 504)  # for requests with images
PROBLEM, ERROR = "Problem", "Error"  # the forms of errors: RFC 9457's, or that of other protocols
KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
KEYS_IF_SET = [{}, *KEYS]


def ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def problems(*statuses: int, form: str = PROBLEM) -> Json:
    """Returns the responses of these statuses, in the form PROBLEM or ERROR."""
    return {str(status): {"$ref": f"#/components/responses/{form}{status}"} for status in statuses}


def all_problems() -> Json:
    """Returns a response for each form and status, with the codes that can occur."""
    forms: dict[str, tuple[str, type[BaseModel]]] = {
        PROBLEM: (MEDIA_TYPE, ProblemDocument),
        ERROR: ("application/json", Failure),
    }
    return {
        f"{form}{status}": {
            "description": "; ".join(
                f"`{code}`: {problem.title}" for code, problem in PROBLEMS.items() if problem.status == status
            ),
            "content": {media_type: {"schema": ref(model), "examples": _problem_examples(status, form)}},
        }
        for form, (media_type, model) in forms.items()
        for status in sorted({problem.status for problem in PROBLEMS.values()})
    }


def _problem_examples(status: int, form: str) -> Json:
    """Returns an example problem for each code, with its default detail."""
    documents = {
        code: problem_document(code, None, "example")
        for code, problem in PROBLEMS.items()
        if problem.status == status
    }
    return {
        code: {
            "summary": document["title"],
            "value": document | ({"error": document["detail"]} if form == ERROR else {}),
        }
        for code, document in documents.items()
    }


def json_content(model: type[BaseModel], examples_of: str | None = None) -> Json:
    """Returns JSON content with the model's schema and the examples of an operation."""
    shown = [example_key(examples_of, name) for name in examples()[examples_of]] if examples_of else []
    linked = {"examples": {key: {"$ref": f"#/components/examples/{key}"} for key in shown}} if shown else {}
    return {"application/json": {"schema": ref(model), **linked}}


def example_key(operation: str, name: str) -> str:
    """Returns the name of an example in the document's components."""
    return f"{operation}-{name.replace(' ', '-')}"


def all_examples() -> Json:
    """Returns the examples of all operations by their keys."""
    return {
        example_key(operation, name): {"summary": name.capitalize(), "value": value}
        for operation, bodies in examples().items()
        for name, value in bodies.items()
    }


def operation(
    name: str,
    tag: str,
    summary: str,
    content: Json,
    *statuses: int,
    description: str = "",
    form: str = PROBLEM,
    **more: Any,
) -> Json:
    """Returns an operation with a 200 answer and the problems of the gateway and of `statuses`."""
    return {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description or f"{summary}.",
        "responses": {
            "200": {"description": summary, "content": content},
            **problems(*sorted({*GATEWAY, *statuses}), form=form),
        },
        **more,
    }
