"""Kinds of pictures with other marks near the writing: rings, arrows, boxes, highlighters, stains, print."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus import camera, files
from digits.corpus.canvas import Canvas, Colour, Range, Rng, blank, blend, ink_on
from digits.corpus.colours import dark_ink, near, paper, vivid
from digits.corpus.drawing import Ink
from digits.corpus.drawings import any_size
from digits.corpus.handwriting import Writing

Floats = NDArray[np.floating]
SIZES = (220, 640)
PENS = (0.04, 0.1)
WORDS = ("Answer:", "Total", "Qty.", "Page", "Room", "Age:", "x =", "Score")
FONT = cv2.FONT_HERSHEY_SIMPLEX


def circled(writing: Writing, rng: Rng) -> bytes:
    """A ring around the digit, drawn by hand with the same or another pen."""
    canvas, ink, colour = _written(writing, rng, (0.35, 0.5))
    left, top, wide, high = cv2.boundingRect(ink)
    centre = np.array([left + wide / 2, top + high / 2])
    radii = np.array([0.5 * max(wide, 0.6 * high), 0.5 * high]) * rng.uniform(1.5, 1.9)
    turns = np.linspace(0, 2 * np.pi * rng.uniform(0.97, 1.06), 40) + rng.uniform(0, 2 * np.pi)
    wobble = 1 + 0.05 * np.sin(turns * rng.uniform(0.7, 2.2) + rng.uniform(0, 6))
    ring = centre + np.stack([np.cos(turns), np.sin(turns)], axis=1) * radii * wobble[:, None]
    other = colour if rng.random() < 0.5 else dark_ink(rng)
    return files.common(_lined(canvas, [ring], other, _pen(ink, rng)), rng)


def in_a_stamp(writing: Writing, rng: Rng) -> bytes:
    """One or two printed rings of the writing's colour around the digit."""
    canvas, ink, colour = _written(writing, rng, (0.35, 0.5))
    left, top, wide, high = cv2.boundingRect(ink)
    centre = np.array([left + wide / 2, top + high / 2])
    radius = 0.5 * float(np.hypot(wide, high)) * rng.uniform(1.15, 1.6)
    turns = np.linspace(0, 2 * np.pi, 80)
    way = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    for share in (1.0, rng.uniform(1.08, 1.25))[: int(rng.integers(1, 3))]:
        _lined(canvas, [centre + way * radius * share], colour, _pen(ink, rng, (0.15, 0.7)))
    return files.common(canvas, rng)


def arrow_beside(writing: Writing, rng: Rng) -> bytes:
    """An arrow of another colour that points at the digit."""
    canvas, ink, _ = _written(writing, rng, (0.35, 0.55))
    left, top, wide, high = cv2.boundingRect(ink)
    way = np.pi * rng.integers(2) + rng.uniform(-0.6, 0.6)
    ahead = np.array([np.cos(way), np.sin(way)])
    tip = np.array([left + wide / 2, top + high / 2]) - ahead * (0.5 * wide + 0.12 * high)
    start = tip - ahead * high * rng.uniform(0.35, 0.7)
    wings = [tip - _turned(ahead, turn) * 0.14 * high for turn in (-0.5, 0.5)]
    lines = [np.stack([start, tip]), np.stack([wings[0], tip, wings[1]])]
    colour = tuple(0.8 * level for level in vivid(rng))
    return files.common(_lined(canvas, lines, colour, _pen(ink, rng)), rng)


