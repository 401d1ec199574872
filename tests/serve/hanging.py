"""The service with a model that hangs on certain images, is slow on others, and counts those it gets.

A Serve entry point like app.py: `import_path: tests.serve.hanging:app`.  It reads

    DIGITS_SEEN       a file that gets a byte for each COUNTED, SLOW or HELD image that reaches the model.
                      Beside it, a file "go" releases the HELD images, and the service writes to a file
                      "waiting" how many requests are queued whose clients are still connected
    DIGITS_ON_LOOP    1: the model runs on the event loop, like one that is faster than a millisecond
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from digits.models.runtime import DigitModel
from digits.serving.deployment import DigitClassifier
from digits.task import Images, Pixels, Scores
from digits.vision.golden import golden_digits
from testkit.encodings import Body, image_file

SLOW_S = 2.0


def _golden_3(darker: int) -> Pixels:
    """Returns a golden 3 that differs from the original in one pixel."""
    pixels: Pixels = golden_digits()[0][3].copy()
    pixels[np.unravel_index(pixels.argmax(), pixels.shape)] -= darker
    return pixels


HANGS, SLOW, COUNTED, HELD = (_golden_3(darker) for darker in (1, 2, 3, 4))


def body(pixels: Pixels) -> Body:
    return Body(image_file(pixels), "image/png")


class HangingClassifier(DigitClassifier.func_or_class):  # type: ignore[name-defined, misc]
    async def __init__(self) -> None:  # type: ignore[misc]
        DigitModel.predict = _watched(DigitModel.predict)  # type: ignore[method-assign, assignment]
        if os.environ.get("DIGITS_ON_LOOP") != "1":
            DigitModel.expected_seconds = lambda *_: 1.0  # type: ignore[method-assign]
        await super().__init__()
        self._watching = asyncio.create_task(self._report_waiting())

    async def _report_waiting(self) -> None:
        file = Path(os.environ["DIGITS_SEEN"]).with_name("waiting")
        while True:
            await asyncio.sleep(0.1)
            if classifier := self._live.classifier:
                file.write_text(str(sum(map(_is_waited_for, classifier._batcher._waiting))))


def _is_waited_for(item: Any) -> bool:
    return not (item.answer.done() or (item.is_abandoned and item.is_abandoned()))


def _watched(predict: Callable[[Any, Images], Scores]) -> Callable[[Any, Images], Scores]:
    def watched(model: DigitModel, images: Images) -> Scores:
        def those_like(pixels: Pixels) -> int:
            return int((images == pixels).all(axis=(1, 2)).sum())

        seen = Path(os.environ["DIGITS_SEEN"])
        with seen.open("ab") as file:
            file.write(bytes(sum(map(those_like, (COUNTED, SLOW, HELD)))))
        if those_like(HANGS):
            time.sleep(1000)
        if those_like(SLOW):
            time.sleep(SLOW_S)
        while those_like(HELD) and not seen.with_name("go").exists():
            time.sleep(0.05)
        return predict(model, images)

    return watched


app = DigitClassifier.options(func_or_class=HangingClassifier).bind()  # type: ignore[attr-defined]
