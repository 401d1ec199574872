"""Pictures as people send them: a candidate is the digit, and what is like MNIST's passes as it is."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits.task import SIDE, Pixels
from digits.vision.candidates import Candidates
from digits.vision.choosing import judge_scores
from digits.vision.cropping import crop_to_pixels
from digits.vision.golden import golden_digits
from digits.vision.limits import MAX_PIXELS
from digits.vision.reading import MOST, read_file, read_levels
from testkit.encodings import image_file
from testkit.models import load_model
from tests.cpu import within_cpu_s
from tests.pictures import pictures, written
from tests.unit.vision.test_decoding import SAME, with_alpha

IMAGES = list(golden_digits()[0])
SEVEN = IMAGES[7]
COVER = written(3, 160, 14, 40)
THREE = crop_to_pixels(COVER.astype(np.float32))
Colour = tuple[int, int, int]


def read(data: bytes) -> Candidates:
    return read_file(data, MAX_PIXELS)


def distance(one: Pixels, other: Pixels) -> float:
    """Mean difference of grey levels, where either has ink; a shift of a pixel is a matter of rounding."""
    return min(
        _distance(np.roll(one, (down, right), (0, 1)), other) for down in (-1, 0, 1) for right in (-1, 0, 1)
    )


def _distance(one: Pixels, other: Pixels) -> float:
    ink = (one > 0) | (other > 0)
    return float(np.abs(one.astype(float) - other)[ink].mean())


def closest(found: Candidates, wanted: Pixels) -> float:
    """How far the candidate that is most like the wanted pixels is from them; other digits are 80 apart."""
    return min((distance(item.pixels, wanted) for item in found.items), default=255.0)


@pytest.mark.parametrize("label", range(10))
def test_an_mnist_image_and_its_negative_pass_byte_for_byte(label: int) -> None:
    for image in (IMAGES[label], 255 - IMAGES[label]):
        found = read(image_file(image))
        assert found.items[0].is_exact
        assert np.array_equal(found.pixels, IMAGES[label][None])
        assert np.array_equal(read_levels(image).pixels, found.pixels)


LOSSLESS = {
    **SAME,
    "white ink on nothing": with_alpha(np.full_like(SEVEN, 255), SEVEN),
    "black ink on nothing": with_alpha(np.zeros_like(SEVEN), SEVEN),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_lossless_form_of_an_image_passes_byte_for_byte(name: str) -> None:
    found = read(LOSSLESS[name])
    assert found.items[0].is_exact
    assert np.array_equal(found.pixels, SEVEN[None])


def as_levels(light: NDArray[np.floating]) -> Pixels:
    levels: Pixels = np.clip(light, 0, 255).astype(np.uint8)
    return levels


def page(levels: NDArray[np.floating], paper: float = 240, ink: float = 30) -> bytes:
    """A digit written on a page: the 28x28 image as cover of ink, ten times as large."""
    cover = np.kron(SEVEN / 255, np.ones((10, 10)))
    return image_file(as_levels((paper + (ink - paper) * cover) * levels))


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
    assert closest(read(PAGES[name]), SEVEN) < 45


def test_where_on_the_page_a_digit_stands_does_not_matter() -> None:
    small = np.asarray(Image.open(io.BytesIO(page(EVEN))))
    moved = np.full((500, 700), 240, np.uint8)
    moved[200:480, 30:310] = small
    assert closest(read(image_file(moved)), read(page(EVEN)).items[0].pixels) < 25


def test_specks_and_a_dark_rim_are_not_part_of_the_digit() -> None:
    dirty = np.asarray(Image.open(io.BytesIO(page(EVEN)))).copy()
    dirty[20:23, 250:253] = 0
    dirty[:, :4] = 0
    assert closest(read(image_file(dirty)), read(page(EVEN)).items[0].pixels) < 10


def grey(paper: float = 255, ink: float = 0, cover: NDArray[np.float64] = COVER) -> Pixels:
    return as_levels(paper + (ink - paper) * cover)


def coloured(paper: Colour, ink: Colour) -> Pixels:
    levels = np.array(paper) + (np.array(ink) - np.array(paper)) * COVER[..., None]
    return as_levels(levels)


def on_page(height: int, width: int, tall: float) -> Pixels:
    """A digit that is small on its page."""
    levels = np.full((height, width), 255, np.uint8)
    digit = grey(cover=written(3, tall, 6, 2))
    levels[height // 3 : height // 3 + digit.shape[0], width // 2 : width // 2 + digit.shape[1]] = digit
    return levels


def framed(level: int, wide: int = 1, sides: str = "all") -> Pixels:
    levels = grey().copy()
    levels[:, :wide] = levels[:, -wide:] = level
    if sides == "all":
        levels[:wide] = levels[-wide:] = level
    return levels


def ruled() -> Pixels:
    lines = np.full(COVER.shape, 235.0)
    lines[17::40] = lines[18::40] = 98
    return as_levels(np.minimum(lines, lines + (40 - lines) * COVER))


def ruled_darkly() -> Pixels:
    """Grey lines that the darker ink crosses, so close that hardly anything is left between them."""
    lines = np.full(COVER.shape, 240.0)
    for row in range(3):
        lines[10 + row :: 24] = 130
    return as_levels(np.minimum(lines, lines + (20 - lines) * COVER))


def highlighted() -> Pixels:
    """In the blue channel, a yellow band is as far from white as black ink is."""
    band = np.broadcast_to(np.array([255.0, 255.0, 255.0]), (*COVER.shape, 3)).copy()
    band[70:150] = (255, 240, 0)
    return as_levels(band * (1 - COVER[..., None]))


def touching_its_box() -> Pixels:
    """A printed box in the colour of the ink; the digit reaches its upper and its left side."""
    rows, columns = np.nonzero(COVER > 0.5)
    levels = np.pad(grey(), 150, constant_values=255)
    top, left = rows.min() + 150, columns.min() + 150
    side = rows.max() - rows.min() + 60
    for place in (top, top + side):
        levels[place : place + 3, left : left + side] = 0
    for place in (left, left + side):
        levels[top : top + side + 3, place : place + 3] = 0
    return levels


def dotted() -> Pixels:
    """Each stroke is a row of dots."""
    dots, taken = np.full(COVER.shape, 255, np.uint8), np.zeros(COVER.shape, np.uint8)
    rows, columns = np.nonzero(written(3, 172, 2, 40)[: COVER.shape[0], : COVER.shape[1]] > 0.5)
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        if not taken[y, x]:
            cv2.circle(dots, (x, y), 5, (0,), -1)
            cv2.circle(taken, (x, y), 13, (1,), -1)
    return dots


def outlined() -> Pixels:
    """Only the edges of thick strokes are drawn."""
    thick = grey(0, 255)
    return np.asarray(255 - cv2.subtract(cv2.dilate(thick, np.ones((5, 5), np.uint8)), thick), np.uint8)


def fading() -> Pixels:
    """The ink gets weaker from top to bottom."""
    strength = np.geomspace(1, 0.17, len(COVER))[:, None]
    return as_levels(240 - 220 * COVER * strength)


def on_a_landscape() -> Pixels:
    """Red strokes across a bright sky that becomes dark land, out of focus."""
    rows = np.linspace(0, 1, len(COVER))[:, None, None]
    grain = np.random.default_rng(1).normal(0, 120, (*COVER.shape, 1))
    scene = grain + np.array((180.0, 205.0, 235.0)) * (1 - rows) + np.array((50.0, 80.0, 40.0)) * rows
    scene = cv2.GaussianBlur(scene, (0, 0), 3)
    return as_levels(scene + (np.array((225.0, 30.0, 70.0)) - scene) * COVER[..., None])


def round_sticker() -> Pixels:
    """Its corners are transparent; their colours are the paper's or black."""
    mask = Image.new("L", COVER.shape[::-1])
    ImageDraw.Draw(mask).ellipse((0, 0, COVER.shape[1] - 1, COVER.shape[0] - 1), fill=255)
    return np.dstack([*[grey()] * 3, np.asarray(mask)])


