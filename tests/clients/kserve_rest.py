"""The inference client of KServe's SDK asks a service by the V1 and V2 protocols.

    .clients/bin/python tests/clients/kserve_rest.py http://HOST:PORT digits/vision/golden.npz

Ends with an AssertionError at the first wrong answer.
"""

import asyncio
import sys

import httpx  # type: ignore[import-not-found]
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

MODEL, AT_ONCE = "digits", 64


async def main(url: str, golden: str) -> None:
    with np.load(golden) as data:
        images, labels = data["images"], data["labels"]
    v2 = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    assert await v2.is_server_live(url)
    assert await v2.is_server_ready(url)
    assert await v2.is_model_ready(url, MODEL)
    assert not await v2.is_model_ready(url, "other")

    def request(chosen: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", binary: bool) -> InferRequest:
        tensor = InferInput("pixels", list(chosen.shape), "UINT8")
        tensor.set_data_from_numpy(chosen, binary_data=binary)
        return InferRequest(MODEL, [tensor], request_id="mine")

    for binary in (False, True):
        answer = await v2.infer(url, request(images, binary), model_name=MODEL)
        found = {output.name: output.as_numpy() for output in answer.outputs}
        assert found["digit"].tolist() == labels.tolist()
        assert found["probabilities"].argmax(axis=1).tolist() == labels.tolist()
        assert found["is_digit"].min() > 0.5
        assert answer.id == "mine"

    asked = [
        v2.infer(url, request(images[[place % 10]], binary=True), model_name=MODEL)
        for place in range(AT_ONCE)
    ]
    answers = await asyncio.gather(*asked)
    assert [answer.outputs[0].as_numpy()[0] for answer in answers] == [labels[n % 10] for n in range(AT_ONCE)]

    v1 = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    assert await v1.is_model_ready(url, MODEL)
    scores = await v1.infer(url, {"instances": images.tolist()}, model_name=MODEL)
    assert np.argmax(scores["predictions"], axis=1).tolist() == labels.tolist()

    for client, text, model, body in (
        (v2, "has the model `digits` and no other", "other", request(images, binary=True)),
        (v2, "send UINT8 with [n, 28, 28]", MODEL, request(images.reshape(10, 784), binary=True)),
        (v1, "instances: Field required", MODEL, {}),
    ):
        message = ""
        try:
            await client.infer(url, body, model_name=model)
        except httpx.HTTPStatusError as error:
            message = str(error)
        assert text in message, message
    await v1.close()
    await v2.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
