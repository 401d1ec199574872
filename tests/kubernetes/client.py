"""A client that runs in a pod: sends golden digits at a steady rate until standard input ends, then reports.

    python -c "$(cat client.py)" URL RATE [KEY]

It needs only the serving image.  Every second request opens a connection: one that is kept alive does not see
where a new one would go.  A request that fails is repeated once, on a new connection.  The last line is JSON:
sent, failed and the first reasons, repeated, the slowest in seconds, the model versions.
"""

import http.client
import json
import queue
import sys
import threading
import time
from urllib.parse import urlsplit

from digits.vision.golden import golden_digits

TIMEOUT_S = 40  # above every limit of the service
THREADS = 16
IMAGES, LABELS = golden_digits()


class Client(threading.Thread):
    def __init__(self, url: str, key: str, due: "queue.Queue[tuple[int, float] | None]") -> None:
        super().__init__(daemon=True)
        self._host = urlsplit(url).netloc
        self._headers = {"Content-Type": "application/octet-stream"}
        if key:
            self._headers["X-API-Key"] = key
        self._due = due
        self._connection: http.client.HTTPConnection | None = None
        self.failures: list[str] = []
        self.versions: set[str] = set()
        self.again = 0
        self.slowest_s = 0.0

    def run(self) -> None:
        while (item := self._due.get()) is not None:
            number, due = item
            wrong = self._ask(number)
            if wrong:
                self.again += 1
                wrong = self._ask(number)
            if wrong:
                self.failures.append(wrong)
            self.slowest_s = max(self.slowest_s, time.monotonic() - due)

    def _ask(self, number: int) -> str:
        """Returns what is wrong with the answer; empty if nothing is."""
        index = number % len(IMAGES)
        try:
            if self._connection is not None and number % 2:
                self._connection.close()
                self._connection = None
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
            self._connection.request("POST", "/predict", IMAGES[index].tobytes(), self._headers)
            response = self._connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            return repr(error)
        if response.status != 200:
            return f"{response.status} {text[:200]}"
        answer = json.loads(text)
        self.versions.add(answer["model"]["version"])
        digit = answer["predictions"][0]["digit"]
        return "" if digit == LABELS[index] else f"read {LABELS[index]} as {digit}"


def main(url: str, rate: float, key: str = "") -> None:
    due: queue.Queue[tuple[int, float] | None] = queue.Queue()
    clients = [Client(url, key, due) for _ in range(THREADS)]
    for client in clients:
        client.start()
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    start, sent = time.monotonic(), 0
    while not over.wait(max(0.0, start + sent / rate - time.monotonic())):
        due.put((sent, time.monotonic()))
        sent += 1
    for _ in clients:
        due.put(None)
    for client in clients:
        client.join(3 * TIMEOUT_S)
    failures = [reason for client in clients for reason in client.failures]
    report = {
        "sent": sent,
        "failed": len(failures),
        "reasons": failures[:5],
        "again": sum(client.again for client in clients),
        "slowest_s": max(client.slowest_s for client in clients),
        "versions": sorted({version for client in clients for version in client.versions}),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *sys.argv[3:])
