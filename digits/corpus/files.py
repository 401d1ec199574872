"""A canvas -> the bytes of an image file."""

import io
import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.corpus.canvas import Canvas, Rng

ORIENTATION = 0x0112
# How a picture is stored that a viewer turns upright by each EXIF orientation.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def grey(canvas: Canvas) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    return levels


def png(levels: NDArray[Any]) -> bytes:
    """Returns a PNG of (h, w) grey levels of 8 or 16 bits, or (h, w, 2, 3 or 4) levels of 8 bits."""
    return save(Image.fromarray(levels), "PNG", compress_level=1)


def jpeg(levels: NDArray[np.uint8], quality: int, **options: Any) -> bytes:
    return save(Image.fromarray(levels), "JPEG", quality=quality, **options)


def webp(canvas: Canvas, quality: int) -> bytes:
    return save(Image.fromarray(canvas), "WEBP", quality=quality, method=1)


def save(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def common(canvas: Canvas, rng: Rng) -> bytes:
    """Returns a file as programs save it: mostly PNG, some JPEG and WebP."""
    kind, quality = rng.choice(["png", "png", "jpeg", "webp"]), int(rng.integers(70, 96))
    if kind == "png":
        return png(grey(canvas) if rng.random() < 0.3 and _is_grey(canvas) else canvas)
    return jpeg(canvas, quality) if kind == "jpeg" else webp(canvas, quality)


def photo(canvas: Canvas, rng: Rng) -> bytes:
    """Returns a file as cameras and messengers save it."""
    return jpeg(canvas, int(rng.integers(55, 94)))


def turned_jpeg(canvas: Canvas, quality: int, orientation: int) -> bytes:
    """Returns a JPEG that is stored turned, with the EXIF tag that makes it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(canvas).transpose(STORED[orientation])
    return save(stored, "JPEG", quality=quality, exif=exif)


def bmp_of_clipboard(canvas: Canvas) -> bytes:
    """Returns a BMP of 32 bits as Windows' clipboard makes it: with an alpha that is 0 everywhere."""
    height, width = canvas.shape[:2]
    rows = np.dstack([canvas[::-1, :, ::-1], np.zeros((height, width), np.uint8)]).tobytes()
    info = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return struct.pack("<2sIHHI", b"BM", 122 + len(rows), 0, 0, 122) + info + masks + rows


def _is_grey(canvas: Canvas) -> bool:
    return bool((canvas == canvas[:, :, :1]).all())
