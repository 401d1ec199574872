"""The two models of docs/your-own-model.md: what follows digits/task.py, without Ray and without training."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.own_models import CLOTHES, DOCUMENT, FRUIT, Own, changed_lines, changes_table

# In a copy of the package with the document's diff: everything that a client sees.
CHECK = """
import json, sys
from starlette.testclient import TestClient
from digits.http.examples import examples
from digits.task import CHANNELS, LABELS, NOUN, SHAPE
from digits.training.data import load
from digits.training.golden import choose_golden, write_golden
from digits.vision.golden import golden_digits
from digits.vision.identity import preprocessing_sha256
from testkit.encodings import MANY, ONE, image_file
from testkit.fakes import api_of, checksum_classifier
from testkit.own_models import CLOTHES, FRUIT
import numpy as np

own = {each.heading: each for each in (CLOTHES, FRUIT)}[sys.argv[1]]
write_golden(*choose_golden(load("own.npz")))
images, labels = golden_digits()
assert labels.tolist() == list(range(len(LABELS)))
client = TestClient(api_of(checksum_classifier()))

def sent(body):
    kind = {"Content-Type": body.content_type} if body.content_type else {}
    headers = dict(body.headers) | kind
    return client.post("/predict?explain=true", content=body.content, headers=headers).json()

wanted = [int(image.sum(dtype=int)) % len(LABELS) for image in images]
for name, form in ONE.items():
    if CHANNELS == 3 and name in ("gif", "rgb png"):  # of few colours; of grey
        continue
    for image, index in zip(images, wanted):
        answer = sent(form(image))
        assert (answer[NOUN], answer["label"]) == (index, LABELS[index]), name
        assert answer["pixels"] == image.tolist(), name
        assert "is_digit" not in answer and len(answer["probabilities"]) == len(LABELS)
for name, form in MANY.items():
    assert [one[NOUN] for one in sent(form(list(images)))["predictions"]] == wanted, name

photo = image_file(own.draw(LABELS[0], 300, np.random.default_rng(1)), "JPEG")
assert client.post("/predict", content=photo).status_code == 200
wrong = client.post("/predict", json={"pixels": [[0, 0], [0, 0]]}).json()["detail"]
tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, *SHAPE], "data": images[0].tolist()}
infer = client.post("/v2/models/digits/infer", json={"inputs": [tensor]}).json()
assert infer["outputs"][0] == {"name": NOUN, "datatype": "INT64", "shape": [1], "data": [wanted[0]]}
paths = {"predict": "/predict", "infer": "/v2/models/digits/infer",
         "predict_instances": "/v1/models/digits:predict", "invoke": "/invocations"}
for operation, bodies in examples().items():
    for name, body in bodies.items():
        assert client.post(paths[operation], json=body).status_code == 200, name
document = client.get("/openapi.json").json()
page = client.get("/").text
print(json.dumps({
    "wrong": wrong, "page": page.partition('id="task">')[2].partition("<")[0],
    "reader": preprocessing_sha256(),
    "prediction": document["components"]["schemas"]["Prediction"]["properties"],
    "document": json.dumps({k: v for k, v in document.items() if k != "components"}),
    "schemas": json.dumps(document["components"]["schemas"]),
    "metadata": client.get("/v2/models/digits").json(),
}))
"""


@pytest.fixture(scope="module", params=[CLOTHES, FRUIT], ids=lambda own: own.heading)
def own(request: pytest.FixtureRequest) -> Own:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def copy(own: Own, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the document's diff."""
    folder = tmp_path_factory.mktemp(own.heading)
    own.copy(folder)
    return folder


def test_everything_a_client_sees_follows_the_task(own: Own, copy: Path) -> None:
    """Bodies, answers, protocols, examples, OpenAPI and the page, for another side, colour and labels."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK, own.heading],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    noun, side, channels = own.noun, own.side, own.channels
    page = json.loads(said["page"])
    assert page == {
        "noun": noun, "labels": [*own.labels], "side": side, "channels": channels, "draws": False,
    }  # fmt: skip
    assert said["prediction"][noun]["enum"] == list(range(len(own.labels)))
    assert said["prediction"]["label"]["enum"] == [*own.labels]
    assert f"{side} rows of {side}" in said["wrong"]
    assert said["metadata"]["inputs"][0]["shape"] == [-1, side, side] + [channels] * (channels > 1)
    if side != 28:
        assert re.findall(r"\b(28|784)\b", said["document"] + said["schemas"]) == []
    # The name of the service, and fields that other tasks leave out.
    texts = re.sub(r'/models/digits|"digits"', "", said["document"])
    assert re.findall(r".{30}digit.{30}", texts) == []


def test_the_document_says_how_much_is_changed_by_hand(own: Own) -> None:
    (table,) = re.findall(r"<!-- changes -->\n(.*?)<!-- /changes -->", DOCUMENT.read_text(), re.DOTALL)
    assert table == changes_table()
    assert {file for file, *_ in changed_lines(own.diff)} <= {"digits/task.py", "digits/training/network.py"}