def half_transparent() -> Pixels:
    """Opaque ink in two parts, on paper that lets half of what is behind it through."""
    ink = grey(0, 255)
    ink[ink.shape[0] // 2 - 2 : ink.shape[0] // 2 + 1] = 0
    return np.dstack([*[255 - ink] * 3, np.maximum(ink, 120)])


def askew() -> Pixels:
    """A scan that was turned, with black where no paper was."""
    return np.asarray(Image.fromarray(grey()).rotate(7, expand=True, fillcolor=0))


def note_askew() -> Pixels:
    """A white note on a dark desk, turned so far that it covers hardly more of its box than strokes do."""
    padded = np.pad(grey(), 12, constant_values=255)
    turned = Image.fromarray(padded).rotate(25, Image.Resampling.BILINEAR, expand=True, fillcolor=60)
    return np.pad(np.asarray(turned), 60, constant_values=60)


def edge_of_a_shadow() -> Pixels:
    """A corner of the sheet lies in a shadow with a sharp edge, which crosses the digit."""
    levels = np.pad(grey(), 30, constant_values=255).astype(float)
    rows, columns = np.indices(levels.shape)
    levels[rows + columns < 0.9 * len(levels)] *= 0.5
    return as_levels(levels)


def turned(degrees: float) -> Pixels:
    return crop_to_pixels(np.asarray(Image.fromarray(np.pad(grey(0, 255), 60)).rotate(degrees)))


WANTED = {"turned scan with black corners": turned(7), "note askew on a desk": turned(25)}


def note_on_desk() -> Pixels:
    desk = np.full((400, 500), 90, np.uint8)
    desk[80 : 80 + COVER.shape[0], 150 : 150 + COVER.shape[1]] = grey(240, 40)
    return desk


def binary() -> Pixels:
    small = Image.fromarray(grey(0, 255)).reduce(4)
    return (np.asarray(small) > 90).astype(np.uint8)


KINDS: dict[str, Callable[[], Pixels]] = {
    "plain": grey,
    "light on dark": lambda: grey(20, 240),
    "90 px on 800x600": lambda: on_page(600, 800, 90),
    "3 cm on A4": lambda: on_page(1754, 1240, 177),
    "border of one black pixel": lambda: framed(0),
    "border of one grey pixel": lambda: framed(200),
    "border of five dark pixels": lambda: framed(60, 5),
    "black bars at the sides": lambda: framed(0, 8, "left and right"),
    "white on a black square on white": lambda: np.pad(grey(0, 255), 30, constant_values=255),
    "note on a desk": note_on_desk,
    "note askew on a desk": note_askew,
    "edge of a shadow": edge_of_a_shadow,
    "round with transparent corners": round_sticker,
    "half transparent paper": half_transparent,
    "turned scan with black corners": askew,
    "orange on blue": lambda: coloured((120, 180, 230), (240, 140, 20)),
    "red on green": lambda: coloured((0, 130, 0), (255, 0, 0)),
    "ruled paper": ruled,
    "dark ruled lines and darker ink": ruled_darkly,
    "under a highlighter": highlighted,
    "touching its box": touching_its_box,
    "rows of dots": dotted,
    "outlines": outlined,
    "a pen that runs dry": fading,
    "red on a landscape": on_a_landscape,
    "levels 0 and 1": binary,
    "16 bits that hold 0 to 255": lambda: grey().astype(np.uint16),
    "transparent paper": lambda: np.dstack([np.zeros((*COVER.shape, 3), np.uint8), grey(0, 255)]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_digit_in_an_ordinary_picture_is_a_candidate(kind: str) -> None:
    found = read(image_file(KINDS[kind]()))
    assert 0 < len(found.items) <= MOST
    assert closest(found, WANTED.get(kind, THREE)) < 45


def test_a_large_photo_and_inks_of_print_are_read() -> None:
    photo = Image.fromarray(grey(235, 40)).resize((3000, 4000))
    for mode in ("RGB", "L", "CMYK"):
        file = io.BytesIO()
        photo.convert(mode).save(file, "JPEG", quality=80)
        assert closest(read(file.getvalue()), THREE) < 45, mode


@pytest.fixture(scope="module")
def made() -> list[tuple[Candidates, int, str]]:
    """The candidates of each digit in each kind of picture, and what it was."""
    return [(read(content), digit, made) for content, digit, made in pictures(80, seed=5)]


def test_candidates_are_centred_by_mass_within_twenty_by_twenty(
    made: list[tuple[Candidates, int, str]],
) -> None:
    for found, _, name in made:
        for place, item in enumerate(found.items):
            rows, columns = np.nonzero(item.pixels > 127)
            assert max(np.ptp(rows), np.ptp(columns)) < 20, name
            if place:
                continue
            pixels = item.pixels.astype(float)
            centre = [(pixels.sum(axis=axis) * np.arange(SIDE)).sum() / pixels.sum() for axis in (0, 1)]
            assert max(abs(centre[0] - 14), abs(centre[1] - 14)) < 1.1, name
            assert pixels.max() == 255, name


def test_the_starter_model_reads_pictures_that_are_not_mnist(
    made: list[tuple[Candidates, int, str]],
) -> None:
    model = load_model(max_batch_size=MOST)
    wrong = []
    for found, digit, name in made:
        scores = model.predict(found.pixels)
        best = judge_scores(found, scores, reject_below=0).best
        if best is None or scores[best, :10].argmax() != digit:
            wrong.append(name)
    assert len(wrong) <= 4, wrong  # 95 %


def test_each_digit_of_a_number_is_a_candidate() -> None:
    number = np.hstack([grey(cover=written(digit, 160, 14, 20)) for digit in (4, 2, 7)])
    found = read(image_file(number))
    for digit in (4, 2, 7):
        wanted = crop_to_pixels(written(digit, 160, 14, 20).astype(np.float32))
        assert closest(found, wanted) < 45, digit


NOISE = np.random.default_rng(0)
BLANK = {
    "black": np.zeros((200, 200)),
    "white": np.full((200, 200), 255),
    "grey": np.full((28, 28), 77),
    "paper": NOISE.normal(200, 3, (300, 200)),
    "one pixel": np.zeros((1, 1)),
    "one row": np.zeros((1, 900)),
    "one column": np.zeros((900, 1)),
}


@pytest.mark.parametrize("name", BLANK)
def test_a_picture_without_ink_is_blank(name: str) -> None:
    assert not read(image_file(BLANK[name].astype(np.uint8))).items


def test_a_transparent_picture_of_one_colour_is_blank() -> None:
    assert not read(with_alpha(np.full_like(SEVEN, 9), np.zeros_like(SEVEN))).items


@pytest.mark.parametrize("shape", [(1, 1_000_000), (1_000_000, 1), (3, 300_000), (4000, 4000)])
def test_no_shape_of_a_picture_takes_long(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert len(within_cpu_s(0.3, lambda: read_levels(levels)).items) <= MOST


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.binary(min_size=1, max_size=64))
def test_any_grey_levels_give_candidates_or_none(height: int, width: int, levels: bytes) -> None:
    found = read_levels(np.resize(np.frombuffer(levels, np.uint8), (height, width)))
    assert found.pixels.shape == (len(found.items), SIDE, SIDE)
    assert found.pixels.dtype == np.uint8
    assert found.pixels.any(axis=(1, 2)).all()
