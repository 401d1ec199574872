"""The pictures that benchmarks send: like those that people send, not only MNIST's."""

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image

from digits.corpus.examples import sample
from digits.vision.golden import golden_digits
from testkit.encodings import Body, image_file

SEED = 4
SMALL = "28x28 PNG"
DRAWING = "280x280 canvas"
TELEPHONE = "12-megapixel photo"
PHOTO = (4032, 3024)  # 12 megapixels, of many telephones
SCAN = (1240, 1754)  # 2 megapixels: A4 at 150 dpi
# Levels of standard deviation: a photo of 12 megapixels then has 3 to 5 MB, as real ones have.
SENSOR_NOISE = 4.0


def mix() -> list[Body]:
    """Returns what people send: all bodies but MNIST's."""
    return [body for name, body in bodies().items() if name != SMALL]


@cache
def bodies() -> dict[str, Body]:
    """Returns the bodies by name, from the smallest: each holds one digit and is the same in every run."""
    return {
        SMALL: Body(image_file(golden_digits()[0][3]), "image/png"),
        "28x28 thumbnail": Body(_example("thumbnail_of_a_photo"), "image/png"),
        DRAWING: Body(_example("canvas_white_on_black"), "image/png"),
        "600x600 drawing": Body(_example("drawing_600"), "image/png"),
        "2-megapixel scan": Body(_jpeg(_example("a4_150_dpi"), SCAN, noise=1.5), "image/jpeg"),
        TELEPHONE: Body(_jpeg(_example("photo_of_paper"), PHOTO, SENSOR_NOISE), "image/jpeg"),
    }


def _example(kind: str) -> bytes:
    (example,) = sample("judge", SEED, 1, (kind,))
    return example.data


def _jpeg(file: bytes, size: tuple[int, int], noise: float) -> bytes:
    """Returns a picture at another size with the noise of a sensor, which is most of a real photo's bytes."""
    with Image.open(io.BytesIO(file)) as image:
        levels = cv2.resize(np.asarray(image.convert("RGB")), size, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(SEED).normal(0, noise, (*levels.shape[:2], 1))
    noisy = np.clip(levels + grain, 0, 255).astype(np.uint8)
    return image_file(noisy, "JPEG", quality=90)
