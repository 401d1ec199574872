"""The table of problems: texts that a client can act on, each written once."""

import json
from pathlib import Path

import pytest

from digits.problems import PROBLEMS, problem_response

PACKAGE = Path(__file__).parents[3] / "digits"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_is_rendered_with_its_default_detail(code: str) -> None:
    headers, body = problem_response(code, None, "mine", "/predict")
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == (code, PROBLEMS[code].status)
    assert problem["detail"] == PROBLEMS[code].detail
    assert headers["Content-Type"] == "application/problem+json"
    assert "error" not in problem
    assert headers["Content-Length"] == str(len(body))
    assert headers.items() >= PROBLEMS[code].headers.items()


@pytest.mark.parametrize("path", ["/v1/models/x:predict", "/v2", "/v2/models/x/infer", "/invocations"])
def test_a_problem_of_another_protocol_is_json_with_error(path: str) -> None:
    """KServe's client reads `error` of application/json alone."""
    headers, body = problem_response("overloaded", None, "mine", path)
    problem = json.loads(body)
    assert problem["error"] == problem["detail"] == PROBLEMS["overloaded"].detail
    assert headers["Content-Type"] == "application/json"


def test_a_detail_replaces_the_default() -> None:
    _, body = problem_response("overloaded", "The queue holds 3 images", "mine", "/predict")
    assert json.loads(body)["detail"] == "The queue holds 3 images"


@pytest.mark.parametrize("code", PROBLEMS)
def test_titles_and_details_are_one_line_without_a_full_stop(code: str) -> None:
    """The page at /docs splits a list of titles at semicolons."""
    problem = PROBLEMS[code]
    for text in (problem.title, problem.detail):
        assert text[0].isupper()
        assert not text.endswith(".")
        assert len(text) < 110
    assert ";" not in problem.title


def test_each_text_stands_once_in_the_package() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    texts = [text for problem in PROBLEMS.values() for text in (problem.title, problem.detail)]
    assert {text: sources.count(f'"{text}"') for text in texts} == dict.fromkeys(texts, 1)
