"""Image files as people send them: bytes -> a picture, upright and of a size that is worth having.

Every file ends in a picture or in BadInput within a bounded time: a hostile file is rejected before a decoder
reads it, and no more is decoded than the digit needs.

PNG and JPEG files go to OpenCV, which needs a fifth of Pillow's time for small ones, keeps 16 bits, and hands
over arrays without a copy; Pillow reads the rarer kinds (transparency by key, animation, CMYK, orientation in
text) and all other formats. Both release the GIL.
"""

import io
import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.errors import BadInput
from digits.vision.headers import (
    MAX_TEXT_PROFILE,
    is_hostile_exif,
    is_hostile_gif,
    read_jpeg_header,
    read_png_header,
)
from digits.vision.picture import Picture, picture_of

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # every other parser of Pillow stays unreachable
DRAFT_SIDE = 300  # a JPEG is decoded at 1/8, 1/4 or 1/2 if that leaves so many pixels a side

MAX_PIXELS = 50_000_000  # of a JPEG that is decoded in one pass, so that most of the work is skipped
COSTLY_PIXELS = 16_000_000  # of a file that has to be decoded whole
COSTLY_BYTES = 37_000_000  # of the levels of such a file: 12 megapixels in colour
WEBP_PIXELS = 6_000_000  # WebP costs three times as much as PNG
LEAST_BITS_OF_BLOCK = 2  # of 8x8 pixels of a JPEG in one pass: two codes of at least one bit
# OpenCV inflates a PNG's pixels to their end, up to 1032 bytes for each compressed one: 0.13 s for so many.
# Pillow stops at the last row and needs a fifth more time for large files.
MAX_ENDLESS_BYTES = 2**16
MAX_SCANNED_PIXELS = 160_000_000  # pixels times scans of a progressive JPEG
MAX_PROGRESSIVE_BYTES = 8_000_000  # of such a file: its coefficients cost twice as much for each byte

# (grey, colour) flags that decode a JPEG at 1/8, 1/4 and 1/2, by the least reduction they are for.
_JPEG_FLAGS = (
    (8, (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8)),
    (4, (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4)),
    (2, (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2)),
)
_JPEG_WHOLE = (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR)

