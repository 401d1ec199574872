"""Image files become upright pictures or a known problem, within a bounded time."""

import struct
import warnings
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digits.errors import BadInput
from digits.task import Pixels
from digits.vision.decoding import MAX_ENDLESS_BYTES, decode_picture
from digits.vision.golden import golden_digits
from digits.vision.limits import COSTLY_PIXELS, DRAFT_SIDE, MAX_PIXELS, WEBP_PIXELS
from testkit.encodings import image_file
from tests.bad_inputs import chunk, png, replaced, saved, scanlines
from tests.cpu import within_cpu_s
from tests.pictures import tagged

SEVEN = golden_digits()[0][7]
COLOURS = np.dstack([SEVEN] * 3)
PAGE = np.kron(255 - SEVEN, np.ones((10, 10), np.uint8))


def code(data: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        decode_picture(data)
    return caught.value.code


def with_alpha(levels: Pixels, alpha: Pixels) -> bytes:
    return image_file(np.dstack([levels] * 3 + [alpha]))


def grey(data: bytes) -> Pixels:
    """The levels of a file, of one channel if all are the same."""
    levels = decode_picture(data).levels
    return levels if levels.ndim == 2 else levels[:, :, 0]


def bmp_of_clipboard(alpha: int) -> bytes:
    """A BMP as Windows' clipboard writes it: 32 bits with a mask for alpha."""
    height, width = SEVEN.shape
    rows = np.dstack([COLOURS, np.full_like(SEVEN, alpha)])[::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return struct.pack("<2sIHHI", b"BM", 122 + len(rows), 0, 0, 122) + header + masks + rows


SAME = {
    "png": image_file(SEVEN),
    "rgb": image_file(COLOURS),
    "opaque rgba": with_alpha(SEVEN, np.full_like(SEVEN, 255)),
    "rgba that is transparent everywhere": with_alpha(SEVEN, np.zeros_like(SEVEN)),
    "palette": saved(Image.fromarray(SEVEN).convert("P"), "PNG"),
    "bmp": image_file(SEVEN, "BMP"),
    "bmp with an empty alpha mask": bmp_of_clipboard(0),
    "bmp with a full alpha mask": bmp_of_clipboard(255),
    "gif": image_file(SEVEN, "GIF"),
    "lossless webp": image_file(COLOURS, "WEBP", lossless=True),
    "16 bits": image_file(SEVEN.astype(np.uint16) * 257),
    "16 bits that hold 0 to 255": image_file(SEVEN.astype(np.uint16)),
    "interlaced": saved(Image.fromarray(SEVEN), "PNG", interlace=1),
    "with a colour profile": png(before=chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x"))),
    "with an unknown chunk": png(before=chunk(b"abCd", b"x")),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_every_lossless_form_of_an_image_has_the_same_levels(name: str) -> None:
    picture = decode_picture(SAME[name])
    assert picture.alpha is None
    assert np.array_equal(grey(SAME[name]), SEVEN)


@pytest.mark.parametrize("low", [0, 1, 90, 254])
def test_two_neighbouring_levels_become_black_and_white(low: int) -> None:
    mask = (SEVEN > 127).astype(np.uint8)
    assert np.array_equal(grey(image_file(mask + np.uint8(low))), mask * 255)


def test_a_palette_of_two_entries_keeps_its_colours() -> None:
    image = Image.fromarray((SEVEN > 127).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 200, 0, 0])
    levels = decode_picture(saved(image, "PNG")).levels
    assert levels.shape == (28, 28, 3)
    assert {tuple(sorted(each)) for each in levels.reshape(-1, 3).tolist()} == {(255, 255, 255), (0, 0, 200)}


def test_transparency_is_kept_beside_the_levels() -> None:
    picture = decode_picture(with_alpha(np.zeros_like(SEVEN), SEVEN))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, SEVEN)
    assert not picture.levels.any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_of_a_png_is_applied(orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = Image.fromarray(SEVEN)
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(grey(saved(stored, "PNG", exif=exif)), SEVEN)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_the_orientation_tag_of_a_jpeg_is_applied(mode: str, orientation: int) -> None:
    data = tagged(Image.fromarray(PAGE).convert(mode), orientation, "JPEG")
    assert np.abs(grey(data).astype(int) - PAGE).mean() < 5


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("text", ['tiff:Orientation="6"', "<tiff:Orientation>6</tiff:Orientation>"])
def test_the_orientation_in_xmp_of_a_jpeg_is_applied(mode: str, text: str) -> None:
    stored = Image.fromarray(PAGE).transpose(Image.Transpose.ROTATE_90).convert(mode)
    data = saved(stored, "JPEG", xmp=f"<x:xmpmeta {text} />".encode())
    assert np.abs(grey(data).astype(int) - PAGE).mean() < 5


def test_an_unreadable_orientation_tag_says_nothing() -> None:
    data = saved(Image.fromarray(PAGE), "JPEG", exif=b"Exif\0\0garbage")
    assert np.abs(grey(data).astype(int) - PAGE).mean() < 5


def test_a_jpeg_in_inks_of_print_is_read() -> None:
    data = saved(Image.fromarray(PAGE).convert("CMYK"), "JPEG")
    assert np.abs(grey(data).astype(int) - PAGE).mean() < 5


def test_a_photo_of_24_megapixels_is_decoded_at_an_eighth() -> None:
    file = saved(Image.fromarray(PAGE).resize((5712, 4284)), "JPEG", quality=60)
    picture = within_cpu_s(0.3, lambda: decode_picture(file))
    assert picture.levels.shape == (536, 714)


def test_a_png_of_more_pixels_than_allowed_is_refused() -> None:
    side = int(COSTLY_PIXELS**0.5)
    assert side**2 == COSTLY_PIXELS
    assert code(image_file(np.zeros((side + 1, side), np.uint8))) == "image_too_large"
    assert decode_picture(image_file(np.zeros((side, side), np.uint8))).levels.shape == (side, side)


def jpeg_that_promises(width: int, height: int, marker: bytes = b"\xff\xc0") -> bytes:
    data = image_file(SEVEN, "JPEG")
    frame = data.index(b"\xff\xc0")
    return replaced(replaced(data, frame + 5, struct.pack(">HH", height, width)), frame, marker)


def test_a_jpeg_may_have_more_pixels_if_one_pass_decodes_it() -> None:
    side = int(MAX_PIXELS**0.5)
    assert code(jpeg_that_promises(side + 1, side + 1)) == "image_too_large"
    assert code(jpeg_that_promises(5000, 5000, b"\xff\xc2")) == "image_too_large"  # progressive


def test_a_strip_that_cannot_be_decoded_smaller_has_fewer_pixels() -> None:
    """Of its 39 million pixels none can be skipped, since its shorter side is already small."""
    assert code(jpeg_of(65_500, 2 * DRAFT_SIDE - 1)) == "image_too_large"
    assert decode_picture(jpeg_of(65_500, 240)).levels.size


def jpeg_of(width: int, height: int) -> bytes:
    return image_file(np.full((height, width), 200, np.uint8), "JPEG")


def test_a_webp_may_have_fewer_pixels_than_a_png() -> None:
    levels = np.zeros((WEBP_PIXELS // 2000 + 1, 2000, 3), np.uint8)
    assert code(image_file(levels, "WEBP", method=0)) == "image_too_large"
    assert decode_picture(image_file(levels[:-1], "WEBP", method=0)).levels.size


def test_a_setting_lowers_the_limit_of_pixels() -> None:
    with pytest.raises(BadInput) as caught:
        decode_picture(image_file(SEVEN), max_pixels=783)
    assert caught.value.code == "image_too_large"
    assert decode_picture(image_file(SEVEN), max_pixels=784).levels.shape == (28, 28)


LARGE_PNG, LARGE_JPEG = png(9500, 9500), jpeg_that_promises(7100, 7100)
PROGRESSIVE, STRIP = jpeg_that_promises(5000, 5000, b"\xff\xc2"), jpeg_of(65_500, 2 * DRAFT_SIDE - 1)
WEBP = image_file(np.zeros((WEBP_PIXELS // 2000 + 1, 2000, 3), np.uint8), "WEBP")


@pytest.mark.parametrize(
    ("data", "max_pixels", "limit", "hint"),
    [
        (LARGE_PNG, MAX_PIXELS, 16_000_000, ""),
        (LARGE_PNG, 16_000_000, 16_000_000, ""),
        (LARGE_PNG, 10_000_000, 10_000_000, ", or fewer images in one request"),
        (LARGE_JPEG, MAX_PIXELS, MAX_PIXELS, ""),
        (LARGE_JPEG, 40_000_000, 40_000_000, ", or fewer images in one request"),
        (PROGRESSIVE, 40_000_000, 16_000_000, ""),
        (STRIP, 40_000_000, 16_000_000, ""),
        (WEBP, MAX_PIXELS, WEBP_PIXELS, ""),
        (WEBP, 5_000_000, 5_000_000, ", or fewer images in one request"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_a_limit_says_whether_the_request_or_the_format_sets_it(
    data: bytes, max_pixels: int, limit: int, hint: str
) -> None:
    """Each image of a request of many may have fewer pixels; the limit of its format is the same for one."""
    with pytest.raises(BadInput) as caught:
        decode_picture(data, max_pixels)
    assert str(caught.value) == f"The image has more than {limit:,} pixels; send a smaller one{hint}"


def test_a_header_that_promises_a_billion_pixels_is_refused() -> None:
    assert code(png(65535, 65535)) == "image_too_large"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8" + b"\xff" * 3_000_000, b"\xff\xd8" + b"\xff" * 9_000_000,
     b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 700_000],
    ids=["padding", "much padding", "segments"],
)  # fmt: skip
def test_a_jpeg_of_padding_never_reaches_a_decoder(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow would need seconds for it"))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it is no picture"))
    assert code(data) == "image_unreadable"


@pytest.mark.parametrize("zeros", [MAX_ENDLESS_BYTES * 900, 200_000_000])
def test_a_png_that_inflates_without_end_costs_little(zeros: int) -> None:
    """OpenCV would inflate all of it, 0.4 s for each 200 kB of the file."""
    squeezed = zlib.compressobj(9)
    pixels = squeezed.compress(zlib.decompress(scanlines(SEVEN)))
    pixels += b"".join(squeezed.compress(bytes(10_000_000)) for _ in range(zeros // 10_000_000))
    data = png(pixels=pixels + squeezed.flush())
    assert np.array_equal(within_cpu_s(0.3, lambda: grey(data)), SEVEN)


BITS_AND_CHANNELS = {(8, 0): 1, (16, 0): 1, (1, 0): 1, (8, 2): 3, (8, 3): 1, (8, 4): 2, (8, 6): 4}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(BITS_AND_CHANNELS)), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_a_png_with_fewer_rows_than_promised_is_refused(
    kind: tuple[int, int], width: int, height: int, share: float
) -> None:
    """What memory holds where no pixels were written must never be answered."""
    bits, colour = kind
    row = b"\0" + bytes((width * bits * BITS_AND_CHANNELS[kind] + 7) // 8)
    palette = chunk(b"PLTE", bytes(3 * 256)) if colour == 3 else b""
    whole = row * height
    made: Callable[[bytes], bytes] = lambda levels: png(  # noqa: E731
        width, height, bits, colour, pixels=zlib.compress(levels), before=palette
    )
    assert decode_picture(made(whole)).levels.shape[:2] == (height, width)
    assert code(made(whole[: int(share * (len(whole) - 1))])) == "image_unreadable"


SEEDS = [
    image_file(SEVEN), image_file(COLOURS, "JPEG"), image_file(COLOURS, "WEBP"), image_file(SEVEN, "BMP"),
    image_file(SEVEN, "GIF"), SAME["16 bits"], SAME["palette"], with_alpha(SEVEN, SEVEN),
    saved(Image.fromarray(PAGE), "JPEG", progressive=True), tagged(Image.fromarray(PAGE), 6, "JPEG"),
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 12)), min_size=1, max_size=5),
)
def test_damaged_files_give_a_picture_or_a_known_problem(
    seed: bytes, damages: list[tuple[float, bytes, int]]
) -> None:
    data = seed
    for place, inserted, removed in damages:
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + removed :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of bombs and broken EXIF
        try:
            picture = decode_picture(data)
        except BadInput:
            return
    assert picture.levels.dtype == np.uint8
    assert picture.alpha is None or picture.alpha.shape == picture.levels.shape[:2]


def test_opencv_runs_on_the_thread_that_calls_it() -> None:
    assert cv2.getNumThreads() == 1


def test_a_jpeg_too_short_for_its_size_is_refused() -> None:
    """Decoders make up what is missing, and would take the time that its size takes."""
    assert code(jpeg_that_promises(2000, 2000)) == "image_unreadable"
    plain = saved(Image.new("L", (4000, 3000), 200), "JPEG", quality=1, optimize=True)
    assert decode_picture(plain).levels.shape == (375, 500)
