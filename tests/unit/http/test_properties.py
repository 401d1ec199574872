"""Whatever is sent is answered by digits or by a problem of the table, in every form that is read."""

import json
import os
import warnings
from base64 import b64encode
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from digits.gateway.middleware import Edge
from digits.gateway.settings import EdgeSettings
from digits.http.app import create_api
from digits.http.schemas import FailedItem, PredictManyResponse, PredictResponse, ProblemDocument
from digits.problems import MEDIA_TYPE, PROBLEMS
from testkit.encodings import BOUNDARY, Body, image_file, json_body
from testkit.fakes import checksum_classifier, predictor_of
from tests.bad_inputs import IMAGES, TABLE, parts

MAX_IMAGES = 12
EXAMPLES = int(os.environ.get("DIGITS_EXAMPLES", "150"))  # of each property; `make fuzz` is for more
few = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
SIX = IMAGES[6]
SEEDS = [row.body.content for row in TABLE.values() if 0 < len(row.body.content) < 20_000]
IMAGE_SEEDS = [
    row.body.content for row in TABLE.values()
    if len(row.body.content) < 20_000 and row.answer == 7
    and (row.body.content_type or "").startswith("image/")
]  # fmt: skip
CONTENT_TYPES = [
    "image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "application/json",
    "application/octet-stream", f"multipart/form-data; boundary={BOUNDARY}",
    "application/x-www-form-urlencoded", "", "text/plain",
]  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    classifier = checksum_classifier(max_images_per_request=MAX_IMAGES)
    edge = Edge(
        create_api(predictor_of(classifier)), EdgeSettings(max_body_bytes=2**20), behind_haproxy=False
    )
    with warnings.catch_warnings(), TestClient(edge, raise_server_exceptions=False) as client:
        warnings.simplefilter("ignore")  # Pillow's, of bombs and broken EXIF
        yield client


def is_problem(problem: ProblemDocument) -> None:
    assert problem.code in PROBLEMS
    assert problem.status == PROBLEMS[problem.code].status < 500
    assert 0 < len(problem.detail) < 300