# BMP's two letters alone could begin any bytes; the four that it reserves are 0.
_SIGNATURES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|BM.{4}\0{4}|GIF8[79]a", re.DOTALL)
_MODES = {"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "CMYK": "RGB", "YCbCr": "RGB"}


def decode_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Returns the picture in a PNG, JPEG, WebP, BMP or GIF file (its first frame).

    Raises BadInput: image_empty, image_unsupported, image_unreadable, image_too_large.
    """
    if not data:
        raise BadInput("image_empty", "The image is empty; send the bytes of an image file")
    if not is_image_file(data):
        raise BadInput(
            "image_unsupported",
            f"This is not an image file of a supported format; send one of {', '.join(FORMATS)}",
        )
    try:
        if data.startswith(b"\x89PNG"):
            return _decode_png(data, max_pixels)
        if data.startswith(b"\xff\xd8"):
            return _decode_jpeg(data, max_pixels)
        if data.startswith(b"GIF") and is_hostile_gif(data):
            raise BadInput(
                "image_unreadable",
                "The file has too many blocks before its first frame; save the image again",
            )
        most = WEBP_PIXELS if data.startswith(b"RIFF") else COSTLY_PIXELS
        return _decode_with_pillow(data, min(max_pixels, most))
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except UnidentifiedImageError as error:
        raise BadInput(
            "image_unreadable", "The image's header is damaged or of an unknown kind; save the image again"
        ) from error
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, cv2.error...
        raise _unreadable() from error


def is_image_file(data: bytes) -> bool:
    """Whether the bytes begin as a file of one of FORMATS does."""
    return _SIGNATURES.match(data) is not None


def _decode_png(data: bytes, max_pixels: int) -> Picture:
    header = read_png_header(data)
    if header is None:
        raise _unreadable()
    max_pixels = min(max_pixels, COSTLY_PIXELS, COSTLY_BYTES // header.bytes_of_pixel)
    if header.width * header.height > max_pixels:
        raise _too_large(max_pixels)
    if not header.neutral or header.compressed > MAX_ENDLESS_BYTES:
        return _decode_with_pillow(data, max_pixels)
    levels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None:
        raise _unreadable()
    return picture_of(levels)


def _decode_jpeg(data: bytes, max_pixels: int) -> Picture:
    header = read_jpeg_header(data)
    if header is None:
        raise BadInput("image_unreadable", "The JPEG's header is mostly padding; save the image again")
    if header.width * header.height == 0:
        raise _unreadable()  # it has no frame, or one of no pixels
    if not header.single_pass or header.scans > 1:
        if len(data) > MAX_PROGRESSIVE_BYTES:
            raise BadInput(
                "image_too_large", "A progressive JPEG may have at most 8 MB; send a baseline JPEG"
            )
        max_pixels = min(max_pixels, COSTLY_PIXELS, MAX_SCANNED_PIXELS // max(header.scans, 1))
    if header.width * header.height > max_pixels:
        raise _too_large(max_pixels)
    if header.single_pass and len(data) * 8 < LEAST_BITS_OF_BLOCK * header.width * header.height // 64:
        raise _unreadable()  # decoders make up what is missing
    if header.components not in (1, 3) or header.orientation == 0:
        return _decode_with_pillow(data, max_pixels)
    draft = min(header.width, header.height) // DRAFT_SIDE
    reduction, flags = next((each for each in _JPEG_FLAGS if draft >= each[0]), (1, _JPEG_WHOLE))
    if header.width * header.height > COSTLY_PIXELS * reduction**2:  # a long strip
        raise _too_large(COSTLY_PIXELS * reduction**2)
    levels = cv2.imdecode(
        np.frombuffer(data, np.uint8), flags[header.components == 3] | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if levels is None:
        raise _unreadable()
    return picture_of(_turned(levels, header.orientation))


def _turned(levels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns levels upright that are stored with an EXIF orientation of 1 to 8."""
    if orientation in (5, 6, 7, 8):
        levels = cv2.transpose(levels)
    # How a picture, transposed if that is needed, is flipped: 1 left and right, 0 top and bottom, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return levels if flip is None else cv2.flip(levels, flip)


def _decode_with_pillow(data: bytes, max_pixels: int) -> Picture:
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise _too_large(max_pixels)
    image.draft("RGB", (DRAFT_SIDE, DRAFT_SIDE))
    image.load()
    image = _upright(image)
    if image.mode in _MODES:
        image = image.convert("RGBA" if image.has_transparency_data else _MODES[image.mode])
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    return picture_of(np.asarray(image))


def _upright(image: Image.Image) -> Image.Image:
    """Returns the image turned as its orientation tag says; a tag that cannot be read is ignored.

    The image has to be loaded: a PNG's EXIF block may stand behind its pixels.
    """
    if not image.info:
        return image
    profile = image.info.get("Raw profile type exif", "")
    if is_hostile_exif(image.info.get("exif", b"")) or len(profile) > MAX_TEXT_PROFILE:
        raise BadInput(
            "image_unreadable", "The image has more EXIF tags than any camera writes; remove its metadata"
        )
    try:
        if image.getexif().get(0x0112, 1) == 1:
            return image
    except Exception:  # the EXIF block is a small TIFF file, and as breakable as one
        return image
    return ImageOps.exif_transpose(image)


def _too_large(max_pixels: int) -> BadInput:
    return BadInput("image_too_large", f"The image has more than {max_pixels:,} pixels; send a smaller one")


def _unreadable() -> BadInput:
    return BadInput(
        "image_unreadable", "The image is damaged or incomplete; save it again and send the new file"
    )


def weigh(data: bytes) -> tuple[str, int]:
    """The kind of an image file and its number of pixels, read from its first bytes: what it costs to decode.

    A wrong number in a damaged header is harmless: decoding that file fails soon.
    """
    if data.startswith(b"\x89PNG"):
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        return f"png{data[24:26].hex()}", width * height
    if data.startswith(b"\xff\xd8"):
        header = read_jpeg_header(data)
        if header is None:
            return "jpeg", 0
        kind = "jpeg" if header.single_pass else f"jpeg{min(header.scans, 99)}"
        return kind, header.width * header.height
    if data.startswith(b"GIF"):
        return "gif", int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little")
    if data.startswith(b"BM"):
        width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
        return "bmp", abs(width * height)
    return "webp", 40 * len(data)  # its header has three forms; its length says as much
