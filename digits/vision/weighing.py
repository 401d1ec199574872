"""The kind and number of pixels of an image file, from its first bytes, to estimate what reading it costs."""

from digits.errors import BadInput
from digits.vision.formats import is_image_file
from digits.vision.headers import bmp_size, first_frame, png_pixel_bytes, read_jpeg_header, runs_of_bmp
from digits.vision.limits import COSTLY_PIXELS, WEBP_PIXELS, check_jpeg, most_png_pixels

NONE = ("none", 0)  # what is refused before it is decoded
MOST_INFLATED = 1032  # bytes of pixels for each compressed byte of a PNG
# Samples of a pixel by PNG's colour type, and the forms that there are: other bytes must not make up kinds.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_FORMS = {
    bytes((bits, colour)): bits * _SAMPLES[colour] for bits in (1, 2, 4, 8, 16) for colour in _SAMPLES
}


def weigh(data: bytes, max_pixels: int) -> tuple[str, int]:
    """Returns an image file's kind and number of pixels, at most as many as its bytes can hold.

    What is refused before it is decoded, whatever size it claims, is NONE.
    """
    if not is_image_file(data):
        return NONE
    if data.startswith(b"\x89PNG"):
        return _png(data, max_pixels)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data, max_pixels)
    if data.startswith(b"RIFF"):
        return _allowed("webp", _webp_size(data), min(max_pixels, WEBP_PIXELS))
    if data.startswith(b"GIF"):
        return _allowed("gif", _gif_size(data), min(max_pixels, COSTLY_PIXELS))
    kind, pixels = _allowed("bmp", bmp_size(data), min(max_pixels, COSTLY_PIXELS))
    return kind, pixels if runs_of_bmp(data) else min(pixels, 8 * len(data))


def _allowed(kind: str, size: tuple[int, int], most: int) -> tuple[str, int]:
    pixels = size[0] * size[1]
    return (kind, pixels) if 0 < pixels <= most else NONE


def _png(data: bytes, max_pixels: int) -> tuple[str, int]:
    size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    bits = _PNG_FORMS.get(data[24:26])
    if bits is None:
        return NONE
    most = most_png_pixels(max_pixels, png_pixel_bytes(data[24], data[25]))
    kind, pixels = _allowed(f"png{data[24:26].hex()}", size, most)
    return kind, min(pixels, MOST_INFLATED * 8 * len(data) // bits)


def _jpeg(data: bytes, max_pixels: int) -> tuple[str, int]:
    header = read_jpeg_header(data)
    try:
        if header is None:
            return NONE
        check_jpeg(header, len(data), max_pixels)
    except BadInput:
        return NONE
    kind = "jpeg" if header.single_pass else f"jpeg{min(header.scans, 99)}"
    return kind, header.width * header.height


def _gif_size(data: bytes) -> tuple[int, int]:
    """Returns width and height as Pillow has them: the first frame, if any, may be larger than the screen."""
    place = first_frame(data)
    if place is None or place + 9 >= len(data):
        return 0, 0
    width, height = _shorts(data, 6)
    left, top = _shorts(data, place + 1)
    wide, high = _shorts(data, place + 5)
    return max(width, left + wide), max(height, top + high)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Returns width and height from the first chunk, which has one of three forms; else, or if cut, 0."""
    if len(data) < 8 + int.from_bytes(data[4:8], "little"):
        return 0, 0
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = _shorts(data, 26) if kind == b"VP8 " else (0, 0)
    return width & 0x3FFF, height & 0x3FFF


def _shorts(data: bytes, place: int) -> tuple[int, int]:
    """Returns the two numbers of 2 bytes at a place."""
    first, second = (int.from_bytes(data[at : at + 2], "little") for at in (place, place + 2))
    return first, second
