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


# Others that people send: TIFF, PDF, ZIP, Photoshop, XML (SVG), HEIC and AVIF, JPEG 2000, JPEG XL, icons.
_OTHER_SIGNATURES = re.compile(
    rb"II[*+]\0|MM\0[*+]|%PDF-|PK\x03\x04|8BPS\0\x01|<svg|<\?xml|.{4}ftyp|\0\0\0\x0c(jP  |JXL )\r\n\x87\n"
    rb"|\xff\x4f\xff\x51\0|\0\0[\x01\x02]\0[^\0]\0.{3}\0.\0.\0.{4}.\0\0\0",
    re.DOTALL,
)


def is_other_file(data: bytes) -> bool:
    """Returns whether the bytes begin like a file of a known kind that is not read."""
    return _OTHER_SIGNATURES.match(data) is not None


def is_image_file(data: bytes) -> bool:
    """Returns whether the bytes begin like a file of one of FORMATS."""
    return _SIGNATURES.match(data) is not None
