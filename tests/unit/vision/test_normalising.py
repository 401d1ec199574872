"""Preprocessing: what passes untouched, what is made alike, what is refused."""

import io
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from digits.errors import BadInput
from digits.task import Pixels
from digits.vision.decoding import MAX_PIXELS, decode_image
from digits.vision.golden import golden_digits
from digits.vision.normalising import are_surely_mnist_like, normalise
from testkit.encodings import image_file
from testkit.models import load_model
from tests.pictures import pictures, tagged

IMAGES = list(golden_digits()[0])
SEVEN = IMAGES[7]
COLOURS = np.dstack([SEVEN] * 3)


def code(data: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        decode_image(data)
    return caught.value.code


def with_alpha(levels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> bytes:
    return image_file(np.dstack([levels] * 3 + [alpha]))


def distance(one: Pixels, other: Pixels) -> float:
    """Mean difference of grey levels, where either has ink."""
    ink = (one > 0) | (other > 0)
    return float(np.abs(one.astype(float) - other)[ink].mean())


@pytest.mark.parametrize("label", range(10))
def test_an_mnist_image_passes_byte_for_byte_and_its_negative_is_turned_back(label: int) -> None:
    assert np.array_equal(decode_image(image_file(IMAGES[label])), IMAGES[label])
    assert np.array_equal(decode_image(image_file(255 - IMAGES[label])), IMAGES[label])


def test_golden_digits_are_surely_mnist_like() -> None:
    assert are_surely_mnist_like(np.array(IMAGES)).all()
    assert not are_surely_mnist_like(255 - np.array(IMAGES)).any()


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 9),
    st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
    st.sampled_from([1, 0.9, 0.7, 0]),
    st.lists(st.tuples(st.integers(0, 27), st.integers(0, 27), st.integers(0, 255)), max_size=3),
)
def test_what_is_surely_mnist_like_passes_untouched(
    label: int, shift: tuple[int, int], dim: float, specks: list[tuple[int, int, int]]
) -> None:
    image = (np.roll(IMAGES[label], shift, (0, 1)) * dim).astype(np.uint8)
    for row, column, level in specks:
        image[row, column] = level
    if are_surely_mnist_like(image[None])[0]:
        assert normalise(image) is image


def _palette() -> bytes:
    file = io.BytesIO()
    Image.fromarray(SEVEN).convert("P").save(file, "PNG")
    return file.getvalue()


SAME = {
    "16 bit": image_file(SEVEN.astype(np.uint16) * 257),
    "rgb": image_file(COLOURS),
    "opaque rgba": with_alpha(SEVEN, np.full_like(SEVEN, 255)),
    "palette": _palette(),
    "bmp": image_file(SEVEN, "BMP"),
    "gif": image_file(SEVEN, "GIF"),
    "lossless webp": image_file(COLOURS, "WEBP", lossless=True),
    "white ink on nothing": with_alpha(np.full_like(SEVEN, 255), SEVEN),
    "black ink on nothing": with_alpha(np.zeros_like(SEVEN), SEVEN),
}


@pytest.mark.parametrize("name", SAME)
def test_every_lossless_form_of_an_image_gives_the_same_pixels(name: str) -> None:
    assert np.array_equal(decode_image(SAME[name]), SEVEN)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_applied(orientation: int) -> None:
    assert np.array_equal(decode_image(tagged(Image.fromarray(SEVEN), orientation, "PNG")), SEVEN)


def test_an_unreadable_orientation_tag_says_nothing() -> None:
    file = io.BytesIO()
    Image.fromarray(SEVEN).save(file, "JPEG", quality=95, exif=b"Exif\0\0garbage")
    assert distance(decode_image(file.getvalue()), SEVEN) < 40


def page(levels: NDArray[np.floating], paper: float = 240, ink: float = 30) -> bytes:
    """A digit written on a page: the 28x28 image as cover of ink, ten times as large."""
    cover = np.kron(SEVEN / 255, np.ones((10, 10)))
    return image_file(np.clip((paper + (ink - paper) * cover) * levels, 0, 255).astype(np.uint8))


EVEN = np.ones((280, 280))
ROWS, COLUMNS = np.mgrid[0:1:280j, 0:1:280j]


