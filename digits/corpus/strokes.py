"""Kinds of pictures whose strokes are no solid lines of one strength on plain paper."""

import cv2
import numpy as np

from digits.corpus import camera, files
from digits.corpus.canvas import Canvas, Colour, Rng, blank, blend, clouds, ink_on
from digits.corpus.colours import dark_ink, either, near, paper, vivid
from digits.corpus.drawing import Ink
from digits.corpus.drawings import any_size
from digits.corpus.grounds import gradient
from digits.corpus.handwriting import Writing

SIZES = (220, 640)
SKIES = ((120, 170, 230), (200, 215, 230), (230, 170, 120), (60, 80, 120))
LANDS = ((80, 110, 60), (120, 100, 80), (60, 65, 70), (160, 140, 100))
PENS_OF_OUTLINES = (0.08, 0.14)


def dotted_strokes(writing: Writing, rng: Rng) -> bytes:
    """Dots in a row, as on sheets to practise writing on."""
    size = any_size(rng, SIZES)
    line = ink_on(size, writing, rng, share=(0.5, 0.8), pens=(0.008, 0.01))
    side = _side(line)
    radius = max(1.0, side * rng.uniform(0.015, 0.03))
    step = radius * rng.uniform(2.6, 4.0)
    dots, taken = np.zeros_like(line), np.zeros_like(line)
    for y, x in np.argwhere(line > 100).tolist():
        if not taken[y, x]:
            cv2.circle(taken, (x, y), round(step), (255,), -1)
            cv2.circle(dots, (x, y), round(radius), (255,), -1, cv2.LINE_AA)
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    return files.common(blend(blank(*size, ground), dots, ink), rng)


