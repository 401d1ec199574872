"""The number of pixels of a file, from its first bytes."""

import io

import pytest
from PIL import Image

from digits.vision.limits import MAX_PIXELS
from digits.vision.weighing import NONE, weigh

WIDTH, HEIGHT = 70, 50
FILES: dict[str, tuple[str, str, dict[str, object]]] = {
    "png1": ("1", "PNG", {}),
    "png8": ("P", "PNG", {}),
    "png32": ("RGBA", "PNG", {}),
    "jpeg": ("RGB", "JPEG", {}),
    "jpeg of print": ("CMYK", "JPEG", {}),
    "progressive jpeg": ("RGB", "JPEG", {"progressive": True}),
    "webp": ("RGB", "WEBP", {}),
    "lossless webp": ("RGB", "WEBP", {"lossless": True}),
    "webp with metadata": ("RGBA", "WEBP", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
    "gif": ("P", "GIF", {}),
    "bmp": ("RGB", "BMP", {}),
}


def file_of(name: str) -> bytes:
    mode, kind, options = FILES[name]
    file = io.BytesIO()
    Image.effect_noise((WIDTH, HEIGHT), 50).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_tells_its_pixels(name: str) -> None:
    data = file_of(name)
    assert weigh(data, MAX_PIXELS)[1] == WIDTH * HEIGHT
    assert weigh(data, WIDTH * HEIGHT)[1] == WIDTH * HEIGHT
    assert weigh(data, WIDTH * HEIGHT - 1) == NONE


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_anywhere_can_be_weighed(name: str) -> None:
    data = file_of(name)
    for length in range(min(len(data), 200)):
        assert weigh(data[:length], MAX_PIXELS)[1] <= WIDTH * HEIGHT


def test_a_bmp_of_os2_tells_its_pixels() -> None:
    size = WIDTH.to_bytes(2, "little") + HEIGHT.to_bytes(2, "little")
    data = b"BM" + bytes(12) + (12).to_bytes(4, "little") + size + b"\1\0\x18\0" + bytes(3 * WIDTH * HEIGHT)
    assert weigh(data, MAX_PIXELS) == ("bmp", WIDTH * HEIGHT)


def test_a_bmp_of_os2_weighs_at_most_its_bytes() -> None:
    """Its palette or pixels are where other BMPs say that they have runs."""
    side = (4000).to_bytes(2, "little")
    data = b"BM" + bytes(12) + (12).to_bytes(4, "little") + 2 * side + b"\1\0\1\0" + bytes(4) + b"\1\0\0\0"
    assert len(data) == 34
    assert weigh(data, MAX_PIXELS) == ("bmp", 8 * 34)


def test_a_gif_whose_frame_is_larger_than_its_screen_counts_it() -> None:
    data = bytearray(file_of("gif"))
    data[6:10] = b"\1\0\1\0"
    assert weigh(bytes(data), MAX_PIXELS) == ("gif", WIDTH * HEIGHT)
