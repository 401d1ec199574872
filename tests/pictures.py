"""Pictures as people send them, drawn from stored strokes: pens, papers, light, angles, sizes, file formats.

They are seeded, so a failure can be reproduced: `python -m tests.pictures FOLDER` writes some.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.task import Pixels

Points = list[tuple[float, float]]

# The strokes of each digit, in a box of 1 by 1.5, y downwards.
STROKES: dict[int, list[Points]] = {
    0: [[(0.5, 0.0), (0.15, 0.2), (0.0, 0.75), (0.15, 1.3), (0.5, 1.5),
         (0.85, 1.3), (1.0, 0.75), (0.85, 0.2), (0.5, 0.0)]],
    1: [[(0.3, 0.3), (0.6, 0.0), (0.6, 1.5)]],
    2: [[(0.05, 0.35), (0.3, 0.02), (0.75, 0.05), (0.95, 0.4), (0.75, 0.8), (0.05, 1.5), (1.0, 1.48)]],
    3: [[(0.05, 0.2), (0.45, 0.0), (0.9, 0.2), (0.85, 0.55), (0.4, 0.7),
         (0.9, 0.9), (0.95, 1.25), (0.5, 1.5), (0.0, 1.3)]],
    4: [[(0.6, 0.0), (0.0, 0.95), (1.0, 0.95)], [(0.7, 0.5), (0.7, 1.5)]],
    5: [[(0.9, 0.0), (0.15, 0.02), (0.1, 0.65), (0.5, 0.55),
         (0.95, 0.8), (0.95, 1.2), (0.5, 1.5), (0.0, 1.35)]],
    6: [[(0.8, 0.0), (0.3, 0.4), (0.02, 1.0), (0.2, 1.42), (0.6, 1.5),
         (0.95, 1.2), (0.7, 0.85), (0.3, 0.88), (0.05, 1.15)]],
    7: [[(0.0, 0.02), (1.0, 0.0), (0.65, 0.6), (0.4, 1.5)]],
    8: [[(0.5, 0.7), (0.1, 0.4), (0.25, 0.05), (0.7, 0.02), (0.9, 0.35), (0.5, 0.7),
         (0.05, 1.1), (0.25, 1.48), (0.75, 1.48), (0.95, 1.1), (0.5, 0.7)]],
    9: [[(0.95, 0.45), (0.6, 0.75), (0.15, 0.65), (0.05, 0.3),
         (0.4, 0.0), (0.85, 0.1), (0.95, 0.45), (0.85, 1.5)]],
}  # fmt: skip


def pictures(count: int, seed: int) -> Iterator[tuple[bytes, int, str]]:
    """Yields `count` image files, each with its digit and its kind."""
    random = np.random.default_rng(seed)
    for number in range(count):
        digit = number % 10
        kind = KINDS[number // 10 % len(KINDS)]
        yield (*_picture(digit, kind, random), f"{number} {kind}")


KINDS = ("scan", "photo", "screen", "chalk", "transparent", "tiny", "huge", "ruled")


def _picture(digit: int, kind: str, random: np.random.Generator) -> tuple[bytes, int]:
    side = {"tiny": int(random.integers(20, 40)), "huge": int(random.integers(2200, 3000))}.get(
        kind, int(random.integers(120, 900))
    )
    cover = _drawn(digit, side, random)
    ink, paper = (
        (235, 25) if kind == "chalk" else (float(random.uniform(0, 70)), float(random.uniform(190, 255)))
    )
    if kind == "transparent":
        rgba = np.zeros((*cover.shape, 4), np.uint8)
        rgba[..., 3] = cover * 255
        return _file(Image.fromarray(rgba), "PNG"), digit
    levels = np.full(cover.shape, float(paper))
    if kind == "photo":
        levels *= _light(cover.shape, random)
    if kind == "ruled":
        levels[:: max(8, side // 12)] -= 25
    levels += (ink - levels) * cover
    if kind in ("photo", "ruled", "scan"):
        levels += random.normal(0, 4, levels.shape)
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    if kind in ("photo", "huge"):
        return _file(image.convert("RGB"), "JPEG", quality=int(random.integers(60, 95))), digit
    return _file(image, "PNG"), digit


def _drawn(digit: int, side: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Returns the share of ink of each pixel, 0 to 1, drawn four times as large and averaged."""
    fine = min(4 * side, 3000)
    height = fine * random.uniform(0.5, 0.75)
    width = height / 1.5 * random.uniform(0.75, 1.15)
    angle, slant = np.radians(random.uniform(-10, 10)), random.uniform(-0.15, 0.15)
    left = (fine - width) * random.uniform(0.35, 0.65)
    top = (fine - height) * random.uniform(0.35, 0.65)
    pen = max(2, round(height * random.uniform(0.05, 0.13)))
    image = np.zeros((fine, fine), np.uint8)
    for stroke in STROKES[digit]:
        points = _smoothed(np.array(stroke) + random.normal(0, 0.02, (len(stroke), 2)))
        x = (points[:, 0] - 0.5 - slant * (points[:, 1] - 0.75)) * width
        y = (points[:, 1] / 1.5 - 0.5) * height
        across = left + width / 2 + x * np.cos(angle) - y * np.sin(angle)
        down = top + height / 2 + x * np.sin(angle) + y * np.cos(angle)
        _draw(image, across, down, pen)
    return _cover(image, side, side)


