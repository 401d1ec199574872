"""Simulated users of the service, for Locust: `make load URL=...`, then http://127.0.0.1:8089.

Most send one 28x28 picture, in one of the forms that a request may have; half as many send what people have:
a drawing, a thumbnail, a scan, a photo of 12 megapixels.  Some send many at once, as files, as grey levels or
in JSON; a few send an unreadable body, and count as failed unless it is refused with the right status.
Without the web page, with a ramp to 200 users in half a minute:

    make load URL=... LOCUST="--headless -u 200 -r 7 -t 2m --html out/load.html"
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from locust import FastHttpUser, between, task

from benchmarks.bodies import bodies
from digits.vision.golden import golden_digits
from testkit.encodings import MANY, ONE, Body
from testkit.models import classify, load_model

IMAGES, _ = golden_digits()
PICTURES = bodies()
DIGITS = dict(
    zip(
        PICTURES,
        np.argmax(classify(load_model(), [body.content for body in PICTURES.values()]), axis=1),
        strict=True,
    )
)
BAD = {
    "no image": (Body(b"seven", "image/png"), 415),
    "half a picture": (Body(ONE["png"](IMAGES[7]).content[:100], "image/png"), 422),
    "broken JSON": (Body(b'{"image": ', "application/json"), 400),
}


class Sender(FastHttpUser):
    """One connection with pauses like those of a person or a program."""

    wait_time = between(0.05, 0.5)

    def _send(self, name: str, body: Body, status: int, expected: Callable[[Any], object]) -> None:
        """Counts a request as failed unless the answer has the status and `expected` accepts its body."""
        headers = {} if body.content_type is None else {"Content-Type": body.content_type}
        with self.client.post(
            "/predict",
            data=body.content,  # type: ignore[arg-type]  # it takes bytes, despite its annotation
            headers=headers,
            name=name,
            catch_response=True,
        ) as response:
            if response.status_code != status:
                response.failure(f"status {response.status_code}, not {status}")
            elif expected(response.json()):
                response.success()  # Locust counts a status of 4xx as failed by itself
            else:
                response.failure("misread")

    @task(20)
    def one(self) -> None:
        form, label = random.choice(list(ONE)), random.randrange(10)
        self._send(f"one: {form}", ONE[form](IMAGES[label]), 200, lambda answer: answer["digit"] == label)

    @task(10)
    def picture(self) -> None:
        name = random.choice(list(PICTURES))
        self._send(f"picture: {name}", PICTURES[name], 200, lambda answer: answer["digit"] == DIGITS[name])

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
