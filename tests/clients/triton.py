"""tritonclient[http] asks a service in every form that it has.

    .clients/bin/python tests/clients/triton.py http://HOST:PORT digits/vision/golden.npz

Ends with an AssertionError at the first wrong answer.
"""

import base64
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

MODEL, AT_ONCE = "digits", 64
WANTED = [triton.InferRequestedOutput(name) for name in ("digit", "probabilities", "is_digit")]
Array = np.ndarray[Any, Any]


def pixels(images: Array, binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("pixels", images.shape, "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return [tensor]


def files(texts: Sequence[bytes], binary: bool = True) -> list[Any]:
    tensor = triton.InferInput("image", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(np.array(texts, np.object_), binary_data=binary)
    return [tensor]


def png(image: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def expect_error(status: str, text: str, call: Callable[[], object]) -> None:
    found: InferenceServerException | None = None
    try:
        call()
    except InferenceServerException as error:
        found = error
    assert found, f"no error with {text!r}"
    assert found.status() == status, found
    assert text in found.message(), found


def main(url: str, golden: str) -> None:
    with np.load(golden) as data:
        images, labels = data["images"], data["labels"]
    client = triton.InferenceServerClient(url.removeprefix("http://"), concurrency=AT_ONCE)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    model = client.get_model_metadata(MODEL)
    (version,) = model["versions"]
    assert client.is_model_ready(MODEL, version)
    configured = client.get_model_config(MODEL, version)["input"]
    assert [tensor["name"] for tensor in configured] == ["pixels", "image"]
    assert not client.is_model_ready(MODEL, "no-such-version")

    encoded = [png(image) for image in images]
    texts = [base64.b64encode(file) for file in encoded]
    forms = [pixels(images), pixels(images, binary=False)]
    forms += [files(encoded), files(texts), files(texts, binary=False)]
    for inputs in forms:
        in_json = [triton.InferRequestedOutput("digit", binary_data=False)]
        for outputs in (None, WANTED, in_json):
            result = client.infer(MODEL, inputs, outputs=outputs, request_id="mine")
            assert result.as_numpy("digit").tolist() == labels.tolist()
            assert result.get_response()["id"] == "mine"
            if outputs is not in_json:
                assert result.as_numpy("probabilities").argmax(axis=1).tolist() == labels.tolist()
                assert result.as_numpy("probabilities").dtype == np.float32
                assert result.as_numpy("is_digit").min() > 0.5
    of_version = client.infer(MODEL, pixels(images[:1]), model_version=version).get_response()
    assert of_version["model_version"] == version

    top = [triton.InferRequestedOutput("probabilities", class_count=2)]
    best = client.infer(MODEL, pixels(images), outputs=top).as_numpy("probabilities")
    assert [text[0].split(b":")[2] for text in best] == [str(label).encode() for label in labels]

    sent = [client.async_infer(MODEL, pixels(images[place % 10][np.newaxis])) for place in range(AT_ONCE)]
    answers = [request.get_result().as_numpy("digit")[0] for request in sent]
    assert answers == [labels[place % 10] for place in range(AT_ONCE)]

    flat = images.reshape(len(images), -1)
    for status, text, call in (
        ("404", "has the model `digits` and no other", lambda: client.infer("other", pixels(images))),
        ("404", "no other", lambda: client.infer(MODEL, pixels(images), model_version="no-such-version")),
        ("404", "no other", lambda: client.get_model_metadata(MODEL, "no-such-version")),
        ("422", "send UINT8 with [n, 28, 28]", lambda: client.infer(MODEL, pixels(flat))),
        ("422", "The image is not valid base64", lambda: client.infer(MODEL, files([b"?"], binary=False))),
        ("415", "Send the body uncompressed",
         lambda: client.infer(MODEL, pixels(images), request_compression_algorithm="gzip")),
    ):  # fmt: skip
        expect_error(status, text, call)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
