"""LitServe, after its guide "Speed up serving by 200x": an image in base64, batches, two workers.

LitServe advises `fast_queue` (ZeroMQ) above 100 requests/s.  The argument is the port.
"""

import base64
import sys
from typing import Any

import litserve
import numpy as np
from numpy.typing import NDArray

from digits.task import Pixels
from digits.vision.decoding import decode_image
from testkit.models import load_model

MAX_BATCH_SIZE = 64


class DigitAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = load_model(max_batch_size=MAX_BATCH_SIZE)

    def decode_request(self, request: dict[str, str]) -> Pixels:
        return decode_image(base64.b64decode(request["image_data"]))

    def batch(self, inputs: list[Pixels]) -> NDArray[np.uint8]:
        return np.array(inputs)

    def predict(self, x: NDArray[np.uint8]) -> list[list[float]]:
        rows: list[list[float]] = self.model.predict(x).tolist()
        return rows

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return {"digit": output.index(max(output)), "probabilities": output}


if __name__ == "__main__":
    api = DigitAPI(max_batch_size=MAX_BATCH_SIZE, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, fast_queue=True)
    server.run("127.0.0.1", int(sys.argv[1]), log_level="warning", generate_client_file=False)
