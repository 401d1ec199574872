"""Kinds of pictures by the pen: thick, thin, broad, broken, of many colours, sprayed, of large pixels."""

import cv2
import numpy as np

from digits.corpus import files
from digits.corpus.canvas import Rng, blank, blend, clouds, grained, ink_on
from digits.corpus.colours import dark_ink, either, near, paper
from digits.corpus.drawings import BLACK, WHITE, any_size, plain
from digits.corpus.handwriting import Writing


def thick_marker(writing: Writing, rng: Rng) -> bytes:
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    return files.common(plain(rng, writing, ground, ink, pens=(0.13, 0.175)), rng)


def thin_pen(writing: Writing, rng: Rng) -> bytes:
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    return files.common(plain(rng, writing, ground, ink, pens=(0.01, 0.025)), rng)


def broken_strokes(writing: Writing, rng: Rng) -> bytes:
    """The pen skips: small gaps cut the strokes into parts."""
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    size = any_size(rng)
    cover = ink_on(size, writing, rng)
    places = np.argwhere(cover > 127)
    gap = max(1, round(min(size) * rng.uniform(0.008, 0.02)))
    for _ in range(int(rng.integers(1, 3))):
        place = rng.random()
        y, x = places[int(place * len(places))].tolist() if len(places) else (0, 0)
        angle, reach = rng.uniform(0, np.pi), min(size) * 0.1
        way = (round(reach * np.cos(angle)), round(reach * np.sin(angle)))
        cv2.line(cover, (x - way[0], y - way[1]), (x + way[0], y + way[1]), (0,), gap)
    return files.common(blend(blank(*size, ground), cover, ink), rng)


def broad_nib(writing: Writing, rng: Rng) -> bytes:
    """A broad nib at an angle: strokes are thick in one direction and thin in the other."""
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    size = any_size(rng, (200, 600))
    cover = ink_on(size, writing, rng, pens=(0.02, 0.035), spread=0.3)
    reach, angle = max(2, round(min(size) * rng.uniform(0.015, 0.03))), rng.uniform(0, np.pi)
    way = np.rint(reach * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    nib = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
    cv2.line(nib, (reach - way[0], reach - way[1]), (reach + way[0], reach + way[1]), (1,), 1)
    return files.common(blend(blank(*size, ground), cv2.dilate(cover, nib), ink), rng)


def many_colours(writing: Writing, rng: Rng) -> bytes:
    """Ink whose hue changes along the way, on black or white."""
    dark = rng.random() < 0.5
    size = any_size(rng)
    canvas = blank(*size, near(rng, BLACK if dark else WHITE, 20))
    cover = ink_on(size, writing, rng, pens=(0.05, 0.13))
    hue = (rng.uniform(0, 180) + 60 * clouds(rng, *size, rng.uniform(2, 5))) % 180
    value = np.full(size[::-1], 245 if dark else 150, np.uint8)
    colours = cv2.cvtColor(
        np.dstack([hue.astype(np.uint8), np.full_like(value, 200), value]), cv2.COLOR_HSV2RGB
    )
    share = cover[:, :, None] / np.float32(255)
    return files.common(np.rint(canvas * (1 - share) + colours * share).astype(np.uint8), rng)


def spray_paint(writing: Writing, rng: Rng) -> bytes:
    """Strokes of soft, grainy edges."""
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    size = any_size(rng, (200, 600))
    cover = ink_on(size, writing, rng, pens=(0.05, 0.1))
    soft = cv2.GaussianBlur(cover, (0, 0), min(size) * rng.uniform(0.008, 0.018))
    return files.common(blend(blank(*size, ground), grained(soft, rng, rng.uniform(0.3, 0.7)), ink), rng)


def pixelated(writing: Writing, rng: Rng) -> bytes:
    """A small picture enlarged to large pixels."""
    side, times = int(rng.integers(20, 40)), int(rng.integers(5, 16))
    cover = ink_on((8 * side, 8 * side), writing, rng, share=(0.6, 0.85), pens=(0.08, 0.14))
    small = cv2.resize(cover, (side, side), interpolation=cv2.INTER_AREA)
    ground, ink = either(rng, paper(rng), dark_ink(rng))
    canvas = blend(blank(side, side, ground), small, ink)
    large = cv2.resize(canvas, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    return files.common(large, rng)


KINDS = {
    kind.__name__: kind
    for kind in (
        thick_marker, thin_pen, broken_strokes, broad_nib, many_colours, spray_paint, pixelated,
    )
}  # fmt: skip
