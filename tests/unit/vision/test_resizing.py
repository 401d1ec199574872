"""The whole picture as one image: for tasks that are not digits."""

import io

import numpy as np
import pytest
from PIL import Image

from digits.errors import BadInput
from digits.task import SIDE
from digits.vision import resizing
from digits.vision.limits import MAX_PIXELS
from digits.vision.resizing import are_ready, read_file, read_levels

RED, BLUE = (220, 20, 30), (20, 30, 220)
NOISE = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def file_of(levels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> np.ndarray:
    (candidate,) = read_file(data, MAX_PIXELS).items
    return candidate.pixels


@pytest.fixture
def in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resizing, "CHANNELS", 3)


@pytest.mark.usefixtures("in_colour")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_red_stays_red_in_each_format(kind: str) -> None:
    """The decoders differ in the order of colours."""
    picture = np.empty((60, 90, 3), np.uint8)
    picture[:, :45], picture[:, 45:] = RED, BLUE
    pixels = read(file_of(picture, kind)).astype(int)
    assert pixels.shape == (SIDE, SIDE, 3)
    assert abs(pixels[14, 5] - RED).max() < 12
    assert abs(pixels[14, 22] - BLUE).max() < 12


@pytest.mark.usefixtures("in_colour")
def test_a_picture_of_the_side_keeps_its_levels() -> None:
    assert np.array_equal(read(file_of(NOISE)), NOISE)
    assert np.array_equal(read(file_of(NOISE, "WEBP", lossless=True)), NOISE)
    assert np.array_equal(read(file_of(NOISE[:, :, 0])), np.stack([NOISE[:, :, 0]] * 3, axis=2))


def test_grey_is_that_of_pillow() -> None:
    """What people train on is converted by Pillow, too."""
    wanted = np.asarray(Image.fromarray(NOISE).convert("L")).astype(int)
    for data in (file_of(NOISE), file_of(NOISE, "WEBP", lossless=True)):
        pixels = read(data)
        assert pixels.shape == (SIDE, SIDE)
        assert abs(pixels - wanted).max() <= 1


@pytest.mark.usefixtures("in_colour")
def test_what_is_transparent_is_white() -> None:
    picture = np.full((56, 56, 4), (*RED, 255), np.uint8)
    picture[:, 28:, 3] = 0
    pixels = read(file_of(picture)).astype(int)
    assert (pixels[:, 16:] == 255).all()
    assert abs(pixels[:, :12] - RED).max() <= 1


def test_a_photo_is_turned_upright() -> None:
    picture = np.zeros((40, 80), np.uint8)
    picture[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the left side is up
    pixels = read(file_of(picture, "JPEG", exif=exif, quality=95))
    assert pixels[:10].mean() > 240
    assert pixels[-10:].mean() < 15


def test_levels_are_images_as_they_stand() -> None:
    levels = np.zeros((2, SIDE, SIDE), np.uint8)
    assert are_ready(levels).tolist() == [True, True]
    (candidate,) = read_levels(levels[0]).items
    assert np.array_equal(candidate.pixels, levels[0])
    assert candidate.is_exact


def test_a_damaged_file_is_refused_as_by_the_other_reader() -> None:
    with pytest.raises(BadInput) as refused:
        read_file(file_of(NOISE)[:60], MAX_PIXELS)
    assert refused.value.code == "image_unreadable"
