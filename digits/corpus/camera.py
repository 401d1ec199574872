"""The effects of light, lens and sensor on a picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.corpus.canvas import Canvas, Colour, Field, Range, Rng, blend, clouds, shade
from digits.corpus.colours import near
from digits.corpus.frames import shadowed

COARSE = 48  # samples a side of a light that is smooth
SKINS = ((235, 190, 165), (200, 150, 120), (140, 95, 70), (85, 55, 42))
NOISE_TILE = 256  # pixels


def uneven(rng: Rng, width: int, height: int, depth: float) -> Field:
    """Returns the light of a lamp to one side; `depth` is the share that is lost in the darkest corner."""
    rows, columns = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + 0.5 * (rows * np.sin(angle) + columns * np.cos(angle)) / 1.5
    light = 1 - depth * np.clip(slope, 0, 1) ** rng.uniform(0.8, 2) + 0.02 * clouds(rng, COARSE, COARSE, 3)
    return _enlarged(light, width, height)


def vignette(rng: Rng, width: int, height: int, depth: float) -> Field:
    """Returns light that falls off to the corners."""
    rows, columns = _grid()
    return _enlarged(
        1 - depth * np.clip((rows**2 + columns**2) / 2, 0, 1) ** rng.uniform(0.7, 1.4), width, height
    )


def hand_shadow(rng: Rng, width: int, height: int, depth: float) -> Field:
    """Returns light with the soft shadow of a hand or a head that reaches in from an edge."""
    rows, columns = _grid()
    angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.5)
    along = rows * np.cos(angle) - columns * np.sin(angle)
    across = rows * np.sin(angle) + columns * np.cos(angle) - reach
    across = across + 0.25 * np.sin(along * rng.uniform(2, 5) + rng.uniform(0, 6)) + 0.5 * along**2
    shadow = 1 / (1 + np.exp(-across / rng.uniform(0.02, 0.12)))
    return _enlarged(1 - depth * shadow, width, height)


def reflection(canvas: Canvas, rng: Rng, strength: float) -> Canvas:
    """Lays the reflections of lamps and windows on the canvas, in place, and returns it."""
    height, width = canvas.shape[:2]
    glare = np.zeros((COARSE, COARSE), np.uint8)
    for _ in range(rng.integers(1, 4)):
        centre, axes = rng.integers(0, COARSE, 2).tolist(), rng.integers(3, 14, 2).tolist()
        cv2.ellipse(glare, centre, axes, float(rng.uniform(0, 180)), 0, 360, (255,), -1)
    glare = cv2.GaussianBlur(glare, (0, 0), rng.uniform(1.5, 5))
    return blend(
        canvas, cv2.resize(glare, (width, height), interpolation=cv2.INTER_CUBIC), (255, 255, 255), strength
    )


def with_a_finger(canvas: Canvas, rng: Rng) -> Canvas:
    """Lays a finger that reaches in from an edge on the canvas, in place, and returns it."""
    height, width = canvas.shape[:2]
    side, along = int(rng.integers(4)), rng.uniform(0.2, 0.8)
    x, y = ((0, along), (1, along), (along, 0), (along, 1))[side]
    thick, reach = 0.09 * min(width, height), rng.uniform(0.08, 0.16) * min(width, height)
    axes = (reach, thick) if side < 2 else (thick, reach)
    mask = np.zeros((height, width), np.uint8)
    centre = (round(x * width), round(y * height))
    cv2.ellipse(
        mask, centre, (round(axes[0]), round(axes[1])), rng.uniform(-15, 15), 0, 360, (255,), -1, cv2.LINE_AA
    )
    skin = near(rng, SKINS[rng.integers(len(SKINS))], 12)
    return blend(shadowed(canvas, mask, rng, 0.3), cv2.GaussianBlur(mask, (0, 0), 1.5), skin)


def exposed(canvas: Canvas, gain: float, lift: float = 0.0, gamma: float = 1.0) -> Canvas:
    """Returns the canvas lighter or darker, clipped as a sensor clips."""
    table = np.clip((np.arange(256) / 255) ** gamma * 255 * gain + lift, 0, 255).astype(np.uint8)
    lit: Canvas = cv2.LUT(canvas, table)
    return lit


def noisy(canvas: Canvas, rng: Rng, deviation: float) -> Canvas:
    """Returns the canvas with the noise of a sensor, mostly of brightness."""
    height, width = canvas.shape[:2]
    tile = rng.standard_normal((NOISE_TILE, NOISE_TILE, 3), np.float32) * (0.5 * deviation)
    tile += rng.standard_normal((NOISE_TILE, NOISE_TILE, 1), np.float32) * deviation
    noise = np.tile(tile, (-(-height // NOISE_TILE), -(-width // NOISE_TILE), 1))[:height, :width]
    grainy: Canvas = cv2.add(canvas, noise, dtype=cv2.CV_8U)
    return grainy


def blurred(canvas: Canvas, radius: float) -> Canvas:
    """Returns the canvas out of focus; the radius is a share of its longer side."""
    soft: Canvas = cv2.GaussianBlur(canvas, (0, 0), max(0.3, radius * max(canvas.shape)))
    return soft


def moved(canvas: Canvas, rng: Rng, length: float) -> Canvas:
    """Returns the canvas blurred along a line; the length is a share of its longer side."""
    size = max(3, round(length * max(canvas.shape)))
    kernel = np.zeros((2 * size + 1, 2 * size + 1), np.float32)
    angle = rng.uniform(0, np.pi)
    way = np.rint(size / 2 * np.array([np.cos(angle), np.sin(angle)])).astype(int)
    cv2.line(kernel, (size - way[0], size - way[1]), (size + way[0], size + way[1]), (1.0,), 1)
    smeared: Canvas = cv2.filter2D(canvas, -1, kernel / kernel.sum())
    return smeared


def tilted(canvas: Canvas, rng: Rng, turn: float, tilt: float, outside: Colour | None = None) -> Canvas:
    """Returns the canvas in perspective: rotated up to `turn` degrees, corners moved by up to a share `tilt`.

    Outside is the colour at its edge, or the given one.
    """
    height, width = canvas.shape[:2]
    matrix = _askew(rng, width, height, turn, tilt, 1.0, (width / 2, height / 2))
    mode = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
    seen: Canvas = cv2.warpPerspective(
        canvas,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=mode,
        borderValue=outside or (0, 0, 0),
    )
    return seen


def lie_on(ground: Canvas, sheet: Canvas, rng: Rng, share: Range, turn: float, tilt: float = 0.04) -> Canvas:
    """Lays a rotated sheet with its shadow on the ground, in place, and returns the ground.

    `share` is the largest share of the ground's sides that the sheet may cover.
    """
    height, width = ground.shape[:2]
    high, wide = sheet.shape[:2]
    scale = rng.uniform(*share) * min(width / wide, height / high)
    reach = scale * np.hypot(wide, high) / 2
    room = np.maximum(0, np.array([width, height]) / 2 - reach)
    centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
    matrix = _askew(rng, wide, high, turn, tilt, scale, tuple(centre))
    if scale < 0.7:
        sheet = cv2.GaussianBlur(sheet, (0, 0), 0.35 / scale)
    seen = cv2.warpPerspective(sheet, matrix, (width, height), flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(np.full((high, wide), 255, np.uint8), matrix, (width, height))
    shadowed(ground, mask, rng)
    cover = mask[:, :, None].astype(np.float32) / 255
    ground[:] = np.rint(ground * (1 - cover) + seen * cover)
    return ground


def enlarged(canvas: Canvas, megapixels: float) -> Canvas:
    """Returns the canvas scaled to this many megapixels."""
    height, width = canvas.shape[:2]
    times = np.sqrt(megapixels * 1e6 / (width * height))
    large: Canvas = cv2.resize(
        canvas, (round(width * times), round(height * times)), interpolation=cv2.INTER_LINEAR
    )
    return large


def lit(canvas: Canvas, rng: Rng, depth: Range = (0.05, 0.3)) -> Canvas:
    """Returns the canvas in the uneven light of a room."""
    return shade(canvas, uneven(rng, canvas.shape[1], canvas.shape[0], rng.uniform(*depth)))


def _askew(
    rng: Rng, width: int, height: int, turn: float, tilt: float, scale: float, centre: tuple[float, ...]
) -> NDArray[np.float64]:
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle = np.deg2rad(rng.uniform(-turn, turn))
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved_corners = (corners - [width / 2, height / 2]) @ rotation * scale + np.array(centre)
    moved_corners += rng.uniform(-tilt, tilt, (4, 2)) * scale * max(width, height)
    return np.asarray(cv2.getPerspectiveTransform(corners, moved_corners.astype(np.float32)))


def _grid() -> tuple[Field, Field]:
    rows, columns = np.mgrid[-1 : 1 : COARSE * 1j, -1 : 1 : COARSE * 1j].astype(np.float32)
    return rows, columns


def _enlarged(light: NDArray[np.floating], width: int, height: int) -> Field:
    field: Field = cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return field
