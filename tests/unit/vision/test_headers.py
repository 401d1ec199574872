"""What a file's structure says, before a decoder reads the file."""

import io
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from digits.vision.golden import golden_digits
from digits.vision.headers import (
    MAX_EXIF_TAGS,
    MAX_GIF_BLOCKS,
    is_hostile_exif,
    is_hostile_gif,
    read_jpeg_header,
    read_png_header,
)
from testkit.encodings import image_file
from tests.bad_inputs import chunk, exif, gif_with, png, replaced

SEVEN = golden_digits()[0][7]
COLOURS = np.dstack([SEVEN] * 3)


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(COLOURS).resize((60, 40)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [*range(1, 9)])
def test_a_jpeg_header_tells_size_and_orientation(orientation: int) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    header = read_jpeg_header(jpeg(exif=tags))
    assert header is not None
    assert (header.width, header.height, header.components) == (60, 40, 3)
    assert header.orientation == orientation
    assert header.single_pass
    assert header.scans == 1


def test_a_progressive_jpeg_has_several_scans() -> None:
    header = read_jpeg_header(jpeg(progressive=True))
    assert header is not None
    assert not header.single_pass
    assert header.scans > 3


def test_an_orientation_tag_that_is_invalid_is_ignored() -> None:
    for tag in (b"garbage", exif(3)):
        header = read_jpeg_header(jpeg(exif=b"Exif\0\0" + tag))
        assert header is not None
        assert header.orientation == 1


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8" + b"\xff" * 3_000_000, b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 700_000],
    ids=["padding", "segments"],
)
def test_a_jpeg_of_padding_has_no_frame(data: bytes) -> None:
    began = time.thread_time()
    header = read_jpeg_header(data)
    assert header is None or header.width == 0
    assert time.thread_time() - began < 0.1


def test_a_png_header_tells_what_the_chunks_say() -> None:
    data = image_file(COLOURS)
    header = read_png_header(data)
    assert header is not None
    assert (header.width, header.height, header.bits, header.colour) == (28, 28, 8, 2)
    assert header.bytes_of_pixel == 3
    assert header.neutral
    assert header.compressed == len(data) - 8 - 25 - 12 - 12


@pytest.mark.parametrize("kind", [b"tRNS", b"eXIf", b"acTL", b"zTXt", b"abCd"])
def test_a_png_whose_chunks_change_the_picture_is_not_neutral(kind: bytes) -> None:
    header = read_png_header(png(before=chunk(kind, b"x")))
    assert header is not None
    assert not header.neutral


def test_a_png_that_is_damaged_or_cut_has_no_header() -> None:
    data = image_file(SEVEN)
    assert read_png_header(replaced(data, 90, bytes([data[90] ^ 4]))) is None
    for length in range(len(data)):
        assert read_png_header(data[:length]) is None


def test_more_tags_than_cameras_write_are_hostile() -> None:
    for order in "<>":
        assert not is_hostile_exif(b"Exif\0\0" + exif(MAX_EXIF_TAGS, order))
        assert is_hostile_exif(b"Exif\0\0" + exif(MAX_EXIF_TAGS + 1, order))


def test_more_gif_blocks_than_programs_write_are_hostile() -> None:
    assert not is_hostile_gif(image_file(SEVEN, "GIF"))
    assert not is_hostile_gif(gif_with(b"\x21\xfe\x01A\0" * (MAX_GIF_BLOCKS // 3 - 2)))
    assert is_hostile_gif(gif_with(b"\x21\xfe\x01A\0" * MAX_GIF_BLOCKS))
    assert is_hostile_gif(gif_with(b"\x21\xfe" + b"\x01A" * MAX_GIF_BLOCKS + b"\0"))
    assert is_hostile_gif(gif_with(bytes(MAX_GIF_BLOCKS + 1)))
    for length in range(30):
        assert not is_hostile_gif(gif_with(b"\x21\xfe\x01A\0")[:length].ljust(6, b"\0"))


def test_checksums_of_a_large_png_cost_little() -> None:
    data = png(before=chunk(b"tEXt", zlib.compress(bytes(4_000_000)) + bytes(8_000_000)))
    began = time.thread_time()
    assert read_png_header(data) is not None
    assert time.thread_time() - began < 0.1