def outlined(writing: Writing, rng: Rng) -> bytes:
    """The outlines of thick strokes, often filled with a pale colour."""
    size = any_size(rng, SIZES)
    thick = ink_on(size, writing, rng, share=(0.55, 0.8), pens=PENS_OF_OUTLINES)
    reach = max(1, round(_side(thick) * rng.uniform(0.008, 0.018)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    outline = cv2.subtract(cv2.dilate(thick, kernel), thick)
    canvas = blank(*size, paper(rng, 230))
    if rng.random() < 0.5:
        blend(canvas, thick, tuple(0.4 * level + 150 for level in vivid(rng)))
    return files.common(blend(canvas, outline, dark_ink(rng)), rng)


def pen_running_dry(writing: Writing, rng: Rng) -> bytes:
    """The ink fades towards the end of the writing."""
    canvas, ink, colour = _page(writing, rng)
    left, top, wide, high = cv2.boundingRect(ink)
    angle = rng.uniform(-0.3, np.pi + 0.3)  # mostly downwards
    rows, columns = np.mgrid[: ink.shape[0], : ink.shape[1]].astype(np.float32)
    along = (columns - left - wide / 2) * np.cos(angle) + (rows - top - high / 2) * np.sin(angle)
    along = along / max(1, wide, high) + 0.1 * clouds(rng, ink.shape[1], ink.shape[0], 6)
    strength = np.clip(0.6 - 0.7 * along, rng.uniform(0.15, 0.3), 0.95)
    return _photo(blend(canvas, (ink * strength).astype(np.uint8), colour), rng)


def reflection_on_ink(writing: Writing, rng: Rng) -> bytes:
    """A lamp or a flash that is reflected where the digit is."""
    canvas, ink, colour = _page(writing, rng)
    shade = rng.uniform(0.65, 0.85)
    canvas[:] = np.rint(blend(canvas, ink, colour) * shade)
    left, top, wide, high = cv2.boundingRect(ink)
    glare = np.zeros_like(ink)
    centre = round(left + wide * rng.uniform(0.2, 0.8)), round(top + high * rng.uniform(0.2, 0.8))
    axes = tuple(round(max(wide, high) * rng.uniform(0.08, 0.25)) for _ in range(2))
    cv2.ellipse(glare, centre, axes, rng.uniform(0, 180), 0, 360, (255,), -1)
    glare = cv2.GaussianBlur(glare, (0, 0), max(1.0, max(wide, high) * rng.uniform(0.04, 0.12)))
    return _photo(blend(canvas, glare, (255, 255, 255), rng.uniform(0.5, 0.9)), rng)


def in_relief(writing: Writing, rng: Rng) -> bytes:
    """Raised or carved strokes of the ground's own colour, seen by light and shadow at their edges."""
    size = any_size(rng, SIZES)
    ink = ink_on(size, writing, rng, share=(0.5, 0.8), pens=(0.07, 0.13))
    rise = cv2.GaussianBlur(ink, (0, 0), max(1.0, _side(ink) * rng.uniform(0.006, 0.015))).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    slope = np.cos(angle) * cv2.Sobel(rise, -1, 1, 0) + np.sin(angle) * cv2.Sobel(rise, -1, 0, 1)
    slope *= rng.uniform(60, 110) / max(1.0, float(np.abs(slope).max()))
    colour = near(rng, (165, 160, 155), 40)
    level = slope[:, :, None] + rise[:, :, None] / 255 * rng.uniform(-25, 25) + np.array(colour)
    return files.common(np.clip(np.rint(level), 0, 255).astype(np.uint8), rng)


def drawn_on_a_photo(writing: Writing, rng: Rng) -> bytes:
    """White, black or vivid strokes on a landscape: a marker on a window, a drawing on a screen."""
    width, height = any_size(rng, (300, 800))
    scene = _landscape(width, height, rng)
    ink = ink_on((width, height), writing, rng, share=(0.4, 0.7), pens=(0.05, 0.1))
    colour = (near(rng, (250, 250, 250), 5), near(rng, (15, 15, 20), 10), vivid(rng))[int(rng.integers(3))]
    return files.photo(blend(scene, ink, colour, rng.uniform(0.9, 1.0)), rng)


def _landscape(width: int, height: int, rng: Rng) -> Canvas:
    """Returns a sky above land, out of focus."""
    sky = gradient(
        width,
        height,
        near(rng, SKIES[rng.integers(len(SKIES))], 20),
        near(rng, (225, 225, 225), 20),
        np.pi / 2,
    )
    horizon = height * rng.uniform(0.4, 0.75) + height * 0.05 * clouds(rng, width, 2, 9)[0]
    land = np.arange(height)[:, None] > horizon[None]
    sky[land] = near(rng, LANDS[rng.integers(len(LANDS))], 20)
    light = sum(clouds(rng, width, height, cells) / cells**0.5 for cells in (3, 8, 20, 50))
    scene = np.clip(sky + 18 * np.asarray(light)[:, :, None], 0, 255).astype(np.uint8)
    blurred: Canvas = cv2.GaussianBlur(scene, (0, 0), max(width, height) * rng.uniform(0.003, 0.012))
    return blurred


def _page(writing: Writing, rng: Rng) -> tuple[Canvas, Ink, Colour]:
    size = any_size(rng, SIZES)
    ink = ink_on(size, writing, rng, share=(0.45, 0.75), pens=(0.04, 0.1))
    return blank(*size, paper(rng, 215)), ink, dark_ink(rng)


def _photo(canvas: Canvas, rng: Rng) -> bytes:
    return files.photo(camera.noisy(camera.lit(canvas, rng), rng, rng.uniform(1, 3)), rng)


def _side(ink: Ink) -> int:
    """Returns the longer side of what is written, in pixels."""
    return max(map(int, cv2.boundingRect(ink)[2:]))


KINDS = {
    kind.__name__: kind
    for kind in (
        dotted_strokes, outlined, pen_running_dry, reflection_on_ink, in_relief, drawn_on_a_photo,
    )
}  # fmt: skip
