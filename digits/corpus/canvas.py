"""A writing -> a canvas: its position and size, and the pen and colour it is written with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.drawing import Ink, bend, draw, smooth
from digits.corpus.handwriting import Writing

Rng = np.random.Generator
Canvas = NDArray[np.uint8]  # (h, w, 3), RGB
Field = NDArray[np.float32]  # (h, w)
Colour = tuple[float, ...]  # red, green, blue, 0 to 255
Range = tuple[float, float]

PENS = (0.035, 0.12)  # widths of common pens, as shares of the writing's height
CORNERS = 0.3  # of the writings keep the corners of the tablet they were written on
THINNEST = 1.3  # pixels of the thinnest pen
FLATTEST = 0.3  # a writing's height counts as at least this share of its width when its pen is chosen
BLANK = Writing("", 0)  # nothing is written


def blank(width: float, height: float, colour: Colour) -> Canvas:
    """Returns a canvas of one colour."""
    canvas = np.empty((max(1, round(height)), max(1, round(width)), 3), np.uint8)
    canvas[:] = np.clip(np.rint(colour), 0, 255)
    return canvas


def ink_of(writing: Writing, rng: Rng, side: float, pens: Range = PENS) -> Ink:
    """Returns the ink of a writing, slightly bent, whose longer side is `side` pixels plus the pen.

    The pen's width is drawn from `pens`, shares of the height of one character of the writing.
    """
    width, corners = np.exp(rng.uniform(*np.log(pens))), rng.random() < CORNERS
    bent = bend(writing, rng) if writing is not BLANK else writing
    if not corners:
        bent = smooth(smooth(bent))
    if bent.strokes:
        wide, high = np.ptp(np.concatenate(bent.strokes), axis=0).tolist()
        share = max(min(1.0, 1.25 * high), FLATTEST * wide)
    elif bent.ink is not None:
        share = 1.0
    else:
        rng.uniform(-1, 1, 3)  # what bending would have drawn
        return np.zeros((max(1, round(side)), max(1, round(side * 0.7))), np.uint8)
    pen = max(width * share * side, THINNEST)
    return draw(bent, max(side - pen, 4.0), pen)


def ink_on(
    size: tuple[int, int],
    writing: Writing,
    rng: Rng,
    share: Range = (0.4, 0.75),
    pens: Range = PENS,
    spread: float = 0.5,
) -> Ink:
    """Returns the ink of a writing within a (width, height) canvas.

    `share` is its longer side relative to the shorter side of the canvas. `spread` is how far from the centre
    it may be: 0 at the centre, 1 anywhere.
    """
    width, height = size
    ink = ink_of(writing, rng, rng.uniform(*share) * min(size), pens)
    ink = ink[:height, :width]
    high, wide = ink.shape
    across, down = 0.5 + rng.uniform(-0.5, 0.5, 2) * spread
    left, top = round((width - wide) * across), round((height - high) * down)
    whole = np.zeros((height, width), np.uint8)
    whole[top : top + high, left : left + wide] = ink
    return whole


def blend(canvas: Canvas, ink: Ink, colour: Colour, opacity: float = 1.0) -> Canvas:
    """Lays ink of a colour on the canvas, in place, and returns the canvas."""
    left, top, width, height = cv2.boundingRect(ink)
    box = slice(top, top + height), slice(left, left + width)
    cover = ink[box][:, :, None].astype(np.float32) * (opacity / 255)
    under = canvas[box].astype(np.float32)
    canvas[box] = np.rint(under + (np.array(colour, np.float32) - under) * cover)
    return canvas


def write(
    canvas: Canvas,
    writing: Writing,
    rng: Rng,
    colour: Colour,
    *,
    share: Range = (0.4, 0.75),
    pens: Range = PENS,
    spread: float = 0.5,
    grain: float = 0.0,
    opacity: float = 1.0,
) -> Canvas:
    """Writes on the canvas, in place, and returns it.  `grain` is how much of the ink rough paper takes."""
    ink = ink_on((canvas.shape[1], canvas.shape[0]), writing, rng, share, pens, spread)
    if grain:
        ink = grained(ink, rng, grain)
    return blend(canvas, ink, colour, opacity)


def grained(ink: Ink, rng: Rng, grain: float) -> Ink:
    """Returns ink with the gaps that pencil and chalk leave on rough ground."""
    noise = clouds(rng, ink.shape[1], ink.shape[0], max(ink.shape) / 2.5)
    return np.asarray(ink * np.clip(1 - grain * (noise * 0.8 + 0.5), 0, 1), np.uint8)


def clouds(rng: Rng, width: int, height: int, cells: float) -> Field:
    """Returns smooth noise of mean 0 and deviation about 0.7, with this many cells along the longer side."""
    longer = max(width, height)
    shape = tuple(max(2, round(side / longer * cells)) for side in (height, width))
    noise = rng.standard_normal(shape, np.float32)
    field: Field = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return field


def shade(canvas: Canvas, light: Field) -> Canvas:
    """Returns the canvas in the light of a (h, w) field; 1 leaves it as it is."""
    lit: Canvas = cv2.multiply(canvas, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    return lit
