"""TensorFlow Serving's and MLflow's bodies over a stand-in model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.protocols.instances import Scores
from digits.task import CLASSES
from digits.vision.golden import golden_digits
from testkit.encodings import base64_png
from testkit.fakes import api_of, checksum_classifier

IMAGES = golden_digits()[0]
SUMS = [int(image.sum(dtype=int)) % CLASSES for image in IMAGES]
MAX_IMAGES = 30
PREDICT, INVOKE = "/v1/models/digits:predict", "/invocations"
ROWS = IMAGES.tolist()
FLAT = IMAGES.reshape(len(IMAGES), -1)
FILES = [base64_png(image) for image in IMAGES]
GOOD: dict[str, tuple[str, Any]] = {
    "rows": (PREDICT, {"instances": ROWS}),
    "rows of a version": ("/v1/models/digits/versions/1:predict", {"instances": ROWS}),
    "numbers": (PREDICT, {"instances": FLAT.tolist()}),
    "one channel": (PREDICT, {"instances": IMAGES[..., np.newaxis].tolist()}),
    "a signature": (PREDICT, {"signature_name": "serving_default", "instances": FLAT.astype(float).tolist()}),
    "files": (PREDICT, {"instances": [{"b64": file} for file in FILES]}),
    "named tensors": (PREDICT, {"instances": [{"pixels": row} for row in ROWS]}),
    "named files": (PREDICT, {"instances": [{"image": {"b64": file}} for file in FILES]}),
    "mixed": (PREDICT, {"instances": [ROWS[0], FILES[1], *ROWS[2:]]}),
    "a tensor": (INVOKE, {"inputs": ROWS}),
    "a named tensor": (INVOKE, {"inputs": {"pixels": ROWS}}),
    "instances": (INVOKE, {"instances": ROWS}),
    "a table of numbers": (
        INVOKE, {"dataframe_split": {"columns": list(range(784)), "data": FLAT.tolist()}},
    ),
    "a table of files": (
        INVOKE, {"dataframe_split": {"columns": ["image"], "data": [[file] for file in FILES]}},
    ),
    "a table without columns": (INVOKE, {"dataframe_split": {"data": FLAT.tolist()}, "params": {}}),
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = checksum_classifier(max_images_per_request=MAX_IMAGES)
    with TestClient(api_of(classifier), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("name", GOOD)
def test_every_body_gets_the_probabilities_of_its_images(client: TestClient, name: str) -> None:
    path, body = GOOD[name]
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    scores = Scores.model_validate_json(response.content, strict=True).predictions
    assert np.argmax(scores, axis=1).tolist() == SUMS
    assert np.max(scores, axis=1).tolist() == [0.91] * len(IMAGES)


def test_the_state_of_the_model_is_told_as_both_clients_read_it(client: TestClient) -> None:
    answer = client.get("/v1/models/digits").json()
    assert answer["ready"] is True
    assert [(one["version"], one["state"]) for one in answer["model_version_status"]] == [("1", "AVAILABLE")]


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/digits/versions/1:predict"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT"])
def test_a_verb_is_no_part_of_a_models_version(client: TestClient, method: str, path: str) -> None:
    """Of two routes that differ by the verb, the right one names its method."""
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


BAD: dict[str, tuple[str, Any, str, str]] = {
    "a list": (PREDICT, [1], "body_invalid", "Input should be an object"),
    "no instances": (PREDICT, {"inputs": ROWS}, "body_invalid", "instances: Field required"),
    "none": (PREDICT, {"instances": []}, "body_invalid", "at least 1 item"),
    "one image": (PREDICT, {"instances": ROWS[0]}, "body_invalid", "Image 0, counted from 0: The image has"),
    "0 to 1": (PREDICT, {"instances": [(IMAGES[0] / 255).tolist()]}, "body_invalid", "multiply them by 255"),
    "a bad file": (PREDICT, {"instances": [*ROWS[:2], {"b64": "?"}]}, "image_unreadable", "Image 2, counted"),
    "two keys": (PREDICT, {"instances": [{"a": 1, "b": 2}]}, "body_invalid", "not a number"),
    "nothing": (PREDICT, {"instances": [[[[]]]]}, "body_invalid", "is empty"),
    "too many": (PREDICT, {"instances": ROWS * 4}, "too_many_images", "send at most 30"),
    "no key": (INVOKE, {}, "body_invalid", "Send an object with one of the keys"),
    "records": (INVOKE, {"dataframe_records": [{}]}, "body_invalid", "Send an object with one of the keys"),
    "two tensors": (INVOKE, {"inputs": {"a": ROWS, "b": ROWS}}, "body_invalid", "names several tensors"),
    "many tensors of no list": (
        INVOKE,
        {"inputs": {f"tensor {n}": n for n in range(1000)}},
        "body_invalid",
        "`inputs` names several tensors or none; send one tensor, with images",
    ),
    "a tensor of text": (INVOKE, {"inputs": {"a": "7"}}, "body_invalid", "must be a list of at least one"),
    "no tensor": (INVOKE, {"inputs": {}}, "body_invalid", "or none; send one"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_body_is_told_what_is_allowed(client: TestClient, name: str) -> None:
    path, body, code, text = BAD[name]
    problem = client.post(path, json=body).json()
    assert problem["code"] == code, problem
    assert text in problem["error"] == problem["detail"]
    assert "more errors" not in problem["error"]
    assert len(problem["error"]) < 300


def test_a_blank_image_has_equal_probabilities(client: TestClient) -> None:
    answer = client.post(PREDICT, json={"instances": [np.zeros((28, 28), int).tolist(), ROWS[0]]})
    assert answer.json()["predictions"][0] == [0.1] * CLASSES