def ask(client: TestClient, body: Body) -> list[int | str]:
    """The digits and codes of the answer, which is checked; a problem of the whole request is one code."""
    headers = [] if body.content_type is None else [(b"Content-Type", body.content_type.encode("latin-1"))]
    response = client.post("/predict", content=body.content, headers=headers)
    if response.status_code != 200:
        problem = ProblemDocument.model_validate_json(response.content, strict=True)
        is_problem(problem)
        assert response.status_code == problem.status
        assert response.headers["content-type"] == MEDIA_TYPE
        return [problem.code]
    assert response.headers["content-type"] == "application/json"
    if "predictions" in response.json():
        items = PredictManyResponse.model_validate_json(response.content).predictions
    else:
        items = [PredictResponse.model_validate_json(response.content, strict=True)]
    for item in items:
        if isinstance(item, FailedItem):
            is_problem(item.error)
            continue
        assert item.position == item.probabilities.index(max(item.probabilities))
        assert item.confidence == max(item.probabilities)
        assert sum(item.probabilities) == pytest.approx(1, abs=1e-5)
    return [item.error.code if isinstance(item, FailedItem) else item.position for item in items]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes] = IMAGE_SEEDS) -> bytes:
    """A good file with up to five places overwritten, cut out or filled in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        data = data[:start] + draw(st.binary(max_size=8)) + data[start + draw(st.integers(0, 8)) :]
    return data


@few
@given(st.binary(max_size=2000) | mutated(SEEDS), st.sampled_from(CONTENT_TYPES) | st.none())
def test_any_bytes_of_any_usual_type(client: TestClient, content: bytes, content_type: str | None) -> None:
    ask(client, Body(content, content_type))


HEADER_TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
)


@few
@given(
    mutated(),
    HEADER_TEXT.map(str.strip),
    st.sampled_from(["", "image/png;", "multipart/form-data; boundary="]),
)
def test_any_content_type(client: TestClient, content: bytes, content_type: str, start: str) -> None:
    ask(client, Body(content, start + content_type))


NUMBERS = st.integers() | st.floats() | st.integers(0, 255)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(
        st.sampled_from(["image", "images", "pixels"]) | st.text(max_size=8), inner, max_size=3
    ),
    max_leaves=40,
)  # fmt: skip
KEYED = st.fixed_dictionaries({}, optional={"image": JSON, "images": JSON, "pixels": JSON})


@few
@given(JSON | KEYED)
def test_any_json(client: TestClient, content: object) -> None:
    ask(client, json_body(content))


@few
@given(mutated(), st.integers(0, 6))
def test_a_mutated_image_gets_the_same_answer_in_every_form(
    client: TestClient, image: bytes, form: int
) -> None:
    encoded = b64encode(image).decode()
    forms = [
        Body(image, "image/png"), Body(image, "image/x-any"),
        Body(image, "application/x-www-form-urlencoded"),
        json_body({"image": encoded}), json_body({"image": f"data:image/png;base64,{encoded}"}),
        json_body({"images": [encoded]}), parts(part(image)),
    ]  # fmt: skip
    assert ask(client, forms[form]) == ask(client, forms[0])


def part(content: bytes, header: str = 'Content-Disposition: form-data; name="a"; filename="b"') -> bytes:
    return f"--{BOUNDARY}\r\n{header}\r\n\r\n".encode("utf-8", "surrogatepass") + content + b"\r\n"


LEVELS = st.one_of(
    st.just(SIX.ravel().tolist()), st.just(SIX.tolist()), st.lists(NUMBERS, max_size=30),
    st.lists(st.integers(-1, 256), min_size=784, max_size=784),
    st.lists(st.lists(st.integers(0, 255), min_size=28, max_size=28), min_size=27, max_size=29),
    st.lists(st.floats(0, 255), min_size=784, max_size=784), st.none(), st.text(max_size=5),
)  # fmt: skip


@few
@given(st.lists(LEVELS, max_size=4) | LEVELS)
def test_any_levels(client: TestClient, pixels: object) -> None:
    answer = ask(client, json_body({"pixels": pixels}))
    if pixels in (SIX.tolist(), SIX.ravel().tolist()):
        assert answer == [int(SIX.sum(dtype=int)) % 10]


GOOD = [(image_file(image), int(image.sum(dtype=int)) % 10) for image in IMAGES]
ITEMS = st.lists(
    st.sampled_from(GOOD) | mutated().map(lambda data: (data, None)), min_size=2, max_size=MAX_IMAGES
)


@few
@given(ITEMS, st.booleans())
def test_a_list_is_answered_in_its_order_and_length(
    client: TestClient, items: list[tuple[bytes, int | None]], as_form: bool
) -> None:
    files = [content for content, _ in items]
    body = (
        parts(*map(part, files)) if as_form
        else json_body({"images": [b64encode(content).decode() for content in files]})
    )  # fmt: skip
    assume(not any(b"\r\n--" + BOUNDARY.encode() in content for content in files))
    answers = ask(client, body)
    assert len(answers) == len(items)
    for answer, (_, digit) in zip(answers, items, strict=True):
        assert digit is None or answer == digit


@few
@given(
    st.binary(max_size=784 * 3).map(lambda data: data[: len(data) // 784 * 784]),
    st.integers(1, MAX_IMAGES + 1),
)
def test_any_levels_as_bytes(client: TestClient, levels: bytes, count: int) -> None:
    body = levels + SIX.tobytes() * count
    answers = ask(client, Body(body, "application/octet-stream"))
    images = len(body) // 784
    if images > MAX_IMAGES:
        assert answers == ["too_many_images"]
    else:
        assert len(answers) == images
        assert answers[-1] == int(SIX.sum(dtype=int)) % 10


HEADERS = st.lists(
    st.sampled_from([
        'Content-Disposition: form-data; name="a"; filename="b"', 'Content-Disposition: form-data; name="a"',
        "Content-Disposition: form-data", "Content-Disposition: attachment", "Content-Type: image/png",
        "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable",
        "Content-Length: 5",
    ]) | HEADER_TEXT,
    max_size=4,
).map("\r\n".join)  # fmt: skip


@few
@given(
    st.lists(st.builds(part, mutated() | st.binary(max_size=50), HEADERS), max_size=4),
    st.binary(max_size=30) | st.just(f"--{BOUNDARY}--\r\n".encode()),
)
def test_any_form_of_mutated_parts(client: TestClient, each: list[bytes], end: bytes) -> None:
    ask(client, parts(*each, end=end))


@few
@given(mutated([parts(part(GOOD[6][0]), part(GOOD[3][0])).content]))
def test_any_mutated_form(client: TestClient, content: bytes) -> None:
    ask(client, Body(content, f"multipart/form-data; boundary={BOUNDARY}"))


@few
@given(
    mutated([json.dumps({"images": ["iVBO", "x"]}).encode(), json.dumps({"pixels": SIX.tolist()}).encode()])
)
def test_any_mutated_json(client: TestClient, content: bytes) -> None:
    ask(client, Body(content, "application/json"))
