"""The Open Inference Protocol over stand-in models, request by request as its clients send them."""

import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from digits.http.app import create_api
from digits.problems import PROBLEMS
from digits.protocols.v2_schemas import InferResponse, ModelConfiguration, ModelMetadata
from digits.task import CLASSES, Images
from digits.vision.golden import golden_digits
from testkit.encodings import base64_png, image_file
from testkit.fakes import DoubtfulModel, api_of, checksum_classifier, predictor_of
from tests.cpu import within_cpu_s

IMAGES = golden_digits()[0]
SUMS = [int(image.sum(dtype=int)) % CLASSES for image in IMAGES]
BLANK = np.zeros_like(IMAGES[:1])
INFER = "/v2/models/digits/infer"
MAX_IMAGES = 12


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = checksum_classifier(DoubtfulModel(), max_images_per_request=MAX_IMAGES)
    with TestClient(api_of(classifier), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def sure_client() -> Iterator[TestClient]:
    """Of a model that cannot say `is_digit`."""
    with TestClient(api_of(checksum_classifier()), raise_server_exceptions=False) as client:
        yield client


def pixels(images: Images, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    return {name: value for name, value in (tensor | changes).items() if value is not None}


def files(*data: object, **changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [len(data)], "data": [*data]} | changes


def ask(client: TestClient, *inputs: dict[str, Any], **more: Any) -> Response:
    return client.post(INFER, json={"inputs": [*inputs], **more})


def ask_binary(client: TestClient, tensor: dict[str, Any], data: bytes, **more: Any) -> Response:
    described = {name: value for name, value in tensor.items() if name != "data"}
    sized = described | {"parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [sized], **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return client.post(INFER, content=head + data, headers=headers)


def outputs(response: Response) -> dict[str, list[Any]]:
    """The data of each output, from JSON or from the bytes behind it."""
    assert response.status_code == 200, response.text
    length = response.headers.get("Inference-Header-Content-Length")
    head = response.content[: int(length)] if length else response.content
    rest = response.content[len(head) :]
    answer = InferResponse.model_validate_json(head)
    assert response.headers["content-type"] == f"application/{'octet-stream' if length else 'json'}"
    found: dict[str, list[Any]] = {}
    for output in answer.outputs:
        if output.data is not None:
            values: Any = output.data
        else:
            size = (output.parameters or {})["binary_data_size"]
            data, rest = rest[:size], rest[size:]
            values = _numbers(data, output.datatype)
        assert len(values) == np.prod(output.shape), output.name
        found[output.name] = np.reshape(np.array(values), output.shape).tolist()
    assert rest == b""
    return found


def _numbers(data: bytes, datatype: str) -> list[Any]:
    if datatype != "BYTES":
        numbers: list[Any] = np.frombuffer(data, {"INT64": "<i8", "FP32": "<f4"}[datatype]).tolist()
        return numbers
    texts = []
    while data:
        (size,) = struct.unpack_from("<I", data)
        texts.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return texts


def expect_rows(found: dict[str, list[Any]], sums: list[int]) -> None:
    assert found["digit"] == sums
    assert np.argmax(found["probabilities"], axis=1).tolist() == sums
    assert np.max(found["probabilities"], axis=1) == pytest.approx(0.91)
    assert found["is_digit"] == [0.125 if sum_ > 4 else 0.875 for sum_ in sums]


def test_grey_levels_and_files_get_the_same_rows(client: TestClient) -> None:
    """In JSON, nested and flat, and as bytes; a row also for images that POST /predict refuses."""
    sent = [image_file(image) for image in IMAGES]
    in_bytes = b"".join(struct.pack("<I", len(file)) + file for file in sent)
    texts = [base64_png(image) for image in IMAGES]
    for response in (
        ask(client, pixels(IMAGES)),
        ask(client, pixels(IMAGES, data=IMAGES.ravel().tolist())),
        ask_binary(client, pixels(IMAGES), IMAGES.tobytes()),
        ask(client, files(*texts)),
        ask(client, files(*([text] for text in texts), shape=[len(texts), 1])),
        ask(client, files(*(f"data:image/png;base64,{text}" for text in texts))),
        ask_binary(client, files(*sent), in_bytes),
        ask_binary(client, files(*sent), in_bytes, parameters={"binary_data_output": True}),
    ):
        expect_rows(outputs(response), SUMS)
    assert min(SUMS) <= 4 < max(SUMS)


def test_a_blank_image_has_a_row_of_its_own(client: TestClient) -> None:
    """Load generators send zeros, and a batch must not fail because of one empty field of a form."""
    found = outputs(ask_binary(client, pixels(IMAGES[:2]), BLANK.tobytes() + IMAGES[0].tobytes()))
    assert found["is_digit"][0] == 0
    assert found["probabilities"][0] == pytest.approx([0.1] * CLASSES)
    assert found["digit"][1] == SUMS[0]


def test_only_the_requested_outputs_are_answered(client: TestClient) -> None:
    wanted = [{"name": "is_digit", "parameters": {"binary_data": True}}, {"name": "digit"}]
    response = ask(client, pixels(IMAGES), outputs=wanted)
    found = outputs(response)
    assert [*found] == ["is_digit", "digit"]
    assert found["digit"] == SUMS
    assert response.content.index(b'"data":[') < response.content.index(b"\x00")


def test_classification_names_the_most_probable_digits(client: TestClient) -> None:
    for binary in (False, True):
        parameters = {"classification": 2, "binary_data": binary}
        wanted = [{"name": "probabilities", "parameters": parameters}]
        found = outputs(ask(client, pixels(IMAGES), outputs=wanted))["probabilities"]
        assert [len(texts) for texts in found] == [2] * len(IMAGES)
        assert [texts[0] for texts in found] == [f"0.910000:{sum_}:{sum_}" for sum_ in SUMS]


def test_an_id_comes_back_and_the_version_is_named(client: TestClient) -> None:
    answer = ask(client, pixels(IMAGES[:1]), id="mine").json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "digits", "1")
    assert "id" not in ask(client, pixels(IMAGES[:1])).json()


def test_the_metadata_describes_what_the_model_takes(client: TestClient) -> None:
    for path in ("/v2/models/digits", "/v2/models/digits/versions/1"):
        answer = client.get(path)
        model = ModelMetadata.model_validate_json(answer.content)
        assert (model.name, model.versions, model.parameters) == ("digits", ["1"], {"reject_below": 0.5})
        assert [tensor.name for tensor in model.inputs] == ["pixels", "image"]
        assert [tensor.name for tensor in model.outputs] == ["digit", "probabilities", "is_digit"]
    extensions = client.get("/v2").json()["extensions"]
    assert extensions == ["binary_tensor_data", "classification", "model_configuration"]


def test_the_configuration_is_the_metadata_in_tritons_words(client: TestClient) -> None:
    for path in ("/v2/models/digits/config", "/v2/models/digits/versions/1/config"):
        found = ModelConfiguration.model_validate_json(client.get(path).content)
        described = [(one.name, one.data_type, one.dims) for one in (*found.input, *found.output)]
        assert described == [
            ("pixels", "TYPE_UINT8", [-1, 28, 28]),
            ("image", "TYPE_STRING", [-1]),
            ("digit", "TYPE_INT64", [-1]),
            ("probabilities", "TYPE_FP32", [-1, 10]),
            ("is_digit", "TYPE_FP32", [-1]),
        ]
    assert client.get("/v2/models/digits/versions/2/config").status_code == 404


def test_a_model_that_cannot_say_is_digit_has_no_such_output(sure_client: TestClient) -> None:
    model = sure_client.get("/v2/models/digits").json()
    assert [tensor["name"] for tensor in model["outputs"]] == ["digit", "probabilities"]
    assert [*outputs(ask(sure_client, pixels(IMAGES)))] == ["digit", "probabilities"]
    response = ask(sure_client, pixels(IMAGES), outputs=[{"name": "is_digit"}])
    assert (response.status_code, response.json()["code"]) == (422, "body_invalid")


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_another_model_or_version_is_not_found(client: TestClient, protocol: str) -> None:
    end = {"v1": ":predict", "v2": "/infer"}[protocol]
    for path, code in (("other", "not_found"), ("digits/versions/2", "version_unknown")):
        for response in (
            client.get(f"/{protocol}/models/{path}"),
            client.post(f"/{protocol}/models/{path}{end}", json={}),
        ):
            assert (response.status_code, response.json()["code"]) == (404, code)
            assert response.json()["error"] == response.json()["detail"]
            assert "model `digits`" in response.json()["detail"]


def test_health_is_told_with_and_without_a_model() -> None:
    paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready", "/v1/models/digits")
    for classifier, statuses in ((checksum_classifier(), [200] * 4), (None, [200, 503, 503, 503])):
        with TestClient(api_of(classifier), raise_server_exceptions=False) as client:
            assert [client.get(path).status_code for path in paths] == statuses
            if classifier is None:
                assert ask(client, pixels(IMAGES)).json()["code"] == "not_ready"


def test_answers_are_counted_as_those_of_predict() -> None:
    predictor = predictor_of(checksum_classifier())
    with TestClient(create_api(predictor)) as client:
        outputs(ask(client, pixels(IMAGES)))
        client.post("/v1/models/digits:predict", json={"instances": IMAGES.tolist()})
    assert predictor.live.counters.labels == {index: 2 * SUMS.count(index) for index in range(CLASSES)}


def test_a_full_queue_answers_429_with_retry_after() -> None:
    with TestClient(api_of(checksum_classifier(max_queued_images=1))) as client:
        response = ask(client, pixels(IMAGES[:2]))
    assert (response.status_code, response.json()["code"]) == (429, "overloaded")
    assert response.headers["retry-after"] == "1"


ONE = IMAGES[:1]
BAD: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str, str]] = {
    "no input": ([], {}, "body_invalid", "inputs: List should have at least 1 item"),
    "both inputs": ([pixels(ONE), files("")], {}, "body_invalid", "A request has one input"),
    "another input": ([pixels(ONE, name="x")], {}, "body_invalid", "No input is called 'x'; send pixels or"),
    "floats": ([pixels(ONE, datatype="FP32")], {}, "body_invalid", "is FP32 with the shape [1, 28, 28];"),
    "flat": ([pixels(ONE, shape=[1, 784])], {}, "body_invalid", "send UINT8 with [n, 28, 28]"),
    "no shape": ([pixels(ONE, shape=[])], {}, "body_invalid", "send UINT8 with [n, 28, 28]"),
    "no images": ([pixels(ONE, shape=[0, 28, 28], data=[])], {}, "body_invalid", "holds no image"),
    "no data": ([pixels(ONE, data=None)], {}, "body_invalid", "has no data"),
    "few numbers": ([pixels(ONE, data=[1])], {}, "body_invalid", "needs 784 numbers"),
    "texts": ([pixels(ONE, data=["a"] * 784)], {}, "body_invalid", "rows of different lengths or other"),
    "too bright": ([pixels(ONE, data=[256] * 784)], {}, "body_invalid", "levels are 0 to 255"),
    "0 to 1": ([pixels(ONE, data=[0.5] * 784)], {}, "body_invalid", "multiply them by 255"),
    "a size in vain": (
        [pixels(ONE, parameters={"binary_data_size": 784})], {}, "body_invalid", "0 bytes follow the JSON",
    ),
    "too many": ([pixels(ONE, shape=[MAX_IMAGES + 1, 28, 28])], {}, "too_many_images", "send at most 12"),
    "no base64": ([files("?")], {}, "image_unreadable", "not valid base64"),
    "no text": ([files(5)], {}, "body_invalid", "needs 1 texts"),
    "no image": ([files("aGVsbG8=")], {}, "image_unsupported", ""),
    "another output": ([pixels(ONE)], {"outputs": [{"name": "y"}]}, "body_invalid", "No output is called"),
    "classes of digit": (
        [pixels(ONE)], {"outputs": [{"name": "digit", "parameters": {"classification": 1}}]}, "body_invalid",
        "only for `probabilities`",
    ),
    "half a flag": ([pixels(ONE)], {"parameters": {"binary_data_output": 1}}, "body_invalid", "true or"),
    "a long id": ([pixels(ONE)], {"id": "x" * 257}, "body_invalid", "id: String should have at most 256"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_request_is_told_what_is_allowed(client: TestClient, name: str) -> None:
    """As the protocol has errors: the text is in `error`."""
    inputs, more, code, text = BAD[name]
    response = ask(client, *inputs, **more)
    problem = response.json()
    assert (problem["code"], response.status_code) == (code, PROBLEMS[code].status), problem
    assert response.headers["content-type"] == "application/json"
    assert text in problem["error"] == problem["detail"]
    assert len(problem["error"]) < 300


def test_an_unreadable_image_of_many_is_named(client: TestClient) -> None:
    response = ask(client, files(base64_png(IMAGES[0]), "?"))
    assert response.json()["error"].startswith("Image 1, counted from 0: The image is not valid base64")


@pytest.mark.parametrize(
    ("length", "code"),
    [("x", "header_invalid"), ("0", "header_invalid"), ("9" * 30, "header_invalid"), ("5", "body_malformed")],
)
def test_a_wrong_length_of_the_json_is_named(client: TestClient, length: str, code: str) -> None:
    content = json.dumps({"inputs": [pixels(ONE)]}).encode()
    headers = {"Inference-Header-Content-Length": length}
    assert client.post(INFER, content=content, headers=headers).json()["code"] == code


def test_millions_of_empty_elements_are_refused_at_once(client: TestClient) -> None:
    """CPU time: to count them all takes a second."""
    response = within_cpu_s(0.5, lambda: ask_binary(client, files("x"), bytes(16_000_000)))
    assert response.json()["error"] == "The input `image` has more elements; send 1 for the shape [1]"


@pytest.mark.parametrize("data", [b"", b"\x01", b"\xff\xff\xff\xff", b"\x04\x00\x00\x00ab"])
def test_torn_bytes_are_named(client: TestClient, data: bytes) -> None:
    """As elements of BYTES, and as grey levels."""
    for tensor in (files("x"), pixels(ONE)):
        response = ask_binary(client, tensor, data)
        assert (response.status_code, response.json()["code"]) == (422, "body_invalid"), response.text


def test_ray_can_name_the_routes_in_its_metrics() -> None:
    """Its proxy makes routes of their paths; one that it cannot make leaves all requests without a route."""
    paths = [route.path for route in create_api(predictor_of(checksum_classifier())).routes]  # type: ignore[attr-defined]
    assert "/predict" in paths
    assert [path for path in paths if re.search(r"{\w+:", path)] == []
