"""The service over a model that hangs or is slow where it meets certain images, and counts others.

A Serve entry point like app.py: `import_path: tests.serve.hanging:app`.  It reads

    DIGITS_SEEN       file that gets a byte for each image but the HANGING that reaches the model; beside it
                      a file "go" ends the wait of those that are HELD, and one "waiting" says how many
                      requests are queued whose senders are still there
    DIGITS_ON_LOOP    1: the model runs on the event loop, as one does that is faster than a millisecond
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
from digits.task import Images, Pixels, Probabilities
from digits.vision.golden import golden_digits
from testkit.encodings import Body, image_file

SLOW_S = 2.0


def _golden_3(darker: int) -> Pixels:
    """Told from the others by one pixel."""
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
        self._telling = asyncio.create_task(self._tell_who_waits())

    async def _tell_who_waits(self) -> None:
        file = Path(os.environ["DIGITS_SEEN"]).with_name("waiting")
        while True:
            await asyncio.sleep(0.1)
            if classifier := self._live.classifier:
                file.write_text(str(sum(map(_is_waited_for, classifier._batcher._waiting))))


def _is_waited_for(item: Any) -> bool:
    return not (item.answer.done() or (item.is_abandoned and item.is_abandoned()))


def _watched(predict: Callable[[Any, Images], Probabilities]) -> Callable[[Any, Images], Probabilities]:
    def watched(model: DigitModel, images: Images) -> Probabilities:
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
