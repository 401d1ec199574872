"""What is decoded: limits on a file by its format, and the errors past them, before any decoder reads it."""

from digits.errors import BadInput
from digits.task import SIDE
from digits.vision.headers import JpegHeader, is_hostile_bmp, is_hostile_gif, runs_of_bmp

DRAFT_SIDE = max(300, 2 * SIDE)  # a JPEG is decoded at 1/8, 1/4 or 1/2 if that leaves so many pixels a side

MAX_PIXELS = 50_000_000  # for a JPEG that is decoded in one pass, so that most of the work is skipped
COSTLY_PIXELS = 16_000_000  # for a file that must be decoded completely
COSTLY_BYTES = 37_000_000  # bytes of levels of such a file: 12 megapixels in colour
WEBP_PIXELS = 6_000_000  # WebP costs three times as much as PNG
LEAST_BITS_OF_BLOCK = 2  # bits for 8x8 pixels of a JPEG in one pass: two codes of at least one bit
MAX_SCANNED_PIXELS = 160_000_000  # pixels times scans of a progressive JPEG
MAX_PROGRESSIVE_BYTES = 8_000_000  # for such a file: its coefficients cost twice as much per byte
MAX_RUNS_BYTES = 250_000  # of a run-length encoded BMP: some 0.1 s


def most_png_pixels(max_pixels: int, bytes_of_pixel: int) -> int:
    """Returns the pixels that a PNG may have with so many bytes of a decoded pixel."""
    return min(max_pixels, COSTLY_PIXELS, COSTLY_BYTES // bytes_of_pixel)


def check_jpeg(header: JpegHeader, size: int, max_pixels: int) -> None:
    """Raises BadInput for a JPEG of `size` bytes that is refused before it is decoded."""
    own = MAX_PIXELS
    if header.width * header.height == 0:
        raise unreadable()  # it has no frame, or one of no pixels
    if not header.single_pass or header.scans > 1:
        if size > MAX_PROGRESSIVE_BYTES:
            raise BadInput(
                "image_too_large", "A progressive JPEG may have at most 8 MB; send a baseline JPEG"
            )
        own = min(COSTLY_PIXELS, MAX_SCANNED_PIXELS // max(header.scans, 1))
    if header.width * header.height > min(own, max_pixels):
        raise too_large(own, max_pixels)
    if header.single_pass and size * 8 < LEAST_BITS_OF_BLOCK * header.width * header.height // 64:
        raise unreadable()  # decoders make up what is missing
    most = COSTLY_PIXELS * jpeg_reduction(header) ** 2
    if header.components in (1, 3) and header.width * header.height > most:  # a long strip
        raise too_large(most)


def jpeg_reduction(header: JpegHeader) -> int:
    """Returns by which factor a JPEG is reduced while it is decoded: 1, 2, 4 or 8."""
    draft = min(header.width, header.height) // DRAFT_SIDE
    return next((factor for factor in (8, 4, 2) if draft >= factor), 1)


def check_bmp(data: bytes) -> None:
    """Raises BadInput for a BMP whose run-length encoding would take long to read."""
    if is_hostile_bmp(data):
        raise BadInput(
            "image_unreadable", "The file has more runs than its pixels need; save the image again"
        )
    if runs_of_bmp(data) > MAX_RUNS_BYTES:
        raise BadInput("image_too_large", "A run-length encoded BMP may have at most 0.25 MB; send a PNG")


def check_gif(data: bytes) -> None:
    """Raises BadInput for a GIF whose blocks would take long to read."""
    if is_hostile_gif(data):
        raise BadInput(
            "image_unreadable", "The file has too many blocks before its first frame; save the image again"
        )


def too_large(own: int, max_pixels: int = MAX_PIXELS) -> BadInput:
    """Returns the error of a file with more pixels than its format (`own`) or its request allows."""
    others = ", or fewer images in one request" if max_pixels < own else ""
    return BadInput(
        "image_too_large",
        f"The image has more than {min(own, max_pixels):,} pixels; send a smaller one{others}",
    )


def unreadable() -> BadInput:
    """Returns the error of a file that is damaged, or not complete."""
    return BadInput(
        "image_unreadable", "The image is damaged or incomplete; save it again and send the new file"
    )
