"""A picture -> a few 28x28 candidates of the digit in it, for a model to choose from.

No single rule separates ink from paper in every picture. Several hypotheses are tried, each gives candidates,
and the model says which looks like a digit (choosing.py).
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.task import LEVELS, SIDE, Pixels
from digits.vision.candidates import Candidate, Candidates, exactly
from digits.vision.components import (
    Parts,
    find_parts,
    is_clean,
    likely_groups,
    others_of,
    surrounding,
)
from digits.vision.contrast import Ground, ink_of, plain_grounds, uneven_grounds
from digits.vision.cropping import Box, crop_to_pixels
from digits.vision.decoding import decode_picture
from digits.vision.faint import without_faint_ink
from digits.vision.lines import without_lines
from digits.vision.mnist import as_mnist_like
from digits.vision.obvious import find_obvious
from digits.vision.picture import Picture
from digits.vision.sheets import find_sheets
from digits.vision.views import Colour, Map, View, painted_view, sub_view, view_of

MOST = 14  # candidates of a picture
MOST_OF_GROUND = 8
MOST_INK = 0.6  # maximum share of a picture that ink on transparent paper covers
LEAST_PAPER = 0.2  # minimum opaque share of a picture whose paper is opaque
WANTED = 72  # desired longer side of a candidate, in pixels, before it is fitted into 20
ONE_COLOUR = 4.0  # standard deviation, in levels, of one colour after lossy compression
SAME = 5.0  # maximum mean difference, in levels, between two equal candidates


def read_picture(picture: Picture) -> Candidates:
    """Returns the candidates of a picture; the picture itself if it is like an image of MNIST."""
    if picture.channels.shape[:2] == (SIDE, SIDE):
        grey = _grey(picture)
        if grey is not None and (pixels := as_mnist_like(grey)) is not None:
            return exactly(pixels)
    layer = _only_layer(picture)
    if layer is not None and (candidate := _obvious(layer)) is not None:
        return Candidates([candidate])
    found: list[Candidate] = []
    for view, paper in _views(picture):
        found += _read_view(view, paper, sheets=True)
    found.sort(key=lambda item: item.rank)  # first the best candidate of each hypothesis, then the second
    return Candidates(_distinct(found)[:MOST])


def _grey(picture: Picture) -> Pixels | None:
    """Returns (SIDE, SIDE) grey levels of a picture of that size; None if it has colours.

    For strokes of one colour on transparent paper, the grey levels are their opacity.
    """
    channels, levels = picture.channels, picture.levels
    if channels.ndim == 2:
        return channels
    if picture.alpha is not None:
        inked = levels[picture.alpha > 0]
        return picture.alpha if (inked == inked[0]).all() else None
    if levels.ndim == 2:
        return levels
    first = levels[:, :, 0]
    return np.ascontiguousarray(first) if (levels == first[:, :, None]).all() else None


def _only_layer(picture: Picture) -> NDArray[np.uint8] | None:
    """Returns the only layer that can hold ink: an opaque picture's levels, or strokes' opacity."""
    alpha = picture.alpha
    if alpha is None:
        return picture.levels
    return alpha if cv2.countNonZero(_opaque(alpha)) <= LEAST_PAPER * alpha.size else None


def _opaque(alpha: Map) -> Map:
    opaque: Map = cv2.threshold(alpha, 200, 255, cv2.THRESH_BINARY)[1]
    return opaque


def _obvious(levels: NDArray[np.uint8]) -> Candidate | None:
    view = View(levels.reshape(*levels.shape[:2], -1))
    found = find_obvious(view, WANTED)
    if found is None:
        return None
    ink, box, contrast = found
    height, width = view.coarse.shape[:2]
    return Candidate(crop_to_pixels(ink), "plain", box.shares(width, height), 1, 0, contrast)


def _views(picture: Picture) -> list[tuple[View, Colour | None]]:
    """Returns the readable views of a picture, and the colour of its paper if that is known.

    If the paper is (half) transparent, the ink is in the alpha; if the paper is opaque with transparent
    corners, it is in the colours.
    """
    alpha = picture.alpha
    if alpha is None:
        return [(view_of(picture.levels), None)]
    opaque = _opaque(alpha)
    share = cv2.countNonZero(opaque) / opaque.size
    views: list[tuple[View, Colour | None]] = []
    if share < MOST_INK:
        views.append((view_of(alpha), np.array([cv2.minMaxLoc(alpha)[0]], np.float32)))
    if share > LEAST_PAPER and _has_ink(picture.levels, opaque):
        left, top, width, height = cv2.boundingRect(opaque)
        box = Box(left, top, left + width, top + height)
        side = 2 * max(1, max(width, height) // 100) + 1
        mask = cv2.erode(box.cut(opaque), np.ones((side, side), np.uint8))
        views.append((painted_view(np.ascontiguousarray(box.cut(picture.levels)), mask), None))
    return views


def _has_ink(levels: NDArray[np.uint8], opaque: Map) -> bool:
    """Returns whether the opaque part of a picture has more than one colour."""
    step = max(1, max(opaque.shape) // 128)
    size = (max(1, opaque.shape[1] // step), max(1, opaque.shape[0] // step))
    small, mask = (cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in (levels, opaque))
    return bool(cv2.meanStdDev(small, mask=mask)[1].max() > ONE_COLOUR)


def _read_view(view: View, paper: Colour | None, sheets: bool) -> list[Candidate]:
    found: list[Candidate] = []
    clean = False
    for plain in plain_grounds(view, paper):
        parts = find_parts(plain)
        if parts is None:
            continue
        found += _candidates(view, plain, parts)
        lined = without_lines(plain, parts)
        if lined is not None and (rest := find_parts(lined)) is not None:
            found += _candidates(view, lined, rest)
        found += _without_faint_ink(view, plain, parts)
        if paper is None and sheets:
            for mask, box in find_sheets(parts):
                found += _placed(_read_view(sub_view(view, mask, box), None, sheets=False), box, view)
        has_ink = any(not part.rim for part in parts.parts)
        clean = clean or (has_ink and is_clean(plain.contrast, parts))
    if paper is None and not clean:
        for ground in uneven_grounds(view):
            parts = find_parts(ground)
            if parts is not None:
                found += _candidates(view, ground, parts)
                found += _without_faint_ink(view, ground, parts)
    return found


def _without_faint_ink(view: View, ground: Ground, parts: Parts) -> list[Candidate]:
    return [
        candidate
        for strong in without_faint_ink(view, ground, parts)
        if (rest := find_parts(strong)) is not None
        for candidate in _candidates(view, strong, rest)
    ]


def _placed(found: list[Candidate], box: Box, view: View) -> list[Candidate]:
    """Returns candidates of a sheet, with their boxes as shares of the whole picture."""
    rows, columns = view.coarse.shape[:2]
    wide, high = box.width / columns, box.height / rows
    x, y = box.left / columns, box.top / rows
    placed = []
    for item in found:
        left, top, right, bottom = item.box
        inside = (x + left * wide, y + top * high, x + right * wide, y + bottom * high)
        placed.append(replace(item, sheet=True, box=inside))
    return placed


def _candidates(view: View, ground: Ground, parts: Parts) -> list[Candidate]:
    by_label = {part.label: part for part in parts.parts}
    height, width = ground.contrast.shape
    total = sum(part.area for part in parts.parts if not part.rim) or 1
    found = []
    for rank, group in enumerate(likely_groups(parts.parts)[:MOST_OF_GROUND]):
        own = [by_label[label] for label in group]
        box = surrounding([part.box for part in own])
        wide = box.widened(3, width, height)
        ink, contrast, colour = ink_of(view, ground, wide, parts.keep(group, wide), WANTED)
        pixels = crop_to_pixels(ink)
        share = sum(part.area for part in own) / total
        place = box.shares(width, height)
        others = others_of(own, parts.parts, box)
        found.append(
            Candidate(
                pixels, ground.name, place, min(share, 1.0), rank, contrast,
                others=others, colour=tuple(colour.tolist()),
            )
        )  # fmt: skip
    return found


def _distinct(found: list[Candidate]) -> list[Candidate]:
    kept: list[Candidate] = []
    for item in found:
        if not item.pixels.any():
            continue
        if all(cv2.norm(item.pixels, other.pixels, cv2.NORM_L1) > SAME * LEVELS for other in kept):
            kept.append(item)
    return kept


def read_file(data: bytes, max_pixels: int) -> Candidates:
    """Returns the candidates of an image file. Raises what `decode_picture` raises."""
    return read_picture(decode_picture(data, max_pixels))


def read_levels(levels: Pixels) -> Candidates:
    """Returns the candidates of (h, w) grey levels."""
    return read_picture(Picture(levels))
