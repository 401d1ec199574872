"""Grounds: hypotheses of what is paper. Each gives a contrast map in which ink is high."""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from digits.vision.cropping import Box, Ink
from digits.vision.views import Colour, Levels, Map, View, common_colours

KERNEL = 0.2  # size relative to the longer side: strokes are narrower, shadows are wider
PAPER = 20  # contrast that the grain of paper of one colour may have, in levels
FLOOR, FULL = 0.25, 0.7  # of the way from paper to ink: paper is below the first, full ink above the second
MOST_FLOOR = 0.6  # maximum of the first where faint ink is paper
STEEPEST = 0.2  # minimum distance of the two
GUESSES = ("faded", "solid", "ink")  # grounds that change the ink, or try a colour as ink
EVEN = 0.5  # minimum share of an even picture that has the colour of its paper
NOISE_FACTOR = 3.5  # minimum contrast of ink, in medians of the paper's noise
SIGMAS = 4.5  # ink threshold in medians of the paper's noise: three standard deviations


@dataclass(frozen=True)
class Ground:
    """A hypothesis about the paper of a view: one colour, or one that changes slowly."""

    name: str
    contrast: Map = field(repr=False)  # of the coarse scale
    noise: float  # median contrast of the paper itself, in levels
    colour: Colour | None = None  # of the paper, if it has one
    paper: Levels | None = field(default=None, repr=False)  # else its levels at the coarse scale
    faint: float = 0.0  # contrast up to which ink is not the writing
    every: bool = False  # whether contrast is the smallest difference of the channels, not the largest
    gain: float = 1.0  # by how much ink is amplified, so that weaker ink is full ink

    @property
    def is_guess(self) -> bool:
        return self.name in GUESSES


def plain_grounds(view: View, paper: Colour | None = None) -> list[Ground]:
    """Returns grounds of one colour, by default the one or two most common; contrast is colour distance."""
    grounds = []
    for colour in common_colours(view.coarse) if paper is None else [paper]:
        contrast = distance_from(view.coarse, colour)
        grounds.append(Ground("plain", contrast, _median(contrast, PAPER), colour=colour))
    return grounds


def is_even(ground: Ground) -> bool:
    """Returns whether half or more of a picture has the colour of the ground's paper."""
    paper = cv2.threshold(ground.contrast, PAPER, 255, cv2.THRESH_BINARY_INV)[1]
    return bool(cv2.countNonZero(paper) >= EVEN * paper.size)


def ground_of_map(ink: Map, name: str) -> Ground:
    """Returns the ground of a map in which ink is high and paper is 0."""
    return Ground(name, ink, _median(ink, PAPER), colour=np.zeros(1, np.float32))


