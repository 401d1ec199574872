"""Image files: bytes -> a picture, upright and at a useful size.

Every file gives a picture or BadInput within a bounded time. A hostile file is rejected before a decoder
reads it, and no more is decoded than the digit needs.

PNG and JPEG files go to OpenCV, which needs a fifth of Pillow's time for small ones, keeps 16 bits, and
returns arrays without a copy. Pillow reads the rarer kinds (a PNG's transparency by key or orientation, a
JPEG of CMYK) and all other formats. Both release the GIL. No decoder gets other metadata of a PNG, nor any of
a CMYK JPEG.
"""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from digits.errors import BadInput
from digits.vision.formats import FORMATS, is_image_file
from digits.vision.headers import (
    MAX_TEXT_PROFILE,
    is_hostile_exif,
    read_jpeg_header,
    read_png_header,
)
from digits.vision.limits import (
    COSTLY_PIXELS,
    DRAFT_SIDE,
    MAX_PIXELS,
    WEBP_PIXELS,
    check_bmp,
    check_gif,
    check_jpeg,
    jpeg_reduction,
    most_png_pixels,
    too_large,
    unreadable,
)
from digits.vision.picture import Picture, picture_of

cv2.setNumThreads(1)  # the service's threads share the cores; OpenCV's own would compete with them

# OpenCV inflates a PNG's pixels to their end, up to 1032 bytes for each compressed one: 0.13 s for so many.
# Pillow stops at the last row and needs a fifth more time for large files.
MAX_ENDLESS_BYTES = 2**16
# (grey, colour) flags that decode a JPEG reduced by this factor.
_JPEG_FLAGS = {
    8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8),
    4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
    2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
    1: (cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR),
}
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
    most = WEBP_PIXELS if data.startswith(b"RIFF") else COSTLY_PIXELS
    try:
        if data.startswith(b"\x89PNG"):
            return _decode_png(data, max_pixels)
        if data.startswith(b"\xff\xd8"):
            return _decode_jpeg(data, max_pixels)
        if data.startswith(b"GIF"):
            check_gif(data)
        elif data.startswith(b"BM"):
            check_bmp(data)
        return picture_of(_decode_with_pillow(data, most, max_pixels), is_rgb=True)
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(most, max_pixels) from error
    except UnidentifiedImageError as error:
        raise BadInput(
            "image_unreadable", "The image's header is damaged or of an unknown kind; save the image again"
        ) from error
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, cv2.error...
        raise unreadable() from error


def _decode_png(data: bytes, max_pixels: int) -> Picture:
    header = read_png_header(data)
    if header is None:
        raise unreadable()
    own = most_png_pixels(MAX_PIXELS, header.bytes_of_pixel)
    if header.width * header.height > min(own, max_pixels):
        raise too_large(own, max_pixels)
    if not header.neutral or header.compressed > MAX_ENDLESS_BYTES:
        return picture_of(_decode_with_pillow(header.content, own, max_pixels), is_rgb=True)
    levels = cv2.imdecode(np.frombuffer(header.content, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None:
        raise unreadable()
    return picture_of(levels)


def _decode_jpeg(data: bytes, max_pixels: int) -> Picture:
    header = read_jpeg_header(data)
    if header is None:
        raise BadInput("image_unreadable", "The JPEG's header is mostly padding; save the image again")
    check_jpeg(header, len(data), max_pixels)
    if header.components not in (1, 3):
        stored = _decode_with_pillow(header.without_metadata(data), MAX_PIXELS, max_pixels)
        return picture_of(_turned(stored, header.orientation), is_rgb=True)
    flags = _JPEG_FLAGS[jpeg_reduction(header)]
    levels = cv2.imdecode(
        np.frombuffer(data, np.uint8), flags[header.components == 3] | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if levels is None:
        raise unreadable()
    return picture_of(_turned(levels, header.orientation))


def _turned(levels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns levels upright that are stored with an EXIF orientation of 1 to 8."""
    if orientation in (5, 6, 7, 8):
        levels = cv2.transpose(levels)
    # How a picture, transposed if that is needed, is flipped: 1 left and right, 0 top and bottom, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return levels if flip is None else cv2.flip(levels, flip)


def _decode_with_pillow(data: bytes, own: int, max_pixels: int) -> NDArray[Any]:
    """Returns levels, upright and red first."""
    # Every other parser of Pillow stays unreachable.
    image: Image.Image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
    if image.width * image.height > min(own, max_pixels):
        raise too_large(own, max_pixels)
    image.draft("RGB", (DRAFT_SIDE, DRAFT_SIDE))
    image.load()
    image = _upright(image)
    if image.mode in _MODES:
        image = image.convert("RGBA" if image.has_transparency_data else _MODES[image.mode])
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
    return np.asarray(image)


def _upright(image: Image.Image) -> Image.Image:
    """Returns the image turned by its orientation tag; an unreadable tag is ignored.

    The image must be loaded, because a PNG's EXIF block may follow its pixels.
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
