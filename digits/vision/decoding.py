"""Image files as people send them: bytes -> grey levels, upright and of a size that is worth having.

Whatever is sent ends in pixels or in BadInput, soon: a hostile file is refused before Pillow reads it, and
no more is decoded than the digit needs.
"""

import io
import re
import zlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.errors import BadInput
from digits.task import SIDE, Pixels
from digits.vision.normalising import normalise

MAX_PIXELS = 16_000_000  # a 12-megapixel phone photo fits; decoding this many takes some 0.15 s
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # every other parser of Pillow stays unreachable
WORK_SIDE = 320  # pictures are reduced to about this before the ink is looked for
# What real files keep to; past it Pillow, which walks these in Python, would need up to 2 s for each MB.
MAX_JPEG_SEGMENTS, MAX_JPEG_GAP, MAX_PNG_CHUNKS, MAX_EXIF_TAGS = 512, 1024, 4096, 256
START_OF_SCAN, APP1, EXIF = 0xDA, 0xE1, b"Exif\0\0"

# BMP's two letters alone could begin any bytes; the four that it reserves are 0.
_SIGNATURES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|BM.{4}\0{4}|GIF8[79]a", re.DOTALL)
_JPEG_GAP = re.compile(rb"[^\xff]*\xff+")


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read a PNG, JPEG, WebP, BMP or GIF (its first frame) as the pixels the model was trained on.

    Raises BadInput: image_empty, image_unsupported, image_unreadable, image_too_large, image_blank.
    """
    if not data:
        raise BadInput("image_empty", "the image is empty; send the bytes of an image file")
    if not is_image_file(data):
        raise BadInput("image_unsupported", f"this is not an image of the formats {', '.join(FORMATS)}")
    if data.startswith(b"\xff\xd8") and _is_hostile_jpeg(data):
        raise BadInput("image_unreadable", "the image's JPEG header is mostly padding")
    if data.startswith(b"\x89PNG") and not _is_whole_png(data):
        raise BadInput("image_unreadable", "the image is damaged or incomplete")
    try:
        return normalise(_read_grey(data, max_pixels))
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except UnidentifiedImageError as error:
        raise BadInput("image_unreadable", "the image's header is damaged or of an unknown kind") from error
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error...
        raise BadInput("image_unreadable", "the image is damaged or incomplete") from error


def is_image_file(data: bytes) -> bool:
    """Whether it begins as a file of one of FORMATS does."""
    return _SIGNATURES.match(data) is not None


def _read_grey(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode no more than is needed: size first, then pixels, reduced before anything else is done."""
    image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > max_pixels:
        raise _too_large(max_pixels)
    if image.mode == "L" and image.size == (SIDE, SIDE) and "transparency" not in image.info:
        # Not np.asarray: that goes through a description of the memory, which costs more than the copy.
        return np.frombuffer(_upright(image).tobytes(), np.uint8).reshape(SIDE, SIDE)
    image.draft("L", (WORK_SIDE, WORK_SIDE))  # a JPEG decodes straight to 1/2, 1/4 or 1/8
    image = _reduced(_upright(image))
    if image.mode.startswith(("I", "F")):
        return _levels_of_deep(np.asarray(image, np.float64))
    if image.has_transparency_data:
        return _composited(image)
    return np.asarray(image.convert("L"))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its orientation tag says; a tag that cannot be read says nothing."""
    image.load()  # a PNG's EXIF may stand behind its pixels
    if not image.info:
        return image
    profile = image.info.get("Raw profile type exif", "")  # as ImageMagick writes it: in hexadecimal
    if _is_hostile_exif(image.info.get("exif", b"")) or len(profile) > 2**17:
        raise BadInput("image_unreadable", "the image's EXIF block is no camera's")
    try:
        if image.getexif().get(0x0112, 1) == 1:
            return image
    except Exception:  # the EXIF block is a small TIFF file, and as breakable as one
        return image
    return ImageOps.exif_transpose(image)


def _reduced(image: Image.Image) -> Image.Image:
    """At most twice WORK_SIDE long, by averaging whole blocks."""
    factor = max(image.size) // WORK_SIDE
    if factor < 2:
        return image
    if image.mode in ("1", "P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "L")
    elif image.mode.startswith("I;16"):
        image = image.convert("I")
    return image.reduce(factor)


def _levels_of_deep(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """16 and 32 bits a pixel -> 8.  Pillow's own convert("L") would clip: a grey page becomes white."""
    return np.clip(np.rint(levels / 257), 0, 255).astype(np.uint8)


def _composited(image: Image.Image) -> NDArray[np.uint8]:
    """Transparent paper gets the colour that its ink is not: white below dark strokes, else black."""
    grey, alpha = np.asarray(image.convert("RGBA").convert("LA"), np.float64).transpose(2, 0, 1)
    cover = alpha / 255
    ink = (grey * cover).sum() / max(cover.sum(), 1)
    levels: NDArray[np.float64] = grey * cover + (255 if ink < 128 else 0) * (1 - cover)
    return np.rint(levels).astype(np.uint8)


def _is_hostile_jpeg(data: bytes) -> bool:
    """Pillow looks for markers byte by byte, 0.5 s for each MB of padding: allow what real files have."""
    position, exif = 2, b""
    for _ in range(MAX_JPEG_SEGMENTS):
        gap = _JPEG_GAP.match(data, position)
        if gap is None or gap.end() >= len(data) or data[gap.end()] == START_OF_SCAN:
            return gap is not None and (len(gap[0]) > MAX_JPEG_GAP or _is_hostile_exif(exif))
        if len(gap[0]) > MAX_JPEG_GAP:
            return True
        length = int.from_bytes(data[gap.end() + 1 : gap.end() + 3], "big")
        content, position = gap.end() + 3, gap.end() + 1 + max(length, 2)
        if data[gap.end()] == APP1 and data.startswith(EXIF, content):
            exif += data[content + len(EXIF) : position]  # Pillow reads several as one
    return True


def _is_hostile_exif(exif: bytes) -> bool:
    """20 us a tag, and 65,535 are possible: 1.2 s.  Cameras write some 20 into the directory that is read."""
    tiff = exif.removeprefix(EXIF)
    order: Literal["big", "little"] = "big" if tiff.startswith(b"MM") else "little"
    start = int.from_bytes(tiff[4:8], order)
    return int.from_bytes(tiff[start : start + 2], order) > MAX_EXIF_TAGS


def _is_whole_png(data: bytes) -> bool:
    """Each chunk with its checksum, to the last one.

    Pillow looks at no checksum of pixels: nine of ten changed bytes would give other pixels, and no error.
    """
    place = 8
    for _ in range(MAX_PNG_CHUNKS):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            return False
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data.startswith(b"IEND", place + 4):
            return True
        place = end + 4
    return False


def _too_large(max_pixels: int) -> BadInput:
    return BadInput("image_too_large", f"the image has more than {max_pixels:,} pixels; send a smaller one")
