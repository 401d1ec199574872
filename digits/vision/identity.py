"""The identity of the preprocessing: models carry it, so that one made for other pixels is noticed."""

import hashlib
import io
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.task import SIDE, Images, Pixels
from digits.vision.decoding import MAX_PIXELS
from digits.vision.golden import golden_digits
from digits.vision.reading import read_file

# Averages over so many pixels a side, in steps of so many grey levels: a change of the preprocessing moves
# some of them, the last bit of another processor's arithmetic does not.
BLOCK, STEP = 4, 16
DRAWING_SIDE = 10 * SIDE


@cache
def preprocessing_sha256() -> str:
    """SHA-256 of the candidates that are read from fixed pictures: golden digits as files and as drawings.

    Depends on what comes out alone, never on how the source text reads.  Takes some 50 ms once.
    """
    images, _ = golden_digits()
    digest = hashlib.sha256()
    for picture in (*images, *(255 - images), *_drawings(images)):
        for candidate in read_file(_png(picture), MAX_PIXELS).items:
            digest.update(_coarse(candidate.pixels).tobytes())
    return digest.hexdigest()


def _drawings(images: Images) -> list[Pixels]:
    """DRAWING_SIDE a side, grey levels: off centre, dark on paper that is lit from one side."""
    light = np.linspace(255, 190, DRAWING_SIDE)[None, :]
    drawings = []
    for image in images:
        large = Image.fromarray(image).resize((DRAWING_SIDE // 2,) * 2, Image.Resampling.BICUBIC)
        cover = np.zeros((DRAWING_SIDE, DRAWING_SIDE))
        cover[20 : 20 + large.height, 40 : 40 + large.width] = np.asarray(large) / 255
        drawings.append((light * (1 - 0.8 * cover)).astype(np.uint8))
    return drawings


def _png(grey: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def _coarse(pixels: Pixels) -> Pixels:
    blocks = SIDE // BLOCK
    whole = pixels[: blocks * BLOCK, : blocks * BLOCK].reshape(blocks, BLOCK, blocks, BLOCK)
    levels: NDArray[np.float64] = whole.mean((1, 3))
    return (levels / STEP).astype(np.uint8)
