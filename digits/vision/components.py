"""Connected parts of a contrast map, and which of them may form a digit together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.vision.contrast import NOISE_FACTOR, Ground
from digits.vision.cropping import Box
from digits.vision.views import Map

FAINTEST = 8  # minimum contrast of ink to paper, in levels
MOST_PARTS = 16
SMALLEST_SHARE = 0.03  # minimum area relative to the largest part; smaller parts are specks
RIM_SHARE = 0.6  # minimum share of a picture edge that a rim, a bar or a frame covers
LIKE_AREA = 0.25  # relative to the largest part's area: more than three such parts may be a number
NEAR = 0.3  # maximum distance relative to the larger of two parts that may be strokes of one digit

Group = tuple[int, ...]  # labels of parts


@dataclass(frozen=True)
class Part:
    """A connected part of the ink."""

    label: int
    box: Box
    area: int
    rim: bool  # covers most of an edge of the picture or holds one of its corners

    @property
    def size(self) -> int:
        return max(self.box.width, self.box.height)


class Others(NamedTuple):
    """What else a hypothesis sees around a group of parts, as areas relative to the group's."""

    inside: float = 0.0  # ink within its box, like the eyes of a face
    beside: float = 0.0  # ink near its box, like the bars of an E beside its stem
    around: bool = False  # whether the box of another part contains the group's


NOTHING_ELSE = Others()


@dataclass(frozen=True)
class Parts:
    """The connected parts of the ink of one hypothesis."""

    labels: NDArray[np.int32]  # (h, w), 0 where no ink is
    mask: Map
    parts: list[Part]  # largest area first
    level: float  # the threshold of ink

    def keep(self, group: Sequence[int], box: Box) -> Map:
        """Returns which pixels of a box may belong to a group (parts and their soft edges): 255 or 0."""
        labels = box.cut(self.labels)
        chosen = np.zeros(labels.shape, np.uint8)
        for label in group:
            chosen |= equal(labels, label)
        others = cv2.subtract(box.cut(self.mask), chosen)
        kept: Map = cv2.subtract(cv2.dilate(chosen, np.ones((5, 5), np.uint8)), others)
        return kept


def find_parts(ground: Ground) -> Parts | None:
    """Returns the connected parts of a ground's ink, or None if nothing stands out.

    A picture edge can be much stronger than the ink, so the threshold is chosen again without it.
    """
    contrast = ground.contrast
    found = None
    for _ in range(2):
        level = ink_threshold(contrast, ground.noise)
        if level is None:
            break
        found = _labelled(contrast, level)
        rims = [part for part in found.parts if part.rim]
        if not rims:
            break
        covered = np.zeros(contrast.shape, np.uint8)
        for part in rims:
            covered |= equal(found.labels, part.label)
        contrast = cv2.subtract(contrast, cv2.dilate(covered, np.ones((7, 7), np.uint8)))
    return found


def ink_threshold(contrast: Map, noise: float) -> float | None:
    """Returns the level between paper and ink, or None if nothing stands out from the noise."""
    counts = cv2.calcHist([contrast], [0], None, [256], [0, 256]).ravel()[::-1].cumsum()
    enough = max(8.0, 0.0006 * contrast.size)
    peak = 255 - int(np.searchsorted(counts, enough))
    if peak < max(FAINTEST, 4 * noise):
        return None
    return max(0.42 * peak, NOISE_FACTOR * noise)


def equal(labels: NDArray[np.int32], label: int) -> Map:
    """Returns 255 where a label is, 0 elsewhere."""
    same: Map = cv2.inRange(labels, (label,), (label,))
    return same


def is_clean(contrast: Map, parts: Parts) -> bool:
    """Returns whether paper and ink are separate: hardly any levels between, except at strokes' edges."""
    between = cv2.threshold(contrast, parts.level * 0.4, 255, cv2.THRESH_BINARY)[1]
    left = cv2.subtract(between, cv2.dilate(parts.mask, np.ones((5, 5), np.uint8)))
    return bool(cv2.countNonZero(left) <= 0.1 * cv2.countNonZero(parts.mask))


