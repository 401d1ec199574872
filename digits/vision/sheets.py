"""Sheets, cards, windows and screens that appear as one large part: pictures within the picture."""

import cv2
import numpy as np

from digits.vision.components import Part, Parts, equal
from digits.vision.cropping import Box
from digits.vision.views import Map

MOST_SHEETS = 2
LEAST_AREA = 0.05  # minimum share of the picture in a sheet's box
LEAST_SIDE = 20  # coarse pixels
LEAST_FILL = 0.5  # minimum share of its box that a sheet covers, which may be rotated
LEAST_OWN = 0.45  # minimum share of a filled sheet without ink
LEAST_BROAD = 0.1  # minimum share of a filled sheet that is farther from its edge than a stroke's width
RIM = 2  # coarse pixels at a sheet's edge that may be shadow


def find_sheets(parts: Parts) -> list[tuple[Map, Box]]:
    """Returns masks (255 inside, of the box's size) and boxes of the parts that may be sheets."""
    found: list[tuple[Map, Box]] = []
    for part in parts.parts:
        if len(found) == MOST_SHEETS or part.area < LEAST_AREA * LEAST_FILL * parts.mask.size:
            break
        mask = _sheet(parts, part)
        if mask is not None:
            found.append((mask, part.box))
    return found


def _sheet(parts: Parts, part: Part) -> Map | None:
    box = part.box
    width, height = box.width, box.height
    if min(width, height) < LEAST_SIDE or width * height < LEAST_AREA * parts.mask.size:
        return None
    own = equal(box.cut(parts.labels), part.label)
    outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(own)
    cv2.drawContours(filled, outlines, -1, (255,), cv2.FILLED)
    area = cv2.countNonZero(filled)
    if area < LEAST_FILL * width * height or part.area < LEAST_OWN * area:
        return None
    side = 2 * (min(width, height) // 6) + 1
    broad = cv2.erode(filled, np.ones((side, side), np.uint8))
    if cv2.countNonZero(broad) < LEAST_BROAD * area:
        return None
    kernel = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    inner: Map = cv2.erode(filled, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return inner