PAGES = {
    "even": page(EVEN),
    "faint": page(EVEN, paper=150, ink=100),
    "light on dark": page(EVEN, paper=20, ink=230),
    "gradient": page(0.5 + 0.5 * COLUMNS),
    "corner in shadow": page(1 - 0.5 * ROWS * COLUMNS),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_digit_on_a_page_becomes_the_digit(name: str) -> None:
    assert distance(decode_image(PAGES[name]), SEVEN) < 45


def test_where_on_the_page_a_digit_stands_does_not_matter() -> None:
    small = np.asarray(Image.open(io.BytesIO(page(EVEN))))
    moved = np.full((500, 700), 240, np.uint8)
    moved[200:480, 30:310] = small
    assert distance(decode_image(image_file(moved)), decode_image(page(EVEN))) < 25


def test_specks_and_a_dark_rim_are_not_part_of_the_digit() -> None:
    dirty = np.asarray(Image.open(io.BytesIO(page(EVEN)))).copy()
    dirty[20:23, 250:253] = 0
    dirty[:, :4] = 0
    assert distance(decode_image(image_file(dirty)), decode_image(page(EVEN))) < 10


@pytest.fixture(scope="module")
def read() -> list[tuple[Pixels, int, str]]:
    """Each digit in each kind of picture: its pixels, and what it was."""
    return [(decode_image(content), digit, made) for content, digit, made in pictures(80, seed=5)]


def test_pixels_are_centred_by_mass_within_twenty_by_twenty(read: list[tuple[Pixels, int, str]]) -> None:
    for found, _, made in read:
        pixels = found.astype(float)
        rows, columns = np.nonzero(pixels > 127)
        assert max(np.ptp(rows), np.ptp(columns)) <= 20, made
        centre = [(pixels.sum(axis=axis) * np.arange(28)).sum() / pixels.sum() for axis in (0, 1)]
        assert max(abs(centre[0] - 14), abs(centre[1] - 14)) < 1.1, made
        assert pixels.max() == 255, made


def test_the_starter_model_reads_pictures_that_are_not_mnist(read: list[tuple[Pixels, int, str]]) -> None:
    model = load_model()
    wrong = [made for pixels, digit, made in read if model.predict(pixels[np.newaxis]).argmax() != digit]
    assert len(wrong) <= 4, wrong  # 95 %


NOISE = np.random.default_rng(0)


@pytest.mark.parametrize(
    "levels",
    [
        np.zeros((200, 200)),
        np.full((200, 200), 255),
        np.full((28, 28), 77),
        np.tile(np.linspace(40, 220, 200), (150, 1)),
        NOISE.integers(0, 256, (200, 200)),
        NOISE.normal(200, 8, (300, 200)),
        np.zeros((1, 1)),
        np.zeros((1, 900)),
    ],
    ids=["black", "white", "grey", "gradient", "noise", "paper", "one pixel", "one row"],
)  # fmt: skip
def test_an_image_without_ink_is_blank(levels: NDArray[np.floating]) -> None:
    assert code(image_file(levels.astype(np.uint8))) == "image_blank"


def test_what_is_fully_transparent_is_blank() -> None:
    assert code(with_alpha(SEVEN, np.zeros_like(SEVEN))) == "image_blank"


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded() -> None:
    at_limit, over = (4000, 4000), (4001, 4000)
    assert at_limit[0] * at_limit[1] == MAX_PIXELS
    assert code(image_file(np.zeros(over, np.uint8))) == "image_too_large"
    assert code(image_file(np.zeros(at_limit, np.uint8))) == "image_blank"


def test_a_header_that_promises_a_billion_pixels_is_refused() -> None:
    header = image_file(SEVEN)[:16] + (65535).to_bytes(4, "big") * 2 + image_file(SEVEN)[24:]
    crc = zlib.crc32(header[12:29]).to_bytes(4, "big")
    assert code(header[:29] + crc + header[33:]) == "image_too_large"


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8" + b"\xff" * 3_000_000, b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 700_000],
    ids=["padding", "segments"],
)
def test_a_jpeg_of_padding_never_reaches_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow would need seconds for it"))
    assert code(data) == "image_unreadable"


SEEDS = [
    image_file(SEVEN), image_file(COLOURS, "JPEG"), image_file(COLOURS, "WEBP"), image_file(SEVEN, "BMP"),
    image_file(SEVEN, "GIF"), SAME["16 bit"], SAME["white ink on nothing"], SAME["palette"],
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12), st.integers(0, 12)), min_size=1, max_size=5),
)
def test_damaged_files_give_pixels_or_a_known_problem(
    seed: bytes, damages: list[tuple[float, bytes, int]]
) -> None:
    data = seed
    for place, inserted, removed in damages:
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + removed :]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of bombs and broken EXIF
        try:
            pixels = decode_image(data)
        except BadInput:
            return
    assert pixels.shape == (28, 28)
    assert pixels.dtype == np.uint8


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.binary(min_size=1, max_size=64))
def test_any_grey_levels_give_pixels_or_blank(height: int, width: int, levels: bytes) -> None:
    grey = np.resize(np.frombuffer(levels, np.uint8), (height, width))
    outcome: object
    try:
        outcome = normalise(grey).shape
    except BadInput as error:
        outcome = error.code
    assert outcome in ((28, 28), "image_blank")
