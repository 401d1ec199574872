"""The identity of the preprocessing: models record it, so that a change is noticed."""

import hashlib
import io
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.task import READER, SIDE, Images, Pixels
from digits.vision.golden import golden_digits
from digits.vision.limits import MAX_PIXELS
from digits.vision.reader import read_file

# Averages over this many pixels a side, in steps of this many levels: a change of the preprocessing changes
# some of them, the last bit of another processor's arithmetic does not.
BLOCK, STEP = 4, 16
DRAWING_SIDE = 10 * SIDE


@cache
def preprocessing_sha256() -> str:
    """Returns the SHA-256 of the candidates read from fixed pictures: golden digits in several forms.

    It depends only on results, never on the source text. It takes about 50 ms once.
    """
    images, _ = golden_digits()
    digest = hashlib.sha256()
    for picture in _pictures(images):
        for candidate in read_file(_png(picture), MAX_PIXELS).items:
            digest.update(_coarse(candidate.pixels).tobytes())
    return digest.hexdigest()


def _pictures(images: Images) -> Iterator[Pixels]:
    yield from images
    if READER == "digit":
        yield from 255 - images
        yield from _drawings(images)
    else:
        for image in images:
            yield np.asarray(Image.fromarray(image).resize((3 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))


def _drawings(images: Images) -> list[Pixels]:
    """Returns grey drawings of DRAWING_SIDE: off centre, dark on paper that is lit from one side."""
    light = np.linspace(255, 190, DRAWING_SIDE)[None, :]
    drawings = []
    for image in images:
        large = Image.fromarray(image).resize((DRAWING_SIDE // 2,) * 2, Image.Resampling.BICUBIC)
        cover = np.zeros((DRAWING_SIDE, DRAWING_SIDE))
        cover[20 : 20 + large.height, 40 : 40 + large.width] = np.asarray(large) / 255
        drawings.append((light * (1 - 0.8 * cover)).astype(np.uint8))
    return drawings


def _png(levels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return file.getvalue()


def _coarse(pixels: Pixels) -> Pixels:
    blocks = SIDE // BLOCK
    whole = pixels[: blocks * BLOCK, : blocks * BLOCK].reshape(blocks, BLOCK, blocks, BLOCK, -1)
    levels: NDArray[np.float64] = whole.mean((1, 3))
    return (levels / STEP).astype(np.uint8)
