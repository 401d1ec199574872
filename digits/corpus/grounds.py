"""What people write on: paper with lines and creases, wood, cloth, boards."""

import cv2
import numpy as np

from digits.corpus.canvas import Canvas, Colour, Field, Rng, blank, blend, clouds, shade
from digits.corpus.colours import near

WOODS = ((150, 110, 70), (190, 150, 105), (95, 65, 45), (210, 185, 150))
CLOTHS = ((90, 100, 120), (180, 60, 60), (60, 90, 70), (200, 195, 185), (50, 50, 60))
BOARDS = ((35, 60, 45), (45, 45, 48), (30, 45, 40))


def ruled(
    canvas: Canvas, rng: Rng, colour: Colour, strength: float, spacing: float, both: bool = False
) -> Canvas:
    """Draws horizontal lines, or squares, in place, and returns the canvas; strength 1 covers the paper."""
    height, width = canvas.shape[:2]
    thick = max(1, round(spacing / rng.uniform(18, 40)))
    lines = np.zeros((height, width), np.uint8)
    for start in np.arange(rng.uniform(0, spacing), height, spacing).astype(int):
        lines[start : start + thick] = 255
    if both:
        for start in np.arange(rng.uniform(0, spacing), width, spacing).astype(int):
            lines[:, start : start + thick] = 255
    return blend(canvas, lines, colour, strength)


def dotted(canvas: Canvas, rng: Rng, colour: Colour, strength: float, spacing: float) -> Canvas:
    """Draws a grid of dots, in place, and returns the canvas."""
    dots = np.zeros(canvas.shape[:2], np.uint8)
    radius = max(1, round(spacing / 18))
    left, top = rng.uniform(0, spacing, 2)
    for y in np.arange(top, canvas.shape[0], spacing):
        for x in np.arange(left, canvas.shape[1], spacing):
            cv2.circle(dots, (int(x), int(y)), radius, (255,), -1, cv2.LINE_AA)
    return blend(canvas, dots, colour, strength)


def creased(canvas: Canvas, rng: Rng, depth: float) -> Canvas:
    """Returns the canvas as paper that was folded or crumpled."""
    height, width = canvas.shape[:2]
    rows, columns = np.mgrid[0:120, 0:120].astype(np.float32) / 120 - 0.5
    light = np.ones((120, 120), np.float32)
    for _ in range(rng.integers(3, 9)):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.45, 0.45)
        distance = rows * np.sin(angle) + columns * np.cos(angle) - offset
        side = rng.choice([-1, 1])
        light += side * depth * (0.25 * np.tanh(distance / 0.08) + np.exp(-((distance / 0.015) ** 2)))
    light += depth * 0.3 * clouds(rng, 120, 120, 12)
    return shade(canvas, cv2.resize(light, (width, height), interpolation=cv2.INTER_CUBIC))


def wood(width: int, height: int, rng: Rng) -> Canvas:
    """Returns boards with grain along the longer side."""
    colour = near(rng, WOODS[rng.integers(len(WOODS))], 20)
    grain = clouds(rng, 16, height, 60)[:, :2] + 0.5 * clouds(rng, 16, height, 150)[:, :2]
    light = 1 + 0.07 * cv2.resize(grain, (width, height)) + 0.05 * clouds(rng, width, height, 6)
    board = shade(blank(width, height, colour), light)
    if rng.random() < 0.4:
        step = height / rng.uniform(1.5, 4)
        for y in np.arange(rng.uniform(0.1, 0.9) * step, height, step).astype(int):
            board[y : y + 2] = board[y : y + 2] // 2
    return (
        board
        if rng.random() < 0.5
        else np.ascontiguousarray(cv2.resize(cv2.transpose(board), (width, height)))
    )


def cloth(width: int, height: int, rng: Rng) -> Canvas:
    """Returns woven cloth of one colour."""
    colour = near(rng, CLOTHS[rng.integers(len(CLOTHS))], 25)
    step = max(width, height) / rng.uniform(60, 120)
    rows = np.sin(np.arange(height, dtype=np.float32) * (2 * np.pi / step))[:, None]
    columns = np.sin(np.arange(width, dtype=np.float32) * (2 * np.pi / step))[None]
    folds = clouds(rng, width, height, rng.uniform(2, 5))
    light: Field = (
        1 + 0.05 * (rows + columns) + 0.07 * folds + 0.04 * clouds(rng, width, height, 150)
    ).astype(np.float32)
    return shade(blank(width, height, colour), light)


def board(width: int, height: int, rng: Rng) -> Canvas:
    """Returns a blackboard with smears of wiped chalk."""
    canvas = blank(width, height, near(rng, BOARDS[rng.integers(len(BOARDS))], 10))
    smears = clouds(rng, width, height, 4) + 0.5 * clouds(rng, width, height, 40)
    return shade(canvas, (1 + 0.12 * smears).astype(np.float32))


def gradient(width: int, height: int, first: Colour, second: Colour, angle: float) -> Canvas:
    """Returns a smooth change from one colour to another."""
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    share = np.clip(0.5 + 0.5 * (rows * np.sin(angle) + columns * np.cos(angle)), 0, 1)[:, :, None]
    return np.asarray(np.array(first) * (1 - share) + np.array(second) * share, np.uint8)
