"""The HTTP surface over a stand-in model: forms in, answers and problems out."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from httpx2 import Response
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from digits.errors import BadInput, DeadlineExceeded
from digits.gateway.settings import EdgeSettings
from digits.http.app import create_api
from digits.http.schemas import PredictManyResponse, PredictResponse, ProblemDocument
from digits.inference.classifier import Classifier
from digits.problems import PROBLEMS
from digits.task import LABELS, Pixels
from digits.vision.golden import golden_digits
from testkit.encodings import MANY, ONE, Body, base64_png, form, image_file, json_body
from testkit.fakes import DoubtfulModel, FailingClassifier, api_of, checksum_classifier, predictor_of

IMAGES = list(golden_digits()[0])
LIMITS = EdgeSettings(max_body_bytes=100_000)


def api(classifier: Classifier | None) -> TestClient:
    """Behind the edge, as it is in every mode."""
    return TestClient(
        api_of(classifier, LIMITS),
        raise_server_exceptions=False,
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with api(checksum_classifier(max_images_per_request=12)) as client:
        yield client


def post(client: TestClient, body: Body, **headers: str) -> Response:
    typed = {} if body.content_type is None else {"Content-Type": body.content_type}
    return client.post("/predict", content=body.content, headers=typed | headers)


def checksum(pixels: Pixels) -> int:
    return int(pixels.sum(dtype=int)) % 10


@pytest.mark.parametrize("name", ONE)
def test_every_form_of_one_image_gets_the_same_answer(client: TestClient, name: str) -> None:
    for pixels in IMAGES:
        response = post(client, ONE[name](pixels))
        assert response.status_code == 200, response.text
        answer = PredictResponse.model_validate_json(response.content, strict=True)
        assert answer.position == checksum(pixels)
        assert answer.confidence == answer.probabilities[answer.position] == 0.91
        assert (answer.model.name, answer.model.version) == ("checksum", "1")


@pytest.mark.parametrize("name", MANY)
def test_a_list_is_answered_in_its_order(client: TestClient, name: str) -> None:
    response = post(client, MANY[name](IMAGES))
    assert response.status_code == 200, response.text
    answer = PredictManyResponse.model_validate_json(response.content)
    assert [item.position for item in answer.predictions] == [checksum(pixels) for pixels in IMAGES]  # type: ignore[union-attr]


def test_a_list_of_one_is_answered_by_a_list(client: TestClient) -> None:
    for body in (
        Body(IMAGES[3].tobytes(), "application/octet-stream"),
        json_body({"images": [base64_png(IMAGES[3])]}),
        json_body({"pixels": [IMAGES[3].tolist()]}),
    ):
        answer = post(client, body).json()
        assert [item["digit"] for item in answer["predictions"]] == [checksum(IMAGES[3])]


BLANK = np.zeros((28, 28), np.uint8)
MIXED = {
    "base64 list": json_body(
        {"images": [base64_png(IMAGES[0]), "?", base64_png(BLANK), 5, base64_png(IMAGES[1])]}
    ),
    "pixel list": json_body(
        {"pixels": [IMAGES[0].tolist(), [1], BLANK.tolist(), "x", IMAGES[1].ravel().tolist()]}
    ),
    "form": form(image_file(IMAGES[0]), b"?", image_file(BLANK), b"", image_file(IMAGES[1])),
    "grey levels": Body(np.stack([IMAGES[0], BLANK, IMAGES[1]]).tobytes(), "application/octet-stream"),
}
CODES = {
    "base64 list": ["image_unreadable", "image_blank", "body_invalid"],
    "pixel list": ["body_invalid", "image_blank", "body_invalid"],
    "form": ["image_unsupported", "image_blank", "image_empty"],
    "grey levels": ["image_blank"],
}


@pytest.mark.parametrize("name", MIXED)
def test_an_unreadable_item_is_reported_in_its_place(client: TestClient, name: str) -> None:
    response = post(client, MIXED[name])
    assert response.status_code == 200, response.text
    first, *bad, last = response.json()["predictions"]
    assert (first["digit"], last["digit"]) == (checksum(IMAGES[0]), checksum(IMAGES[1]))
    assert [item["error"]["code"] for item in bad] == CODES[name]


def test_a_problem_says_where_in_the_body_it_is(client: TestClient) -> None:
    rows = [[0] * 28 for _ in range(28)]
    rows[3][5] = 256
    detail = post(client, json_body({"pixels": rows})).json()["detail"]
    assert detail == "The grey level in row 3, column 5 is 256; levels are 0 to 255"


def test_a_wrong_shape_is_named_in_one_error(client: TestClient) -> None:
    detail = post(client, json_body({"pixels": [[0] * 100] * 100})).json()["detail"]
    assert detail.startswith("`pixels` has the shape (100, 100); send 28 rows of 28 numbers, or 784 numbers")


def test_one_of_many_unknown_keys_is_named(client: TestClient) -> None:
    """One error for each of a million keys, 16 MB, would take seconds."""
    unknown = {f"key {number}": number for number in range(1000)}
    detail = post(client, json_body({"image": "x"} | unknown)).json()["detail"]
    assert detail == "Send an object with one key; 'key 0' is not allowed"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/predict", "POST"), ("PUT", "/predict", "POST"), ("POST", "/readyz", "GET, HEAD")],
)
def test_a_wrong_method_names_the_right_ones(client: TestClient, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert sorted(response.headers["allow"].split(", ")) == sorted(allow.split(", "))
    assert response.json()["detail"] == f"This path accepts {response.headers['allow']} only"


def test_a_request_id_is_taken_if_well_formed_and_made_otherwise(client: TestClient) -> None:
    assert (
        post(client, ONE["png"](IMAGES[0]), **{"X-Request-Id": "a-7.b_c"}).json()["request_id"] == "a-7.b_c"
    )
    for bad in ("", "a b", "x" * 65, "<script>"):
        made = post(client, ONE["png"](IMAGES[0]), **{"X-Request-Id": bad}).json()["request_id"]
        assert len(made) == 32


def test_without_a_model_the_service_is_alive_and_not_ready() -> None:
    with api(None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for response in (client.get("/readyz"), post(client, ONE["png"](IMAGES[0]))):
            assert (response.status_code, response.json()["code"]) == (503, "not_ready")
            assert response.headers["retry-after"] == "1"


def test_with_a_model_readyz_names_it(client: TestClient) -> None:
    assert client.get("/readyz").json() == {
        "status": "ready",
        "model": {"name": "checksum", "version": "1"},
        "warning": None,
    }


def test_a_full_queue_answers_429_with_retry_after() -> None:
    with api(checksum_classifier(max_queued_images=1)) as client:
        response = post(client, MANY["form with files"](IMAGES[:2]))
    assert (response.status_code, response.json()["code"]) == (429, "overloaded")
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DeadlineExceeded("not answered within 5 s"), 504, "timed_out"),
        (RuntimeError("secret"), 500, "internal"),
    ],
)
def test_a_failing_model_is_a_problem_that_tells_no_secret(error: Exception, status: int, code: str) -> None:
    with api(FailingClassifier(error)) as client:
        response = post(client, ONE["png"](IMAGES[0]))
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "secret" not in response.text


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_outside(client: TestClient, path: str) -> None:
    page = client.get(path, follow_redirects=False)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers.get_list("x-content-type-options") == ["nosniff"]
    assert len(page.content) <= 40_000


def test_an_explanation_shows_what_the_model_was_given(client: TestClient) -> None:
    """`explain=true` adds pixels that get the same answer when they are sent back, and timing."""
    body = ONE["png"](IMAGES[0])
    headers = {"Content-Type": str(body.content_type)}
    answer = client.post("/predict?explain=true", content=body.content, headers=headers).json()
    PredictResponse.model_validate(answer, strict=True)
    assert answer["pixels"] == IMAGES[0].tolist()
    timing = answer["timing"]
    assert (timing["batch_size"], timing["replica"]) == (1, "local")
    assert 0 <= timing["queue_ms"] + timing["model_ms"] <= timing["total_ms"]
    again = client.post("/predict", params={"explain": "True"}, content=body.content, headers=headers).json()
    assert "timing" in again


def test_an_explained_list_keeps_the_problem_of_an_item(client: TestClient) -> None:
    body = MIXED["form"]
    headers = {"Content-Type": str(body.content_type)}
    answer = client.post("/predict?explain=1", content=body.content, headers=headers).json()
    first, *bad, last = answer["predictions"]
    assert [first["pixels"], last["pixels"]] == [IMAGES[0].tolist(), IMAGES[1].tolist()]
    assert all(set(item) == {"error"} for item in bad)
    assert answer["timing"]["batch_size"] == 2


def test_an_explained_refusal_shows_what_the_model_was_given() -> None:
    """Of a request for one picture, and of an item of a list; without `explain` it does not."""
    body, no_digit = ONE["png"](IMAGES[0]), json_body({"images": [base64_png(IMAGES[0])]})
    with api(checksum_classifier(DoubtfulModel(), reject_below=0.9)) as client:
        for query, expected in (("?explain=true", IMAGES[0].tolist()), ("", None)):
            one = client.post(f"/predict{query}", content=body.content).json()
            (item,) = client.post(f"/predict{query}", json=json.loads(no_digit.content)).json()["predictions"]
            assert one["code"] == item["error"]["code"] == "not_a_digit"
            assert one.get("pixels") == item["error"].get("pixels") == expected


def test_a_refusal_names_the_best_guess_as_a_member() -> None:
    """So that no program reads it out of the sentence; other problems have none."""
    body, items = ONE["png"](IMAGES[0]), [base64_png(IMAGES[0]), "x"]
    with api(checksum_classifier(DoubtfulModel(), reject_below=0.9)) as client:
        one = client.post("/predict", content=body.content).json()
        item, unreadable = client.post("/predict", json={"images": items}).json()["predictions"]
    assert one["guess"] == item["error"]["guess"] == LABELS[checksum(IMAGES[0])]
    assert f"the best guess is {one['guess']} " in one["detail"]
    assert "guess" not in unreadable["error"]
    assert ProblemDocument.model_validate(one).guess == one["guess"]


class _Passing:
    """A middleware that changes nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@pytest.mark.parametrize("error", [None, BadInput("image_blank", "x"), DeadlineExceeded("x"), KeyError("x")])
