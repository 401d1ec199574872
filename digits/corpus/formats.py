"""Kinds of pictures by how the file holds them: tiny ones, few levels, palettes, 16 bits, odd headers."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.corpus import files
from digits.corpus.canvas import Canvas, Range, Rng, blank, blend, clouds, ink_on, shade, write
from digits.corpus.colours import dark_ink, near, paper
from digits.corpus.drawings import BLACK, WHITE, any_size
from digits.corpus.handwriting import Writing

SUPERSAMPLED = 8  # tiny pictures are drawn so many times as large and averaged


def grey_28(writing: Writing, rng: Rng) -> bytes:
    return files.png(_tiny(writing, rng, 28))


def grey_32(writing: Writing, rng: Rng) -> bytes:
    return files.png(_tiny(writing, rng, 32))


def grey_20(writing: Writing, rng: Rng) -> bytes:
    return files.png(_tiny(writing, rng, 20, (0.8, 1.0)))


def grey_16(writing: Writing, rng: Rng) -> bytes:
    return files.png(_tiny(writing, rng, 16, (0.85, 1.0), (0.08, 0.13)))


def grey_64(writing: Writing, rng: Rng) -> bytes:
    return files.png(_tiny(writing, rng, 64))


def jpeg_28(writing: Writing, rng: Rng) -> bytes:
    return files.jpeg(_tiny(writing, rng, 28), int(rng.integers(75, 96)))


def levels_0_and_1(writing: Writing, rng: Rng) -> bytes:
    """A binary image whose levels were not stretched."""
    return files.png((_tiny(writing, rng, int(rng.integers(20, 80))) > 110).astype(np.uint8))


def few_levels(writing: Writing, rng: Rng) -> bytes:
    """Levels 0 to 15 or 0 to 16, as scikit-learn's digits have them."""
    levels = _tiny(writing, rng, int(rng.integers(24, 80)))
    return files.png(np.rint(levels / 255 * rng.integers(12, 32)).astype(np.uint8))


def one_bit(writing: Writing, rng: Rng) -> bytes:
    levels = files.grey(_drawn(writing, rng))
    return files.save(Image.fromarray(levels).point(lambda level: 255 * (level > 127)).convert("1"), "PNG")


def palette_png(writing: Writing, rng: Rng) -> bytes:
    return files.save(_with_palette(_drawn(writing, rng), rng), "PNG")


def gif(writing: Writing, rng: Rng) -> bytes:
    return files.save(_with_palette(_drawn(writing, rng), rng), "GIF")


def sixteen_bits(writing: Writing, rng: Rng) -> bytes:
    return files.png(files.grey(_drawn(writing, rng)).astype(np.uint16) * 257)


def sixteen_bits_of_255(writing: Writing, rng: Rng) -> bytes:
    """A 16-bit file that holds levels of 8 bits."""
    return files.png(files.grey(_drawn(writing, rng)).astype(np.uint16))


def sixteen_bits_of_4095(writing: Writing, rng: Rng) -> bytes:
    """A 16-bit file of a sensor with 10 to 14 bits."""
    most = 2 ** int(rng.integers(10, 15)) - 1
    return files.png((files.grey(_drawn(writing, rng)) * (most / 255)).astype(np.uint16))


def grey_and_alpha(writing: Writing, rng: Rng) -> bytes:
    """Opaque grey, or black strokes on nothing."""
    levels = files.grey(_drawn(writing, rng))
    if rng.random() < 0.5:
        return files.png(np.dstack([levels, np.full_like(levels, 255)]))
    alpha = files.grey(write(blank(*any_size(rng), BLACK), writing, rng, WHITE))
    return files.png(np.dstack([np.zeros_like(alpha), alpha]))


def bmp(writing: Writing, rng: Rng) -> bytes:
    drawn = _drawn(writing, rng)
    return files.save(Image.fromarray(files.grey(drawn) if rng.random() < 0.4 else drawn), "BMP")


def bmp_without_alpha(writing: Writing, rng: Rng) -> bytes:
    return files.bmp_of_clipboard(_drawn(writing, rng))


def cmyk_jpeg(writing: Writing, rng: Rng) -> bytes:
    return files.save(
        Image.fromarray(_drawn(writing, rng)).convert("CMYK"), "JPEG", quality=int(rng.integers(70, 95))
    )


def turned_jpeg(writing: Writing, rng: Rng) -> bytes:
    return files.turned_jpeg(_drawn(writing, rng), int(rng.integers(70, 95)), int(rng.integers(2, 9)))


