"""Kinds of pictures that are drawn on a screen: canvases, colours, windows, phones."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus import files, frames
from digits.corpus.canvas import Canvas, Colour, Range, Rng, blank, blend, ink_on, write
from digits.corpus.colours import dark_ink, either, equal_luma, luma, near, pair, paper, vivid
from digits.corpus.drawing import Ink
from digits.corpus.grounds import gradient, ruled
from digits.corpus.handwriting import Writing

BLACK, WHITE = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
PAGE = (280, 280)  # pixels of the canvas on the service's page
PAGE_PENS = (0.06, 0.13)


def any_size(rng: Rng, limits: Range = (120, 640)) -> tuple[int, int]:
    """Returns a random width and height, each in pixels."""
    width = float(np.exp(rng.uniform(*np.log(limits))))
    return round(width), round(width * rng.uniform(0.7, 1.4))


def plain(rng: Rng, writing: Writing, ground: Colour, ink: Colour, **how: object) -> Canvas:
    """Returns a writing on a canvas of any size and one colour."""
    return write(blank(*any_size(rng), ground), writing, rng, ink, **how)  # type: ignore[arg-type]


def canvas_white_on_black(writing: Writing, rng: Rng) -> bytes:
    drawn = write(blank(*PAGE, BLACK), writing, rng, WHITE, pens=PAGE_PENS)
    return files.png(files.grey(drawn) if rng.random() < 0.3 else drawn)


def canvas_black_on_white(writing: Writing, rng: Rng) -> bytes:
    drawn = write(blank(*PAGE, WHITE), writing, rng, BLACK, pens=PAGE_PENS)
    return files.png(files.grey(drawn) if rng.random() < 0.3 else drawn)


def canvas_transparent(writing: Writing, rng: Rng) -> bytes:
    ink = ink_on(PAGE, writing, rng, pens=PAGE_PENS)
    return files.png(_strokes_alone(ink, WHITE if rng.random() < 0.5 else BLACK))


def transparent_strokes(writing: Writing, rng: Rng) -> bytes:
    """Strokes of any colour on nothing, also at the edges of an image cut to the writing."""
    ink = ink_on(any_size(rng), writing, rng, share=(0.5, 0.95))
    colour = tuple(rng.uniform(0, 255, 3).tolist())
    return files.png(_strokes_alone(ink, colour))


def drawing_600(writing: Writing, rng: Rng) -> bytes:
    ground, ink = either(rng, paper(rng, 235), near(rng, BLACK, 60))
    return files.png(write(blank(600, 600, ground), writing, rng, ink, spread=0.7))


def drawing_small(writing: Writing, rng: Rng) -> bytes:
    side = int(rng.integers(60, 140))
    ground, ink = either(rng, WHITE, BLACK)
    return files.common(write(blank(side, side, ground), writing, rng, ink, pens=(0.06, 0.13)), rng)


def coloured(writing: Writing, rng: Rng) -> bytes:
    return files.common(plain(rng, writing, *pair(rng)), rng)


def light_on_dark(writing: Writing, rng: Rng) -> bytes:
    ground, ink = near(rng, (35, 35, 35), 35), near(rng, (215, 215, 215), 40)
    return files.common(plain(rng, writing, ground, ink), rng)


def neon_on_dark(writing: Writing, rng: Rng) -> bytes:
    """Bright strokes with a glow, as drawing programs paint them."""
    canvas = blank(*any_size(rng), near(rng, (15, 15, 25), 15))
    ink = ink_on((canvas.shape[1], canvas.shape[0]), writing, rng, pens=(0.03, 0.09))
    colour = vivid(rng)
    glow = cv2.GaussianBlur(ink, (0, 0), min(canvas.shape[:2]) * rng.uniform(0.015, 0.04))
    blend(canvas, glow, colour, rng.uniform(0.4, 0.9))
    return files.common(blend(canvas, ink, tuple(0.5 * c + 127 for c in colour)), rng)


def red_on_green(writing: Writing, rng: Rng) -> bytes:
    colours = equal_luma(rng, (0, 130, 0), (235, 40, 30))
    return files.common(plain(rng, writing, *either(rng, *colours)), rng)


def orange_on_blue(writing: Writing, rng: Rng) -> bytes:
    colours = equal_luma(rng, (120, 175, 230), (240, 145, 40))
    return files.common(plain(rng, writing, *either(rng, *colours)), rng)


def equal_luminance(writing: Writing, rng: Rng) -> bytes:
    return files.common(plain(rng, writing, *equal_luma(rng)), rng)


def low_contrast(writing: Writing, rng: Rng) -> bytes:
    ground = tuple(rng.uniform(60, 235) + rng.normal(0, 6, 3))
    step = rng.uniform(24, 50) * (1 if luma(ground) < 110 else -1)
    return files.common(
        plain(rng, writing, ground, tuple(level + step for level in ground), pens=(0.05, 0.13)), rng
    )


def off_centre(writing: Writing, rng: Rng) -> bytes:
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    return files.common(plain(rng, writing, ground, ink, share=(0.25, 0.45), spread=1.0), rng)


def touching_an_edge(writing: Writing, rng: Rng) -> bytes:
    """The writing runs up to one or more edges, as when a picture is cut too close."""
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    size = any_size(rng)
    cover = ink_on(size, writing, rng, share=(0.55, 0.8))
    left, top, wide, high = cv2.boundingRect(cover)
    keep = [slice(0, size[1]), slice(0, size[0])]
    cut = int(rng.integers(0, 2))
    if not wide:  # nothing is written
        return files.common(blank(*size, ground), rng)
    for side in {int(rng.integers(4)), int(rng.integers(4))}:
        axis, start, end = side // 2, (top, left)[side // 2], (top + high, left + wide)[side // 2]
        keep[axis] = slice(start + cut, keep[axis].stop) if side % 2 else slice(keep[axis].start, end - cut)
    cover = np.ascontiguousarray(cover[keep[0], keep[1]])
    return files.common(blend(blank(cover.shape[1], cover.shape[0], ground), cover, ink), rng)


def on_a_gradient(writing: Writing, rng: Rng) -> bytes:
    """A coloured gradient, and ink that is darker or lighter than all of it."""
    dark = rng.random() < 0.5
    low, high = (0, 95) if dark else (150, 255)
    first, second = (tuple(rng.uniform(low, high, 3).tolist()) for _ in range(2))
    ink = near(rng, WHITE if dark else BLACK, 30)
    return files.common(
        write(gradient(*any_size(rng), first, second, rng.uniform(0, 6)), writing, rng, ink), rng
    )


def banner(writing: Writing, rng: Rng) -> bytes:
    """A picture several times as wide as high, or the reverse."""
    short = rng.uniform(90, 250)
    long = short * rng.uniform(2.5, 5)
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    size = (long, short) if rng.random() < 0.6 else (short, long)
    return files.common(write(blank(*size, ground), writing, rng, ink, share=(0.5, 0.85), spread=0.8), rng)


def checkerboard(writing: Writing, rng: Rng) -> bytes:
    """A screenshot of a transparent picture: editors show a checkerboard behind it."""
    size, step = any_size(rng), int(rng.integers(6, 17))
    rows, columns = np.indices(size[::-1]) // step
    light = rng.uniform(235, 255)
    levels = np.where((rows + columns) % 2, light, light - rng.uniform(20, 50))
    ground = np.repeat(levels[:, :, None].astype(np.uint8), 3, axis=2)
    return files.common(write(ground, writing, rng, dark_ink(rng), pens=(0.06, 0.13)), rng)


def blueprint(writing: Writing, rng: Rng) -> bytes:
    """Light ink on a dark grid."""
    canvas = blank(*any_size(rng, (200, 600)), near(rng, (25, 55, 110), 25))
    light = near(rng, (235, 240, 245), 15)
    ruled(canvas, rng, light, rng.uniform(0.12, 0.35), min(canvas.shape[:2]) / rng.uniform(6, 14), True)
    return files.common(write(canvas, writing, rng, light, pens=(0.05, 0.12)), rng)


def selected(writing: Writing, rng: Rng) -> bytes:
    """A drawing that an editor shows as selected: a dashed line with handles around it."""
    size = any_size(rng, (200, 600))
    ink = ink_on(size, writing, rng, share=(0.4, 0.6), spread=0.3)
    canvas = blend(blank(*size, paper(rng, 240)), ink, dark_ink(rng))
    return files.common(frames.marked(canvas, ink, rng), rng)


def window_screenshot(writing: Writing, rng: Rng) -> bytes:
    content = write(blank(*any_size(rng, (250, 600)), paper(rng, 240)), writing, rng, dark_ink(rng))
    return files.png(frames.window(content, rng))


def phone_screenshot(writing: Writing, rng: Rng) -> bytes:
    width = int(rng.integers(320, 560))
    ground, ink = either(rng, paper(rng, 240), near(rng, BLACK, 40))
    content = blank(width, width * rng.uniform(1.2, 1.8), ground)
    return files.common(frames.phone(write(content, writing, rng, ink, spread=0.7), rng), rng)


def _strokes_alone(ink: Ink, colour: Colour) -> NDArray[np.uint8]:
    """Returns (h, w, 4) levels whose alpha is the ink; where nothing is drawn they are 0."""
    levels = np.zeros((*ink.shape, 4), np.uint8)
    levels[ink > 0, :3] = np.rint(colour)
    levels[:, :, 3] = ink
    return levels


KINDS = {
    kind.__name__: kind
    for kind in (
        canvas_white_on_black, canvas_black_on_white, canvas_transparent, transparent_strokes, drawing_600,
        drawing_small, coloured, light_on_dark, neon_on_dark, red_on_green, orange_on_blue, equal_luminance,
        low_contrast, off_centre, touching_an_edge, on_a_gradient, banner, checkerboard, blueprint,
        selected, window_screenshot, phone_screenshot,
    )
}  # fmt: skip
