"""The client of MLflow's scoring server asks a service.

    .venv/bin/python tests/clients/mlflow_scoring.py http://HOST:PORT digits/vision/golden.npz

Ends with an AssertionError at the first wrong answer.
"""

import sys
from urllib.parse import urlsplit

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from mlflow.pyfunc.scoring_server.client import ScoringServerClient


def main(url: str, golden: str) -> None:
    with np.load(golden) as data:
        images, labels = data["images"], data["labels"]
    address = urlsplit(url)
    client = ScoringServerClient(address.hostname, address.port)  # type: ignore[no-untyped-call]
    flat = images.reshape(len(images), -1)
    for body in (images, images.astype(float), pd.DataFrame(flat)):
        scores = client.invoke(body).get_predictions()
        assert np.argmax(np.array(scores), axis=1).tolist() == labels.tolist(), scores
    message = ""
    try:
        client.invoke(flat[:, :-1])
    except Exception as error:  # the client raises no class of its own
        message = str(error)
    assert "The image has the shape (783,)" in message, message


if __name__ == "__main__":
    main(*sys.argv[1:])
