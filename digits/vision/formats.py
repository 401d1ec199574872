"""The formats of image files that are read: Pillow's names, suffixes, media types and signatures."""

import re

FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
MEDIA_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
# BMP's two letters alone could begin any bytes; the four that it reserves are 0.
_SIGNATURES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|BM.{4}\0{4}|GIF8[79]a", re.DOTALL)


def is_image_file(data: bytes) -> bool:
    """Returns whether the bytes begin like a file of one of FORMATS."""
    return _SIGNATURES.match(data) is not None
