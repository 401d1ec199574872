"""What users of the service do, for Locust: `make load URL=...`, then http://127.0.0.1:8089.

Most send one picture; some send many at once, as files, as grey levels or in JSON; a few send what no
service can read, and count as failed if they are not told so.  Without the web page, as a ramp to 200 users
in half a minute:

    make load URL=... LOCUST="--headless -u 200 -r 7 -t 2m --html out/load.html"
"""

import random
from collections.abc import Callable
from typing import Any

from locust import FastHttpUser, between, task

from digits.vision.golden import golden_digits
from testkit.encodings import MANY, ONE, Body

IMAGES, LABELS = golden_digits()
BAD = {
    "no image": (Body(b"seven", "image/png"), 415),
    "half a picture": (Body(ONE["png"](IMAGES[7]).content[:100], "image/png"), 422),
    "broken JSON": (Body(b'{"image": ', "application/json"), 400),
}


class Sender(FastHttpUser):
    """One connection that asks again as soon as a person or a program would."""

    wait_time = between(0.05, 0.5)

    def _send(self, name: str, body: Body, status: int, expected: Callable[[Any], object]) -> None:
        """Counted as failed unless the answer has the status and `expected` finds in it what it should."""
        headers = {} if body.content_type is None else {"Content-Type": body.content_type}
        with self.client.post(
            "/predict",
            data=body.content,  # type: ignore[arg-type]  # it takes bytes, whatever it says
            headers=headers,
            name=name,
            catch_response=True,
        ) as response:
            if response.status_code != status:
                response.failure(f"status {response.status_code}, not {status}")
            elif expected(response.json()):
                response.success()  # Locust would count a refusal as failed
            else:
                response.failure("read wrong")

    @task(20)
    def one(self) -> None:
        form, label = random.choice(list(ONE)), random.randrange(10)
        self._send(f"one: {form}", ONE[form](IMAGES[label]), 200, lambda answer: answer["digit"] == label)

    @task(4)
    def many(self) -> None:
        form, labels = random.choice(list(MANY)), random.choices(range(10), k=random.randint(2, 64))
        self._send(
            f"many: {form}", MANY[form](list(IMAGES[labels])), 200,
            lambda answer: [one.get("digit") for one in answer["predictions"]] == labels,
        )  # fmt: skip

    @task(1)
    def bad(self) -> None:
        name, (body, status) = random.choice(list(BAD.items()))
        self._send(f"bad: {name}", body, status, lambda problem: problem["status"] == status)
