"""What a file's structure says, before a decoder reads the file."""

import io
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from digits.errors import BadInput
from digits.vision.decoding import decode_picture
from digits.vision.golden import golden_digits
from digits.vision.headers import (
    MAX_EXIF_TAGS,
    MAX_GIF_BLOCKS,
    is_hostile_bmp,
    is_hostile_exif,
    is_hostile_gif,
    read_jpeg_header,
    read_png_header,
)
from testkit.encodings import image_file
from tests.bad_inputs import bmp_of_runs, chunk, exif, gif_with, png, replaced
from tests.cpu import within_cpu_s

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
    header = within_cpu_s(0.1, lambda: read_jpeg_header(data))
    assert header is None or header.width == 0


def test_a_png_header_tells_what_the_chunks_say() -> None:
    data = image_file(COLOURS)
    header = read_png_header(data)
    assert header is not None
    assert (header.width, header.height, header.bits, header.colour) == (28, 28, 8, 2)
    assert header.bytes_of_pixel == 3
    assert header.neutral
    assert header.compressed == len(data) - 8 - 25 - 12 - 12


CHANGING = {
    b"tRNS": b"x",
    b"eXIf": b"x",
    b"tEXt": b"Raw profile type exif\0x",
    b"zTXt": b"Raw profile type exif\0x",
    b"iTXt": b"XML:com.adobe.xmp\0x",
}


@pytest.mark.parametrize("kind", CHANGING)
def test_a_png_whose_chunks_change_the_picture_is_not_neutral(kind: bytes) -> None:
    data = png(before=chunk(kind, CHANGING[kind]))
    header = read_png_header(data)
    assert header is not None
    assert not header.neutral
    assert header.content == data


def test_no_decoder_gets_the_other_chunks_of_a_png() -> None:
    """A profile or text inflates up to a thousandfold, and OpenCV writes a line for each invalid one."""
    other = b"".join(chunk(kind, b"x") for kind in (b"iCCP", b"gAMA", b"acTL", b"zTXt", b"tEXt", b"abCd"))
    exif = chunk(b"eXIf", b"x")
    header = read_png_header(png(before=other + exif + exif + other, after=other) + b"rest")
    assert header is not None
    assert header.content == png(before=exif) + b"rest"


INFLATED = zlib.compress(bytes(2**20 - 1))


@pytest.mark.parametrize("kind", [b"iCCP", b"zTXt"])
@pytest.mark.parametrize("transparent", [b"", chunk(b"tRNS", b"\0\0")], ids=["opaque", "transparent"])
def test_profiles_and_texts_of_a_png_are_not_inflated(kind: bytes, transparent: bytes) -> None:
    """Pillow took 2.3 ms for each kilobyte of profiles: 9 s for the most chunks that are allowed."""
    data = png(before=transparent + chunk(kind, b"a\0\0" + INFLATED) * 60)
    within_cpu_s(0.03, lambda: decode_picture(data))


BLOCKS = {
    "Photoshop": (0xED, b"Photoshop 3.0\0" + b"8BIM\0\1\0\0\0\0\0\0" * 5400),
    "tables": (0xDB, (b"\0" + bytes(64)) * 900),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_metadata_of_a_jpeg_of_print_costs_little(name: str) -> None:
    """Pillow parses it in Python: 5 to 10 ms for each segment, of which there can be hundreds."""
    marker, content = BLOCKS[name]
    file = io.BytesIO()
    Image.new("CMYK", (60, 40)).save(file, "JPEG")
    block = bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content
    data = file.getvalue()[:2] + block * 12 + file.getvalue()[2:]

    def decode() -> None:
        with suppress(BadInput):  # so many tables are refused
            decode_picture(data)

    within_cpu_s(0.03, decode)


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


def test_runs_of_a_bmp_are_bounded_by_its_pixels() -> None:
    """Pillow reads them one by one, in Python."""
    assert not is_hostile_bmp(image_file(SEVEN, "BMP"))
    assert not is_hostile_bmp(bmp_of_runs(28, 28, b"\1\xff" * 28 * 29))
    assert is_hostile_bmp(bmp_of_runs(28, 28, b"\1\xff" * 2**16))
    assert not is_hostile_bmp(bmp_of_runs(1000, 1000, b"\1\xff" * 2**16))
    for length in range(60):
        assert not is_hostile_bmp(bmp_of_runs(28, 28, b"")[:length])


@pytest.mark.parametrize("side", [28, 2800])
def test_a_bmp_of_many_runs_costs_little(side: int) -> None:
    data = bmp_of_runs(side, side, b"\1\xff" * 500_000)

    def decode() -> None:
        with pytest.raises(BadInput):
            decode_picture(data)

    within_cpu_s(0.1, decode)


def test_checksums_of_a_large_png_cost_little() -> None:
    data = png(before=chunk(b"tEXt", zlib.compress(bytes(4_000_000)) + bytes(8_000_000)))
    assert within_cpu_s(0.1, lambda: read_png_header(data)) is not None


def with_blocks(blocks: bytes) -> bytes:
    """Returns a JPEG with these blocks at its start."""
    file = jpeg()
    return file[:2] + blocks + file[2:]


def test_many_exif_blocks_are_joined_once() -> None:
    """It is done on the event loop: copying all earlier blocks for each one takes 0.2 s."""
    length = 65535
    tiff = b"MM\0\x2a\0\0\0\x08"
    block = b"\xff\xe1" + length.to_bytes(2, "big") + b"Exif\0\0" + tiff + bytes(length - 8 - len(tiff))
    data = with_blocks(block * 240)
    assert within_cpu_s(0.1, lambda: read_jpeg_header(data)) is not None
