"""Surroundings of a picture: borders, bars, pages, windows, phones, scanners."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.canvas import Canvas, Colour, Rng, blank, blend
from digits.corpus.colours import near
from digits.corpus.grounds import gradient

Mask = NDArray[np.uint8]  # (h, w), 255 inside


def bordered(canvas: Canvas, colour: Colour, left: int, top: int, right: int, bottom: int) -> Canvas:
    """Returns the canvas with margins of a colour, in pixels."""
    wide: Canvas = cv2.copyMakeBorder(canvas, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
    return wide


def rimmed(canvas: Canvas, colour: Colour, width: int) -> Canvas:
    """Draws a border over the canvas' edge, in place, and returns the canvas."""
    for edge in (canvas[:width], canvas[-width:], canvas[:, :width], canvas[:, -width:]):
        edge[:] = np.clip(np.rint(colour), 0, 255)
    return canvas


def rounded(width: int, height: int, radius: int) -> Mask:
    """Returns a mask of a rectangle with round corners."""
    mask = np.zeros((height, width), np.uint8)
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), (255,), -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), (255,), -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(mask, (x, y), radius, (255,), -1, cv2.LINE_AA)
    return mask


def disc(width: int, height: int) -> Mask:
    """Returns a mask of the largest ellipse."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(
        mask, (width // 2, height // 2), (width // 2 - 1, height // 2 - 1), 0, 0, 360, (255,), -1, cv2.LINE_AA
    )
    return mask


def shadowed(under: Canvas, mask: Mask, rng: Rng, strength: float = 0.5) -> Canvas:
    """Darkens a canvas by the soft shadow that a (h, w) mask casts, in place, and returns the canvas."""
    blur = max(under.shape[:2]) * rng.uniform(0.005, 0.02)
    shift = rng.uniform(0, 2 * blur, 2)
    moved = cv2.warpAffine(mask, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), mask.shape[::-1])
    return blend(under, cv2.GaussianBlur(moved, (0, 0), blur), (0, 0, 0), strength)


def window(content: Canvas, rng: Rng) -> Canvas:
    """Returns a screenshot of a window that shows the content, on a desktop, with its shadow."""
    height, width = content.shape[:2]
    title, margin = int(rng.integers(22, 38)), int(rng.integers(14, 70))
    dark = rng.random() < 0.25
    bar = blank(width, title, near(rng, (45, 45, 48) if dark else (225, 225, 228), 20))
    text = (220, 220, 220) if dark else (40, 40, 40)
    name = rng.choice(["Untitled", "Paint", "drawing.png", "Canvas", "Sketch"])
    cv2.putText(
        bar,
        str(name),
        (width // 3, title * 2 // 3),
        cv2.FONT_HERSHEY_SIMPLEX,
        title / 60,
        text,
        1,
        cv2.LINE_AA,
    )
    if rng.random() < 0.5:
        for place, colour in enumerate(((255, 95, 86), (255, 189, 46), (39, 201, 63))):
            cv2.circle(
                bar, (title // 2 + place * title * 2 // 3, title // 2), title // 5, colour, -1, cv2.LINE_AA
            )
    else:
        x, y, size = width - title, title // 2, title // 6
        cv2.line(bar, (x - size, y - size), (x + size, y + size), text, 1, cv2.LINE_AA)
        cv2.line(bar, (x - size, y + size), (x + size, y - size), text, 1, cv2.LINE_AA)
    framed = np.vstack([bar, content])
    if rng.random() < 0.5:
        framed = rimmed(framed, (110, 110, 115), 1)
    first, second = (tuple(rng.uniform(20, 240, 3).tolist()) for _ in range(2))
    desktop = gradient(width + 2 * margin, height + title + 2 * margin, first, second, rng.uniform(0, 6))
    mask = np.zeros(desktop.shape[:2], np.uint8)
    inside = slice(margin, margin + height + title), slice(margin, margin + width)
    mask[inside] = 255
    shadowed(desktop, mask, rng)[inside] = framed
    return desktop


def phone(content: Canvas, rng: Rng) -> Canvas:
    """Returns a phone's screenshot that shows the content between the status bar and the buttons."""
    width = content.shape[1]
    dark = rng.random() < 0.4
    colour, icon = ((20, 20, 22), (235, 235, 235)) if dark else ((248, 248, 248), (30, 30, 30))
    status, tools = int(width * rng.uniform(0.06, 0.12)), int(width * rng.uniform(0.1, 0.3))
    top, bottom = blank(width, status, near(rng, colour, 6)), blank(width, tools, near(rng, colour, 6))
    y, size = status // 2, max(2, status // 6)
    cv2.putText(
        top, "LTE", (status // 2, y + size), cv2.FONT_HERSHEY_SIMPLEX, status / 80, icon, 1, cv2.LINE_AA
    )
    cv2.rectangle(top, (width - 6 * size, y - size), (width - 2 * size, y + size), icon, -1)
    for bar in range(4):
        x = width - 14 * size + bar * size * 3 // 2
        cv2.rectangle(top, (x, y + size - (bar + 1) * size // 2), (x + size // 2, y + size), icon, -1)
    for place in range(4):
        x, half = (2 * place + 1) * width // 8, max(3, tools // 6)
        cv2.rectangle(
            bottom, (x - half, tools // 2 - half), (x + half, tools // 2 + half), near(rng, icon, 20), -1
        )
    return np.vstack([top, content, bottom])


def punched(canvas: Canvas, rng: Rng) -> Canvas:
    """Draws the holes of a folder near one edge, in place, and returns the canvas."""
    height, width = canvas.shape[:2]
    radius = max(3, round(width * rng.uniform(0.012, 0.02)))
    x = round(width * rng.uniform(0.03, 0.05))
    x = x if rng.random() < 0.8 else width - x
    colour = rng.choice([0, 30, 90, 150]) + rng.uniform(0, 20)
    holes = np.zeros((height, width), np.uint8)
    for share in [(0.36, 0.64), (0.125, 0.375, 0.625, 0.875)][rng.integers(2)]:
        cv2.circle(holes, (x, round(height * share)), radius, (255,), -1, cv2.LINE_AA)
    return blend(canvas, holes, (colour,) * 3)


def scanned(canvas: Canvas, rng: Rng) -> Canvas:
    """Returns a scan with the lid's dark edges, dust and the grain of the sensor."""
    height, width = canvas.shape[:2]
    light = np.ones((height, width), np.float32)
    for _ in range(rng.integers(1, 4)):
        reach = max(3.0, min(height, width) * rng.uniform(0.01, 0.05))
        side, dark = int(rng.integers(4)), rng.uniform(0.3, 1)
        length = height if side < 2 else width
        fade = 1 - dark * np.clip(1.5 - np.arange(length, dtype=np.float32) / reach, 0, 1)
        fade = fade[::-1] if side % 2 else fade
        light *= fade[:, None] if side < 2 else fade[None]
    dust = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(4, 30)):
        place = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(dust, place, int(rng.integers(0, max(2, width // 300))), (int(rng.integers(60, 220)),), -1)
    lit = np.rint(canvas * light[:, :, None]).astype(np.uint8)
    return blend(lit, dust, (60, 60, 60))


def boxed(canvas: Canvas, ink: Mask, colour: Colour, margin: float, thick: int) -> Canvas:
    """Draws a printed box around the ink, in place, and returns the canvas."""
    left, top, width, height = cv2.boundingRect(ink)
    away = round(margin * max(width, height, 8))
    side = max(width, height)
    left, top = left - (side - width) // 2 - away, top - (side - height) // 2 - away
    corners = ((left, top), (left + side + 2 * away, top + side + 2 * away))
    lines = np.zeros(canvas.shape[:2], np.uint8)
    cv2.rectangle(lines, *corners, (255,), thick)
    return blend(canvas, lines, colour)


def marked(canvas: Canvas, ink: Mask, rng: Rng) -> Canvas:
    """Draws an editor's dashed line and handles around the ink, in place, and returns the canvas."""
    left, top, width, height = cv2.boundingRect(ink)
    away, dash = int(rng.integers(6, 20)), int(rng.integers(3, 8))
    xs, ys = (
        (left - away, left + width // 2, left + width + away),
        (top - away, top + height // 2, top + height + away),
    )
    lines = np.zeros(canvas.shape[:2], np.uint8)
    for start in range(0, max(width, height) + 2 * away, 2 * dash):
        for y in (ys[0], ys[2]):
            cv2.line(lines, (min(xs[0] + start, xs[2]), y), (min(xs[0] + start + dash, xs[2]), y), (255,), 1)
        for x in (xs[0], xs[2]):
            cv2.line(lines, (x, min(ys[0] + start, ys[2])), (x, min(ys[0] + start + dash, ys[2])), (255,), 1)
    size = int(rng.integers(2, 5))
    for x in xs:
        for y in ys:
            if (x, y) != (xs[1], ys[1]):
                cv2.rectangle(lines, (x - size, y - size), (x + size, y + size), (255,), -1)
    return blend(canvas, lines, near(rng, (50, 110, 220), 50))