def written(digit: int, height: float, pen: float, margin: float) -> NDArray[np.float64]:
    """How much of each pixel is ink, 0 to 1: an upright digit so tall, with a margin of paper around it."""
    scale, edge = 4, margin + pen / 2
    image = np.zeros((round((height + 2 * edge) * scale), round((height / 1.5 + 2 * edge) * scale)), np.uint8)
    for stroke in STROKES[digit]:
        points = (_smoothed(np.array(stroke)) / 1.5 * height + edge) * scale
        _draw(image, points[:, 0], points[:, 1], round(pen * scale))
    return _cover(image, image.shape[1] // scale, image.shape[0] // scale)


def _cover(image: Pixels, width: int, height: int) -> NDArray[np.float64]:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) / 255)


def _draw(image: Pixels, across: NDArray[np.float64], down: NDArray[np.float64], pen: int) -> None:
    places = np.rint(np.stack([across, down], axis=1)).astype(np.int32)
    cv2.polylines(image, [places], isClosed=False, color=(255,), thickness=pen)


def _smoothed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cuts the corners twice (Chaikin) and interpolates, so that the dots of the pen leave no gap."""
    for _ in range(2):
        middle = np.stack(
            [0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1
        )
        points = np.concatenate([points[:1], middle.reshape(-1, 2), points[-1:]])
    return points


def _light(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    """Returns the light of a lamp to one side, with the soft shadow of a hand."""
    rows, columns = np.mgrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j]
    tilt = random.uniform(-0.3, 0.3, 2)
    lamp = 1 + tilt[0] * (rows - 0.5) + tilt[1] * (columns - 0.5)
    place = random.uniform(0, 1, 2)
    shadow = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 0.3)
    light: NDArray[np.float64] = lamp * (1 - random.uniform(0, 0.3) * shadow)
    return light


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def tagged(image: Image.Image, orientation: int, file_format: str) -> bytes:
    """Returns a file whose pixels are turned, with the EXIF orientation that turns them upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(TURNS[orientation]) if orientation in TURNS else image
    return _file(stored, file_format, exif=exif)


def _file(image: Image.Image, file_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for content, digit, made in pictures(160, seed=0):
        suffix = "jpg" if content.startswith(b"\xff\xd8") else "png"
        (folder / f"{digit}_{made.replace(' ', '_')}.{suffix}").write_bytes(content)