def progressive_jpeg(writing: Writing, rng: Rng) -> bytes:
    return files.jpeg(_drawn(writing, rng), int(rng.integers(60, 95)), progressive=True)


def poor_jpeg(writing: Writing, rng: Rng) -> bytes:
    return files.jpeg(_drawn(writing, rng, (180, 500)), int(rng.integers(8, 25)))


def webp(writing: Writing, rng: Rng) -> bytes:
    return files.webp(_drawn(writing, rng), int(rng.integers(30, 90)))


def dithered(writing: Writing, rng: Rng) -> bytes:
    """One bit, with shades made of dots."""
    canvas = _drawn(writing, rng, (250, 600))
    light = 1 + 0.1 * clouds(rng, canvas.shape[1], canvas.shape[0], 2)
    return files.save(Image.fromarray(shade(canvas, light)).convert("1"), "PNG")


def salt_and_pepper(writing: Writing, rng: Rng) -> bytes:
    """Single pixels of black and white all over."""
    levels = files.grey(_drawn(writing, rng, (150, 500)))
    chance = rng.random(levels.shape, np.float32)
    share = rng.uniform(0.005, 0.03)
    return files.png(np.where(chance < share, 0, np.where(chance > 1 - share, 255, levels)).astype(np.uint8))


def transparent_palette(writing: Writing, rng: Rng) -> bytes:
    """Opaque ink of one colour, and paper that is a transparent colour of the palette."""
    cover = ink_on(any_size(rng), writing, rng)
    image = Image.fromarray((cover > 127).astype(np.uint8)).convert("P")
    colour = [round(level) for level in dark_ink(rng)]
    image.putpalette([*rng.choice([[0, 0, 0], [255, 255, 255]]).tolist(), *colour])
    return files.save(image, rng.choice(["PNG", "GIF"]), transparency=0)


def transparent_webp(writing: Writing, rng: Rng) -> bytes:
    cover = ink_on(any_size(rng), writing, rng, share=(0.5, 0.9))
    levels = np.zeros((*cover.shape, 4), np.uint8)
    levels[:, :, :3] = np.rint(rng.uniform(0, 255, 3))
    levels[:, :, 3] = cover
    return files.save(Image.fromarray(levels), "WEBP", quality=int(rng.integers(60, 95)), method=1)


def half_transparent(writing: Writing, rng: Rng) -> bytes:
    """Paper that lets half of what is behind it through; the ink is opaque."""
    size = any_size(rng)
    cover = ink_on(size, writing, rng)
    canvas = blend(blank(*size, paper(rng)), cover, dark_ink(rng))
    veil = round(rng.uniform(60, 180))
    return files.png(np.dstack([canvas, np.maximum(cover, np.uint8(veil))]))


def _drawn(writing: Writing, rng: Rng, size: Range = (80, 500)) -> Canvas:
    ground, ink = paper(rng), dark_ink(rng)
    if rng.random() < 0.3:
        ground, ink = near(rng, (25, 25, 30), 25), near(rng, (225, 225, 225), 30)
    return write(blank(*any_size(rng, size), ground), writing, rng, ink)


def _tiny(
    writing: Writing, rng: Rng, side: int, share: Range = (0.6, 0.85), pens: Range = (0.07, 0.14)
) -> NDArray[np.uint8]:
    """Returns (side, side) grey levels, of either polarity."""
    large = write(
        blank(side * SUPERSAMPLED, side * SUPERSAMPLED, BLACK),
        writing,
        rng,
        WHITE,
        share=share,
        pens=pens,
        spread=0.6,
    )
    levels: NDArray[np.uint8] = cv2.resize(files.grey(large), (side, side), interpolation=cv2.INTER_AREA)
    return levels if rng.random() < 0.5 else 255 - levels


def _with_palette(canvas: Canvas, rng: Rng) -> Image.Image:
    return Image.fromarray(canvas).quantize(
        int(rng.choice([4, 16, 64, 256])), method=Image.Quantize.FASTOCTREE
    )


KINDS = {
    kind.__name__: kind
    for kind in (
        grey_28, grey_32, grey_20, grey_16, grey_64, jpeg_28, levels_0_and_1, few_levels, one_bit, dithered,
        salt_and_pepper, palette_png, gif, transparent_palette, transparent_webp, half_transparent,
        sixteen_bits, sixteen_bits_of_255, sixteen_bits_of_4095, grey_and_alpha, bmp, bmp_without_alpha,
        cmyk_jpeg, turned_jpeg, progressive_jpeg, poor_jpeg, webp,
    )
}  # fmt: skip