def pen_beside(writing: Writing, rng: Rng) -> bytes:
    """The pen lies beside the digit on the photographed sheet."""
    canvas, ink, _ = _written(writing, rng, (0.35, 0.55), (0.03, 0.06))
    left, top, wide, high = cv2.boundingRect(ink)
    side = 1 if left + wide / 2 < canvas.shape[1] / 2 else -1
    across = left + wide / 2 + side * (0.5 * wide + high * rng.uniform(0.25, 0.45))
    low, up = top + high * rng.uniform(0.7, 1.1), top - high * rng.uniform(0.2, 1.5)
    slope = side * rng.uniform(-0.1, 0.5) * (low - up)
    body, tip = np.array([[across, low], [across + slope, up]]), np.array([across, low])
    broad = max(4.0, high * rng.uniform(0.07, 0.13))
    colour = near(rng, (60, 60, 70), 50) if rng.random() < 0.5 else tuple(0.7 * c for c in vivid(rng))
    _lined(canvas, [body], colour, broad)
    metal = np.stack([tip, tip + np.array([0, 0.12 * high])])
    _lined(canvas, [metal], near(rng, (120, 120, 125), 30), broad / 2)
    return files.photo(camera.noisy(camera.lit(canvas, rng), rng, 2), rng)


def touching_its_box(writing: Writing, rng: Rng) -> bytes:
    """A printed box whose lines the digit touches or crosses."""
    canvas, ink, colour = _written(writing, rng, (0.4, 0.6))
    left, top, wide, high = cv2.boundingRect(ink)
    side = max(wide, high) * rng.uniform(1.0, 1.25)
    across = left + wide / 2 + rng.uniform(-1, 1) * (side - wide) / 2
    middle = top + high / 2 + rng.choice([-1, 1]) * ((side - high) / 2 + high * rng.uniform(0, 0.1))
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * side / 2 + [across, middle]
    line = colour if rng.random() < 0.3 else near(rng, (80, 80, 90), 60)
    return files.common(_lined(canvas, [box], line, _pen(ink, rng, (0.15, 0.5))), rng)


def underlined(writing: Writing, rng: Rng) -> bytes:
    canvas, ink, colour = _written(writing, rng, (0.35, 0.55))
    left, top, wide, high = cv2.boundingRect(ink)
    down = top + high * rng.uniform(1.08, 1.2)
    reach = max(wide, 0.5 * high) * rng.uniform(0.6, 0.9)
    tilt = rng.uniform(-0.05, 0.05) * reach
    line = np.array([[-reach, -tilt], [reach, tilt]]) + np.array([left + wide / 2, down])
    lines = [line, line + np.array([0, 0.09 * high])][: int(rng.integers(1, 3))]
    return files.common(_lined(canvas, lines, colour, _pen(ink, rng)), rng)


def highlighted(writing: Writing, rng: Rng) -> bytes:
    """A highlighter's band over the digit."""
    canvas, ink, colour = _written(writing, rng, (0.35, 0.55))
    left, top, wide, high = cv2.boundingRect(ink)
    band = np.zeros_like(ink)
    middle = round(top + high / 2)
    reach = round(max(wide, high) * rng.uniform(0.8, 1.2))
    centre = round(left + wide / 2)
    ends = (centre - reach, middle), (centre + reach, middle + round(high * rng.uniform(-0.1, 0.1)))
    cv2.line(band, *ends, 255, max(2, round(high * rng.uniform(0.5, 1.2))))
    canvas[:] = paper(rng, 240)
    blend(canvas, band, vivid(rng), rng.uniform(0.6, 0.95))
    return files.common(blend(canvas, ink, tuple(0.6 * level for level in colour)), rng)


def stained(writing: Writing, rng: Rng) -> bytes:
    """A cup's brown ring or a spot under the digit."""
    canvas, ink, colour = _written(writing, rng, (0.4, 0.6))
    height, width = ink.shape
    stain = np.zeros_like(ink)
    centre = tuple((rng.uniform(0.2, 0.8, 2) * (width, height)).astype(int).tolist())
    radius = round(min(width, height) * rng.uniform(0.25, 0.45))
    thick = -1 if rng.random() < 0.3 else max(2, round(radius * rng.uniform(0.05, 0.2)))
    cv2.circle(stain, centre, radius, 255, thick, cv2.LINE_AA)
    stain = cv2.GaussianBlur(stain, (0, 0), max(1.0, radius * 0.03))
    canvas[:] = paper(rng, 230)
    blend(canvas, stain, near(rng, (150, 105, 60), 25), rng.uniform(0.3, 0.75))
    return files.common(blend(canvas, ink, tuple(0.6 * level for level in colour)), rng)


