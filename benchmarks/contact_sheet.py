"""One sheet of wrong answers: for each picture what was sent, the chosen 28x28 pixels and the answer."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from benchmarks.judging import Judged
from digits.task import SIDE

CELL = 132  # pixels a side of what was sent
TEXT = 26  # pixels of two lines
COLUMNS = 10
FEW_LEVELS = 64
BEHIND = (150, 160, 175)  # shows through transparent pictures


def write_contact_sheet(wrong: Sequence[Judged], file: Path) -> None:
    """Writes a PNG of the pictures in their order; a blank one if there are none."""
    rows = -(-len(wrong) // COLUMNS) or 1
    sheet = Image.new("RGB", (COLUMNS * (CELL + 2 * SIDE + 8), rows * (CELL + TEXT)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, judged in enumerate(wrong):
        left = number % COLUMNS * (CELL + 2 * SIDE + 8)
        top = number // COLUMNS * (CELL + TEXT)
        sheet.paste(_shown(judged.example.data), (left, top))
        if judged.pixels is not None:
            chosen = Image.fromarray(judged.pixels).resize((2 * SIDE, 2 * SIDE), Image.Resampling.NEAREST)
            sheet.paste(chosen, (left + CELL + 2, top))
        draw.text((left + 2, top + CELL), f"{judged.example.kind} {judged.example.ground}"[:32], "black")
        draw.text((left + 2, top + CELL + TEXT // 2), _caption(judged), "red")
    sheet.save(file)


def _caption(judged: Judged) -> str:
    """Returns the digits sent, the answer, its verdict and score; a star if no candidate is read right."""
    sent = "".join(map(str, judged.example.digits)) or "none"
    answer = judged.answer if not judged.row else "".join(map(str, judged.row))
    return f"{sent} -> {answer} {judged.verdict} {judged.score:.2f}{'' if judged.was_found else ' *'}"


def _shown(data: bytes) -> Image.Image:
    """Returns a thumbnail on a plain ground; levels of a small range are stretched."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    levels = np.asarray(image).astype(float)
    if image.mode in ("I;16", "I") or (image.mode == "L" and levels.max() < FEW_LEVELS):
        image = Image.fromarray((levels * (255 / max(levels.max(), 1))).astype(np.uint8))
    if image.format == "BMP" and image.mode == "RGBA":
        image = image.convert("RGB")  # its alpha is 0 everywhere
    image = image.convert("RGBA")
    scale = (CELL - 2) / max(image.size)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    cell = Image.new("RGB", (CELL, CELL), BEHIND)
    cell.paste(image, (0, 0), image)
    return cell
