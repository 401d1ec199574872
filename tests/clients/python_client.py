"""The client that openapi-python-client made predicts, by POST /predict and by the Open Inference Protocol.

    PYTHONPATH=FOLDER .clients/bin/python tests/clients/python_client.py http://HOST:PORT '[[0, 0, ...], ...]'

FOLDER holds it as the package `generated`.  Prints what it read.
"""

import json
import sys

from generated import Client
from generated.api.open_inference_protocol import infer
from generated.api.predict import predict
from generated.models import (
    Failure,
    InferRequest,
    InferResponse,
    InputTensor,
    PixelsBody,
    PredictManyResponse,
    PredictResponse,
    ProblemDocument,
)


def main(url: str, rows: str) -> None:
    client = Client(base_url=url)
    pixels = json.loads(rows)
    one = predict.sync(client=client, body=PixelsBody(pixels=pixels), explain=True)
    assert isinstance(one, PredictResponse), one
    many = predict.sync(client=client, body=PixelsBody(pixels=[pixels, pixels]))
    assert isinstance(many, PredictManyResponse), many
    refused = predict.sync(client=client, body=PixelsBody(pixels=[1.0]))
    assert isinstance(refused, ProblemDocument), refused
    tensor = InputTensor(name="pixels", datatype="UINT8", shape=[1, 28, 28], data=pixels)
    answer = infer.sync(client=client, body=InferRequest(inputs=[tensor]))
    assert isinstance(answer, InferResponse), answer
    tensor.name = "other"
    failed = infer.sync(client=client, body=InferRequest(inputs=[tensor]))
    assert isinstance(failed, Failure), failed
    found = {"digit": one.digit, "many": len(many.predictions), "label": answer.outputs[0].data}
    print(json.dumps(found | {"codes": [refused.code, failed.code]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