def beside_print(writing: Writing, rng: Rng) -> bytes:
    """A printed word, and the digit behind it."""
    width = int(rng.integers(400, 700))
    high = round(width * rng.uniform(0.2, 0.3))
    canvas = blank(width, high * rng.uniform(1.6, 2.6), paper(rng, 235))
    middle = canvas.shape[0] // 2
    text = str(rng.choice(WORDS))
    scale = high / 55 * rng.uniform(0.6, 1.1)
    (long, tall), _ = cv2.getTextSize(text, FONT, scale, 2)
    scale, long, tall = (each * min(1.0, 0.6 * width / long) for each in (scale, long, tall))
    place = (round(0.05 * width), middle + round(tall / 2))
    print_ink = near(rng, (50, 50, 55), 40)
    cv2.putText(canvas, text, place, FONT, scale, print_ink, max(1, round(scale * 1.6)), cv2.LINE_AA)
    free = canvas[middle - high // 2 : middle + high // 2, round(0.09 * width + long) :]
    ink = ink_on((free.shape[1], free.shape[0]), writing, rng, (0.75, 0.95), PENS, 0.3)
    free[:] = blend(free.copy(), ink, dark_ink(rng))
    return files.common(canvas, rng)


def note_on_two_grounds(writing: Writing, rng: Rng) -> bytes:
    """A note whose surroundings have two colours, as at the edge of a screen or a table."""
    ground = blank(*any_size(rng, (300, 700)), tuple(rng.uniform(20, 250, 3)))
    height, width = ground.shape[:2]
    second = tuple(rng.uniform(20, 250, 3))
    if rng.random() < 0.5:
        ground[round(height * rng.uniform(0.35, 0.65)) :] = second
    else:
        ground[:, round(width * rng.uniform(0.35, 0.65)) :] = second
    pale = tuple(0.5 * level + 125 for level in vivid(rng)) if rng.random() < 0.6 else paper(rng)
    note, ink, colour = _written(writing, rng, (0.45, 0.7))
    note[:] = pale
    blend(note, ink, tuple(0.5 * level for level in colour))
    return files.common(camera.lie_on(ground, note, rng, (0.4, 0.7), 10, 0.01), rng)


def _written(writing: Writing, rng: Rng, share: Range, pens: Range = PENS) -> tuple[Canvas, Ink, Colour]:
    """Returns a sheet with the writing, its ink and its colour."""
    canvas = blank(*any_size(rng, SIZES), paper(rng, 225))
    ink = ink_on((canvas.shape[1], canvas.shape[0]), writing, rng, share, pens, 0.3)
    colour = dark_ink(rng)
    return blend(canvas, ink, colour), ink, colour


def _pen(ink: Ink, rng: Rng, share: Range = (0.4, 1.1)) -> float:
    """Returns a line's width in pixels, a share of the width of usual strokes of the writing."""
    _, _, wide, high = cv2.boundingRect(ink)
    return float(max(1.5, 0.07 * max(wide, high) * rng.uniform(*share)))


def _lined(canvas: Canvas, lines: list[Floats], colour: Colour, width: float) -> Canvas:
    """Draws lines of (k, 2) points, in place, and returns the canvas."""
    points = [np.rint(line * 16).astype(np.int32) for line in lines]
    cv2.polylines(canvas, points, False, colour, max(1, round(width)), cv2.LINE_AA, 4)
    return canvas


def _turned(way: Floats, angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * way[0] - sin * way[1], sin * way[0] + cos * way[1]])


KINDS = {
    kind.__name__: kind
    for kind in (
        circled, in_a_stamp, arrow_beside, pen_beside, touching_its_box, underlined, highlighted, stained,
        beside_print, note_on_two_grounds,
    )
}  # fmt: skip