def test_the_short_way_of_predict_answers_as_the_router_does(error: Exception | None) -> None:
    """With a middleware of the user every request goes through Starlette's router."""
    classifier = FailingClassifier(error) if error else checksum_classifier()
    answers = []
    for middleware in ([], [Middleware(_Passing)]):
        app = create_api(predictor_of(classifier), middleware)
        client = TestClient(app, raise_server_exceptions=False, headers={"X-Request-ID": "a"})
        response = client.post("/predict", content=image_file(IMAGES[3]))
        answers.append((response.status_code, dict(response.headers), response.json()))
    assert answers[0] == answers[1]
    assert (answers[0][0] == 200) == (error is None)


@pytest.mark.parametrize("query", ["", "?explain=false", "?explain=0", "?other=x", "?%ff&&=;" + "a&" * 99])
def test_a_plain_answer_has_no_explanation(client: TestClient, query: str) -> None:
    body = ONE["png"](IMAGES[0])
    headers = {"Content-Type": str(body.content_type)}
    answer = client.post(f"/predict{query}", content=body.content, headers=headers).json()
    assert set(answer) == {"digit", "label", "confidence", "probabilities", "model", "request_id"}


@pytest.mark.parametrize("value", ["banana", "yes", "", "true,false", "x" * 9_000])
def test_an_unknown_value_of_explain_is_refused(client: TestClient, value: str) -> None:
    """Whatever the body is; it was ignored, so the client looked for `pixels` in vain."""
    for content in (ONE["png"](IMAGES[0]).content, b"?"):
        answer = client.post("/predict", params={"explain": value}, content=content)
        assert (answer.status_code, answer.json()["code"]) == (400, "query_invalid")
        assert "send explain=true or explain=false" in answer.json()["detail"]
        assert len(answer.content) < 500


def test_the_openapi_document_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no key, and took 1.6 ms of the event loop for each request."""
    with api(None) as client:
        first = client.get("/openapi.json").content
        monkeypatch.setattr("digits.http.app.JSONResponse", None)
        assert client.get("/openapi.json").content == first


def test_the_openapi_document_describes_every_route_and_problem(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    app = create_api(predictor_of(None))
    routes = {route.path_format for route in app.routes if isinstance(route, Route)}
    assert set(document["paths"]) == routes
    statuses = document["paths"]["/predict"]["post"]["responses"].keys() - {"200"}
    described = str([document["components"]["responses"][f"Problem{status}"] for status in statuses])
    assert [code for code in PROBLEMS if f"`{code}`" not in described] == [
        "not_found", "version_unknown", "method_not_allowed",
    ]  # fmt: skip
    bodies = document["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert {"image/png", "image/jpeg", "multipart/form-data", "application/json"} <= set(bodies)
