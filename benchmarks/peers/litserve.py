"""LitServe, after its guide "Speed up serving by 200x": an image in base64, batches, two workers.

LitServe advises `fast_queue` (ZeroMQ) above 100 requests/s.  The argument is the port.
"""

import base64
import sys
from typing import Any

import litserve

from testkit.models import classify, load_model

MAX_BATCH_SIZE = 64


class DigitAPI(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = load_model(max_batch_size=MAX_BATCH_SIZE)

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image_data"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: list[bytes]) -> list[list[float]]:
        return classify(self.model, x)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        return output

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        return {"digit": output.index(max(output)), "probabilities": output}


if __name__ == "__main__":
    api = DigitAPI(max_batch_size=MAX_BATCH_SIZE, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2, fast_queue=True)
    server.run("127.0.0.1", int(sys.argv[1]), log_level="warning", generate_client_file=False)
