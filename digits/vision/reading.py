"""A picture -> a few 28x28 candidates of the digit in it, for a model to choose from.

Each hypothesis about paper and ink (hypotheses.py) gives candidates, and the model says which looks like a
digit (choosing.py).
"""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.task import LEVELS, SIDE, Pixels
from digits.vision.candidates import Candidate, Candidates, exactly
from digits.vision.components import Group, likely_groups, others_of, surrounding
from digits.vision.contrast import ink_of
from digits.vision.cropping import Box, crop_to_pixels
from digits.vision.decoding import decode_picture
from digits.vision.hypotheses import Hypothesis, hypotheses
from digits.vision.mnist import as_mnist_like
from digits.vision.obvious import find_obvious
from digits.vision.picture import Picture
from digits.vision.views import Colour, Map, View, painted_view, view_of

MOST = 16  # candidates of a picture
MOST_OF_GROUND, MOST_OF_GUESS = 8, 2  # of a hypothesis
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
    return Candidates(_most_likely(_views(picture)))


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


def _most_likely(views: Iterable[tuple[View, Colour | None]]) -> list[Candidate]:
    """Returns up to MOST different candidates: first the best of each hypothesis, then the second ones.

    The best candidate of a guess comes with the second ones.
    """
    groups = [
        (rank, group, hypothesis, view)
        for view, paper in views
        for hypothesis in hypotheses(view, paper)
        for rank, group in enumerate(likely_groups(hypothesis.parts.parts)[: _most(hypothesis)])
    ]
    found: list[Candidate] = []
    for rank, group, hypothesis, view in sorted(
        groups, key=lambda entry: entry[0] + entry[2].ground.is_guess
    ):
        candidate = _candidate(rank, group, hypothesis, view)
        if candidate.pixels.any() and all(_differ(candidate, other) for other in found):
            found.append(candidate)
            if len(found) == MOST:
                break
    return found


def _most(hypothesis: Hypothesis) -> int:
    return MOST_OF_GUESS if hypothesis.ground.is_guess else MOST_OF_GROUND


def _candidate(rank: int, group: Group, hypothesis: Hypothesis, view: View) -> Candidate:
    """Returns a group of parts of a hypothesis about a view, or about a sheet in it, as a candidate."""
    ground, parts = hypothesis.ground, hypothesis.parts
    height, width = ground.contrast.shape
    members = [part for part in parts.parts if part.label in group]
    box = surrounding([part.box for part in members])
    wide = box.widened(3, width, height)
    ink, contrast, colour = ink_of(hypothesis.view, ground, wide, parts.keep(group, wide), WANTED)
    total = sum(part.area for part in parts.parts if not part.rim) or 1
    candidate = Candidate(
        crop_to_pixels(ink),
        ground.name,
        box.shares(width, height),
        min(1.0, sum(part.area for part in members) / total),
        rank,
        contrast,
        others=others_of(members, parts.parts, box),
        colour=tuple(colour.tolist()),
    )
    return candidate if hypothesis.sheet is None else _placed(candidate, hypothesis.sheet, view)


def _placed(item: Candidate, sheet: Box, view: View) -> Candidate:
    """Returns a candidate on a sheet of a view, with its box as shares of the view."""
    rows, columns = view.coarse.shape[:2]
    wide, high = sheet.width / columns, sheet.height / rows
    x, y = sheet.left / columns, sheet.top / rows
    left, top, right, bottom = item.box
    inside = (x + left * wide, y + top * high, x + right * wide, y + bottom * high)
    return replace(item, sheet=True, box=inside)


def _differ(first: Candidate, second: Candidate) -> bool:
    return cv2.norm(first.pixels, second.pixels, cv2.NORM_L1) > SAME * LEVELS


def read_file(data: bytes, max_pixels: int) -> Candidates:
    """Returns the candidates of an image file. Raises what `decode_picture` raises."""
    return read_picture(decode_picture(data, max_pixels))


def read_levels(levels: Pixels) -> Candidates:
    """Returns the candidates of (h, w) grey levels."""
    return read_picture(Picture(levels))
