"""Whatever is sent to the other protocols' paths is answered by rows or by a problem of the table."""

import json
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from digits.gateway.settings import EdgeSettings
from digits.http.examples import examples
from digits.http.schemas import Failure
from digits.problems import PROBLEMS
from digits.protocols.instances import Scores
from digits.protocols.v2_schemas import InferResponse
from testkit.encodings import v2_body
from testkit.fakes import api_of, checksum_classifier
from tests.bad_inputs import IMAGES
from tests.unit.http.test_properties import JSON, MAX_IMAGES, few, mutated

INFER, PREDICT, INVOKE = "/v2/models/digits/infer", "/v1/models/digits:predict", "/invocations"
V2 = v2_body(IMAGES[:2])
HEAD_LENGTH = int(V2.headers[0][1])
BODIES = {
    path: [json.dumps(value).encode() for value in examples()[name].values()]
    for path, name in ((INFER, "infer"), (PREDICT, "predict_instances"), (INVOKE, "invoke"))
}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = checksum_classifier(max_images_per_request=MAX_IMAGES)
    api = api_of(classifier, EdgeSettings(max_body_bytes=2**20))
    with warnings.catch_warnings(), TestClient(api, raise_server_exceptions=False) as client:
        warnings.simplefilter("ignore")  # Pillow's
        yield client


def ask(client: TestClient, path: str, content: bytes, length: str | None = None) -> int | str:
    """The number of rows, or the code of the problem; the form of either is checked."""
    headers = {} if length is None else {"Inference-Header-Content-Length": length.encode("latin-1")}
    response = client.post(path, content=content, headers=headers)  # type: ignore[arg-type]
    if response.status_code != 200:
        problem = Failure.model_validate_json(response.content, strict=True)
        assert response.headers["content-type"] == "application/json"
        assert problem.status == response.status_code == PROBLEMS[problem.code].status < 500
        assert 0 < len(problem.error) < 300
        return problem.code
    if path != INFER:
        return len(Scores.model_validate_json(response.content, strict=True).predictions)
    head = response.content[: int(response.headers.get("Inference-Header-Content-Length", 2**31))]
    answer = InferResponse.model_validate_json(head)
    sizes = [(output.parameters or {}).get("binary_data_size", 0) for output in answer.outputs]
    assert len(response.content) == len(head) + sum(sizes)
    for output in answer.outputs:
        assert output.data is None or len(output.data) == np.prod(output.shape)
    return answer.outputs[0].shape[0]


KEYS = st.sampled_from([
    "inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "id", "instances", "b64",
    "dataframe_split", "columns", "binary_data_size", "classification", "binary_data",
])  # fmt: skip
WORDS = st.sampled_from(["pixels", "image", "UINT8", "BYTES", "digit", "probabilities", "is_digit", "?"])
KEYED = st.recursive(
    JSON | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@few
@given(KEYED, st.sampled_from([*BODIES]))
def test_any_json_of_the_protocols_words(client: TestClient, content: object, path: str) -> None:
    ask(client, path, json.dumps(content).encode())


TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["pixels", "image", "x"]),
        "datatype": st.sampled_from(["UINT8", "BYTES", "FP32"]),
        "shape": st.sampled_from([[1, 28, 28], [1], [2, 1], [0], [], [1, 784]]) | JSON,
    },
    optional={"data": JSON, "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON})},
)


@few
@given(st.lists(TENSOR, max_size=2), st.fixed_dictionaries({}, optional={"outputs": KEYED, "id": JSON}))
def test_any_tensor(client: TestClient, inputs: list[object], more: dict[str, object]) -> None:
    ask(client, INFER, json.dumps({"inputs": inputs, **more}).encode())


@few
@given(st.sampled_from([*BODIES]).flatmap(lambda path: st.tuples(st.just(path), mutated(BODIES[path]))))
def test_any_mutated_body(client: TestClient, sent: tuple[str, bytes]) -> None:
    ask(client, *sent)


@few
@given(mutated([V2.content]), st.sampled_from([str(HEAD_LENGTH), str(HEAD_LENGTH + 1), "", "-1", "²", "0x9"]))
def test_any_mutated_binary_body(client: TestClient, content: bytes, length: str) -> None:
    ask(client, INFER, content, length)


@few
@given(st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=5))
def test_any_elements_of_bytes(client: TestClient, elements: list[bytes], torn: bytes) -> None:
    """Files that are none, in whole and torn elements."""
    data = b"".join(len(element).to_bytes(4, "little") + element for element in elements) + torn
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(elements)]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    assert ask(client, INFER, head + data, str(len(head))) in {
        "body_invalid", "image_unsupported", "image_empty", "image_unreadable",
    }  # fmt: skip


def test_the_examples_are_answered(client: TestClient) -> None:
    """Or the tests above would mutate what is refused in any case."""
    assert {path: [ask(client, path, body) for body in bodies] for path, bodies in BODIES.items()} == {
        INFER: [1, 1, 1], PREDICT: [1, 1], INVOKE: [1, 1],
    }  # fmt: skip
    assert ask(client, INFER, V2.content, str(HEAD_LENGTH)) == 2
