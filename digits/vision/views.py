"""Views: a picture, or a part of one, at several scales."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.vision.cropping import Box

Levels = NDArray[np.uint8]  # (h, w, channels) with 1 or 3 channels
Map = NDArray[np.uint8]  # (h, w), 0 to 255
Colour = NDArray[np.float32]  # (channels,)

COARSE = 180  # maximum longer side, in pixels, at which ink is searched; at least half of it
THUMBNAIL = 64  # up to this many pixels a side a picture is a crop of a digit, with ink up to its edges
SMALLEST = 64  # smaller pictures are enlarged to this longer side
SHEET = 256  # minimum longer side, in pixels, of a part of a picture that becomes a separate view
BINS = 17  # bins for each channel, 16 levels wide, to count colours
SAMPLE = 40  # pixels a side of the sample in which colours are counted
SECOND = 0.25  # minimum share of the picture for its second most common colour to count as paper
THIRD = 0.06  # the same for the third: a note that lies on two grounds
SPREAD = 8  # range of paper around a common colour, in levels
APART = 32  # minimum distance of two common colours, in levels


@dataclass(frozen=True)
class View:
    """A picture, or a part of one, at its finest scale and at each halving down to the coarse one."""

    fine: Levels

    @cached_property
    def scales(self) -> list[Levels]:
        """The scales, the finest first; each next one averages 2 x 2 pixels, the fastest reduction."""
        scales = [self.fine]
        while max(scales[-1].shape[:2]) > COARSE:
            height, width, channels = scales[-1].shape
            rows, columns = max(1, height // 2), max(1, width // 2)
            even = scales[-1][: rows * 2, : columns * 2]
            half = cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)
            scales.append(half.reshape(rows, columns, channels))
        return scales

    @property
    def coarse(self) -> Levels:
        return self.scales[-1]

    def scale_for(self, longer: int, wanted: int) -> tuple[Levels, int]:
        """Returns the coarsest scale that has `wanted` pixels for `longer` coarse ones, and its factor."""
        for step, levels in enumerate(reversed(self.scales)):
            if longer << step >= wanted or step == len(self.scales) - 1:
                return levels, 1 << step
        raise AssertionError("a view has a scale")


def view_of(levels: NDArray[np.uint8]) -> View:
    """Returns a view of grey (h, w) or colour (h, w, 3) levels; small ones get a border and are enlarged."""
    channels = levels.shape[2] if levels.ndim == 3 else 1
    height, width = levels.shape[:2]
    if max(height, width) <= THUMBNAIL:
        levels = cv2.copyMakeBorder(levels, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=colour_of_edge(levels))
        height, width = height + 4, width + 4
    if max(height, width) < SMALLEST:
        scale = SMALLEST / max(height, width)
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    return View(levels.reshape(height, width, channels))


def colour_of_edge(levels: NDArray[np.uint8]) -> list[float]:
    """Returns the median of the levels at the edge of a picture, for each channel."""
    edge = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    edge.partition(len(edge) // 2, axis=0)
    return list(np.atleast_1d(edge[len(edge) // 2]).tolist())


def sub_view(view: View, mask: Map, box: Box) -> View:
    """Returns a view of a box of the coarse scale, with everything outside the mask painted as paper.

    `mask` covers the box at any scale: 255 inside, 0 outside.
    """
    levels, times = view.scale_for(max(box.width, box.height), SHEET)
    return painted_view(np.ascontiguousarray(box.cut(levels, times)), mask)


def painted_view(levels: NDArray[np.uint8], mask: Map) -> View:
    """Returns a view of levels in which pixels outside the mask have the most common colour inside."""
    height, width = levels.shape[:2]
    levels = levels.reshape(height, width, -1)
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = cv2.threshold(mask, 254, 255, cv2.THRESH_BINARY)[1]
    colours = common_colours(levels, mask)
    if not colours:
        return view_of(levels)
    painted = np.empty_like(levels)
    painted[:] = np.rint(colours[0]).astype(np.uint8)
    cv2.copyTo(levels, mask, painted)
    return view_of(painted)


def common_colours(levels: Levels, inside: Map | None = None) -> list[Colour]:
    """Returns the one to three most common colours of levels; the second one covers at least a quarter.

    `inside` has the size of the levels; it is 0 where levels do not count.
    """
    height, width, channels = levels.shape
    step = max(1, max(height, width) // SAMPLE)
    size = (max(1, width // step), max(1, height // step))
    sample = cv2.resize(levels, size, interpolation=cv2.INTER_NEAREST)
    left = np.full(sample.shape[:2], 255, np.uint8)
    if inside is not None:
        left = cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST)
    total = cv2.countNonZero(left)
    colours: list[Colour] = []
    for least in (0.0, SECOND, THIRD):
        if cv2.countNonZero(left) <= least * total:
            break
        # Shifted by half a bin, black and white are in the middle of one.
        counts = cv2.calcHist([sample], [*range(channels)], left, [BINS] * channels, [-8, 264] * channels)
        bins = np.unravel_index(int(counts.argmax()), counts.shape)
        colour = np.array([16 * int(place) for place in bins[:channels]], np.float32)
        for _ in range(2):
            near = _near(sample, colour, SPREAD, left)
            if cv2.countNonZero(near):
                colour = np.array(cv2.mean(sample, near)[:channels], np.float32)
        if cv2.countNonZero(near) <= least * total:
            break
        colours.append(colour)
        left = cv2.subtract(left, _near(sample, colour, APART, left))
    return colours


def _near(levels: Levels, colour: Colour, most: int, inside: Map) -> Map:
    """Returns 255 where the levels of each channel differ from a colour by `most` or less."""
    low, high = np.floor(colour - most).tolist(), np.ceil(colour + most).tolist()
    near: Map = cv2.bitwise_and(cv2.inRange(levels, (*low, 0, 0, 0)[:4], (*high, 0, 0, 0)[:4]), inside)
    return near
