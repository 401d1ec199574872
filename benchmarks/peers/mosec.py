"""mosec: a Rust front that batches before Python.  `python -m benchmarks.peers.mosec --port=8100 --num=1`

mosec reads `--port` itself.  A batch goes to a worker process through a socket.
"""

import argparse
import sys
from typing import Any

from mosec import Server, Worker

from testkit.models import classify, load_model

MAX_BATCH_SIZE, MAX_WAIT_MS = 64, 1


class Digits(Worker):
    def __init__(self) -> None:
        self.model = load_model(max_batch_size=MAX_BATCH_SIZE)

    def deserialize(self, data: bytearray) -> bytes:
        return bytes(data)

    def forward(self, data: list[bytes]) -> list[dict[str, Any]]:
        return [{"digit": row.index(max(row)), "probabilities": row} for row in classify(self.model, data)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--num", type=int)
    own, sys.argv[1:] = parser.parse_known_args()
    server = Server()
    server.append_worker(Digits, num=own.num, max_batch_size=MAX_BATCH_SIZE, max_wait_time=MAX_WAIT_MS)
    server.run()