def _labelled(contrast: Map, level: float) -> Parts:
    mask = cv2.threshold(contrast, level, 255, cv2.THRESH_BINARY)[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, cv2.CV_32S, cv2.CCL_GRANA)
    height, width = mask.shape
    parts = []
    largest = np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST_PARTS] + 1
    for label, (left, top, wide, high, area) in zip(largest.tolist(), stats[largest].tolist(), strict=True):
        box = Box(left, top, left + wide, top + high)
        touches = left == 0 or top == 0 or box.right == width or box.bottom == height
        parts.append(Part(label, box, area, touches and _is_rim(labels, label)))
    return Parts(labels, mask, parts, level)


def _is_rim(labels: NDArray[np.int32], label: int) -> bool:
    """Returns whether a part covers a corner of the picture or most of one of its edges."""
    edges = [edge == label for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1])]
    return any(edge[0] or edge[-1] or np.count_nonzero(edge) >= RIM_SHARE * edge.size for edge in edges)


def likely_groups(parts: list[Part]) -> list[Group]:
    """Returns groups of parts that may be one digit, the most likely first, without duplicates.

    They are: all parts without specks and picture edges; parts near each other; each large part alone; the
    parts in a box.
    """
    if not parts:
        return []
    if len(parts) == 1:
        return [(parts[0].label,)]
    inner = [part for part in parts if not part.rim] or parts
    largest = inner[0].area
    inner = [part for part in inner if part.area >= max(4, SMALLEST_SHARE * largest)]
    groups: list[Group] = [_labels(part for part in inner if part.area >= 0.08 * largest)]
    clusters = cluster(inner)
    groups += [_labels(each) for each in clusters[:3]]
    for outer in inner[:3]:
        inside = [part for part in inner if part is not outer and _contains(outer.box, part.box)]
        if inside:
            groups.append(_labels(inside))
    alike = [part for part in inner[3:6] if part.area >= LIKE_AREA * largest]
    groups += [(part.label,) for part in inner[:3] + alike]
    if parts[0].rim:
        groups.append(_labels(part for part in parts if part.area >= 0.08 * parts[0].area))
    return [group for group in dict.fromkeys(groups) if group]


def cluster(parts: Sequence[Part]) -> list[list[Part]]:
    """Joins parts whose boxes are near each other; the cluster with the largest area comes first."""
    clusters: list[list[Part]] = []
    for part in parts:
        near = [each for each in clusters if any(_near(part, other) for other in each)]
        clusters = [each for each in clusters if each not in near]
        clusters.append([part, *(other for each in near for other in each)])
    return sorted(clusters, key=lambda each: -sum(part.area for part in each))


def others_of(group: Sequence[Part], parts: Sequence[Part], box: Box) -> Others:
    """Returns what else is around a group of parts with this box, without picture edges."""
    whole = Part(0, box, sum(part.area for part in group), False)
    others = [part for part in parts if not part.rim and part not in group]
    framing = [part for part in others if _contains(part.box, box)]
    inside = [part for part in others if part not in framing and _holds_middle(box, part.box)]
    beside = [part for part in others if part not in framing and part not in inside and _near(whole, part)]
    area = max(1, whole.area)
    return Others(
        sum(part.area for part in inside) / area, sum(part.area for part in beside) / area, bool(framing)
    )


def surrounding(boxes: Sequence[Box]) -> Box:
    """Returns the smallest box around all boxes."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _labels(parts: object) -> Group:
    return tuple(sorted(part.label for part in parts))  # type: ignore[attr-defined]


def _contains(outer: Box, inner: Box) -> bool:
    return (
        outer.left < inner.left
        and outer.top < inner.top
        and outer.right > inner.right
        and outer.bottom > inner.bottom
    )


def _holds_middle(outer: Box, inner: Box) -> bool:
    across, down = (inner.left + inner.right) / 2, (inner.top + inner.bottom) / 2
    return outer.left < across < outer.right and outer.top < down < outer.bottom


def _near(first: Part, second: Part) -> bool:
    a, b = first.box, second.box
    gap = max(a.left - b.right, b.left - a.right, a.top - b.bottom, b.top - a.bottom)
    return gap <= NEAR * max(first.size, second.size)