def uneven_grounds(view: View) -> list[Ground]:
    """Returns grounds under uneven light, with dark ink and with light ink."""
    coarse = view.coarse
    side = max(3, int(max(coarse.shape) * KERNEL) | 1)
    kernel = np.ones((side, side), np.uint8)
    grounds = []
    for name, operation in (("dark", cv2.MORPH_CLOSE), ("light", cv2.MORPH_OPEN)):
        paper = cv2.morphologyEx(coarse, operation, kernel)
        paper = cv2.blur(paper, (side // 4 | 1, side // 4 | 1)).reshape(coarse.shape)
        contrast = largest_channel(
            cv2.subtract(paper, coarse) if name == "dark" else cv2.subtract(coarse, paper)
        )
        offset = _median(contrast)
        contrast = cv2.subtract(contrast, _scalar([offset]))
        grounds.append(Ground(name, contrast, max(2.0, offset / 2), paper=paper))
    return grounds


def ink_of(view: View, ground: Ground, box: Box, keep: Map, wanted: int) -> tuple[Ink, float, Colour]:
    """Returns the ink in a box of the coarse scale, at a useful scale, its contrast in levels and its colour.

    `keep` has the size of the box; it is 0 where pixels belong to something else. A pixel's level is its
    place on the line from the paper's colour to the ink's, which also removes noise of other colours.
    """
    levels, times = view.scale_for(max(box.width, box.height), wanted)
    region = own = box.cut(levels, times)
    rows, columns = region.shape[:2]
    if times > 1:
        keep = cv2.resize(keep, (columns, rows), interpolation=cv2.INTER_LINEAR)
    paper, scale = ground.colour, 1.0
    if paper is None:
        assert ground.paper is not None
        local = box.cut(ground.paper)
        if times > 1:
            local = cv2.resize(local, (columns, rows))
        # Half of the difference to the paper, around the middle level, fits into 8 bits.
        scale = 0.5
        region = cv2.addWeighted(region, scale, local.reshape(region.shape), -scale, 128).reshape(
            region.shape
        )
        paper = np.full(region.shape[2], 128, np.float32)
    distance = distance_from(region, paper, ground.every)
    counts = cv2.calcHist([distance], [0], keep, [256], [0, 256]).ravel().cumsum()
    peak = max(1, int(np.searchsorted(counts, 0.95 * counts[-1])))
    strong = cv2.bitwise_and(keep, cv2.threshold(distance, max(peak // 2, 1) - 1, 255, cv2.THRESH_BINARY)[1])
    ink = np.array(cv2.mean(region, strong)[: region.shape[2]], np.float32)
    direction = (ink - paper).astype(np.float64)
    length = float(direction @ direction)
    colour = np.array(cv2.mean(own, strong)[: own.shape[2]], np.float32)
    if length < 1:
        return np.zeros((rows, columns), np.uint8), 0.0, colour
    floor = max(FLOOR / ground.gain, min(0.5, SIGMAS * scale * ground.noise / length**0.5))
    floor = min(MOST_FLOOR, max(floor, scale * ground.faint / peak))
    slope = 255 / (max(FULL / ground.gain, floor + STEEPEST / ground.gain) - floor)
    if ground.every:
        cover = cv2.convertScaleAbs(cv2.subtract(distance, (floor * peak, 0, 0, 0)), alpha=slope / peak)
    else:
        gain = direction * (slope / length)
        offset = -float(gain @ paper) - slope * floor
        cover = cv2.transform(region, np.array([[*gain.tolist(), offset]])).reshape(rows, columns)
    return cv2.min(cover, keep), length**0.5 / scale, colour


def distance_from(levels: Levels, colour: Colour, every: bool = False) -> Map:
    """Returns the largest, or with `every` the smallest, difference of a channel to a colour's."""
    difference = cv2.absdiff(levels, _scalar(np.rint(colour).tolist())).reshape(levels.shape)
    return smallest_channel(difference) if every else largest_channel(difference)


def _scalar(values: list[float]) -> tuple[float, ...]:
    """Returns a colour as the four values that OpenCV needs, also for one channel."""
    return tuple(values) + (0.0,) * (4 - len(values))


def largest_channel(levels: Levels) -> Map:
    """Returns the largest of the channels of each pixel, (h, w)."""
    if levels.ndim == 2 or levels.shape[2] == 1:
        return levels.reshape(levels.shape[:2])
    first, second, third = cv2.split(levels)
    largest: Map = cv2.max(cv2.max(first, second), third)
    return largest


def smallest_channel(levels: Levels) -> Map:
    """Returns the smallest of the channels of each pixel, (h, w)."""
    if levels.shape[2] == 1:
        return levels.reshape(levels.shape[:2])
    first, second, third = cv2.split(levels)
    smallest: Map = cv2.min(cv2.min(first, second), third)
    return smallest


def in_every_channel(view: View, ground: Ground) -> Ground | None:
    """Returns the ground with only the contrast that every channel has, which coloured stains have not.

    None for a grey view, or for paper that has no single colour.
    """
    if ground.colour is None or view.coarse.shape[2] == 1:
        return None
    return replace(ground, contrast=distance_from(view.coarse, ground.colour, every=True), every=True)


def _median(contrast: Map, most: int = 255) -> float:
    """Returns the median of the levels up to `most`."""
    counts = cv2.calcHist([contrast], [0], None, [most + 1], [0, most + 1]).ravel().cumsum()
    return float(np.searchsorted(counts, counts[-1] / 2))
