"""Kinds of pictures of paper: sheets, notes, forms, scans."""

import cv2
import numpy as np

from digits.corpus import camera, files, frames
from digits.corpus.canvas import (
    Canvas,
    Colour,
    Range,
    Rng,
    blank,
    blend,
    clouds,
    ink_of,
    ink_on,
    shade,
    write,
)
from digits.corpus.colours import dark_ink, near, paper
from digits.corpus.drawings import BLACK, WHITE, any_size
from digits.corpus.grounds import creased, dotted, ruled
from digits.corpus.handwriting import Writing

LINES = ((120, 150, 200), (150, 150, 155), (200, 150, 150), (120, 180, 190))
A4 = (210, 297)  # mm


def small_on_a_sheet(writing: Writing, rng: Rng) -> bytes:
    return files.common(_small(writing, rng, (70, 300), paper(rng, 215)), rng)


def tiny_on_a_page(writing: Writing, rng: Rng) -> bytes:
    return files.common(_small(writing, rng, (80, 100), WHITE if rng.random() < 0.5 else paper(rng)), rng)


def a4_150_dpi(writing: Writing, rng: Rng) -> bytes:
    return _on_a4(writing, rng, 150)


def a4_300_dpi(writing: Writing, rng: Rng) -> bytes:
    return _on_a4(writing, rng, 300)


def pencil(writing: Writing, rng: Rng) -> bytes:
    sheet = camera.noisy(blank(*any_size(rng), paper(rng, 225)), rng, 2)
    level = rng.uniform(120, 160)
    return _scan(write(sheet, writing, rng, (level, level, level + 4), pens=(0.02, 0.05), grain=0.5), rng)


def ballpoint(writing: Writing, rng: Rng) -> bytes:
    colour = near(rng, (35, 50, 150), 25)
    return _scan(write(_sheet(rng), writing, rng, colour, pens=(0.02, 0.045), grain=0.2), rng)


def red_felt_tip(writing: Writing, rng: Rng) -> bytes:
    return _scan(write(_sheet(rng), writing, rng, near(rng, (205, 35, 40), 25), pens=(0.05, 0.1)), rng)


def highlighter(writing: Writing, rng: Rng) -> bytes:
    colours = ((250, 240, 60), (130, 240, 110), (255, 150, 200), (255, 185, 80), (110, 220, 240))
    colour = near(rng, colours[rng.integers(len(colours))], 10)
    return _scan(
        write(_sheet(rng), writing, rng, colour, pens=(0.09, 0.14), opacity=rng.uniform(0.85, 1)), rng
    )


def ruled_paper(writing: Writing, rng: Rng) -> bytes:
    return _on_lines(writing, rng, rng.uniform(0.25, 0.7))


def ruled_dark(writing: Writing, rng: Rng) -> bytes:
    """Lines with some 70 % of the ink's contrast."""
    sheet, ink = _sheet(rng), near(rng, (40, 40, 45), 20)
    ruled(sheet, rng, ink, rng.uniform(0.6, 0.75), min(sheet.shape[:2]) / rng.uniform(4, 11))
    return files.common(write(sheet, writing, rng, ink, pens=(0.05, 0.12)), rng)


def squared_paper(writing: Writing, rng: Rng) -> bytes:
    return _on_lines(writing, rng, rng.uniform(0.25, 0.7), both=True)


def dotted_paper(writing: Writing, rng: Rng) -> bytes:
    sheet = _sheet(rng)
    dotted(
        sheet,
        rng,
        near(rng, (130, 130, 140), 30),
        rng.uniform(0.5, 1),
        min(sheet.shape[:2]) / rng.uniform(8, 16),
    )
    return _scan(write(sheet, writing, rng, dark_ink(rng)), rng)


def printed_box(writing: Writing, rng: Rng) -> bytes:
    sheet, ink = _sheet(rng), dark_ink(rng)
    return _scan(_in_a_box(sheet, writing, rng, ink), rng)


def box_on_ruled_paper(writing: Writing, rng: Rng) -> bytes:
    sheet = _sheet(rng)
    ruled(
        sheet,
        rng,
        near(rng, LINES[rng.integers(len(LINES))], 20),
        0.6,
        min(sheet.shape[:2]) / rng.uniform(5, 12),
    )
    return _scan(_in_a_box(sheet, writing, rng, dark_ink(rng)), rng)


def form_comb(writing: Writing, rng: Rng) -> bytes:
    """One of a row of boxes is filled in; the others are empty."""
    cell, count = int(rng.integers(60, 150)), int(rng.integers(3, 7))
    row = blank(cell * count + 1, cell * rng.uniform(1, 1.3), paper(rng, 235))
    line = near(rng, (90, 90, 100), 60)
    thick, shut = max(1, cell // int(rng.integers(25, 60))), rng.random() < 0.6
    for place in range(count + 1):
        start = 0 if shut or place in (0, count) else row.shape[0] * 2 // 3
        row[start:, max(0, place * cell - thick // 2) : place * cell + thick] = line
    row[-thick:] = line
    if shut:
        row[:thick] = line
    left = int(rng.integers(count)) * cell
    written = write(
        row[:, left : left + cell].copy(), writing, rng, dark_ink(rng), share=(0.6, 0.75), spread=0.4
    )
    row[:, left : left + cell] = written
    margin = [int(each) for each in rng.integers(cell // 5, cell, 4)]
    return _scan(frames.bordered(row, tuple(row[row.shape[0] // 2, cell // 8].tolist()), *margin), rng)


def creased_paper(writing: Writing, rng: Rng) -> bytes:
    sheet = write(blank(*any_size(rng, (250, 700)), paper(rng, 220)), writing, rng, dark_ink(rng))
    return files.photo(camera.noisy(creased(sheet, rng, rng.uniform(0.05, 0.16)), rng, 2), rng)


def old_paper(writing: Writing, rng: Rng) -> bytes:
    """Brown paper with stains."""
    sheet = blank(*any_size(rng, (250, 700)), near(rng, (215, 190, 150), 20))
    stains = clouds(rng, sheet.shape[1], sheet.shape[0], 5) + 0.5 * clouds(
        rng, sheet.shape[1], sheet.shape[0], 25
    )
    aged = shade(sheet, 1 - np.float32(0.07) * np.clip(stains, -0.5, 3))
    return _scan(write(aged, writing, rng, near(rng, (45, 35, 30), 20), pens=(0.04, 0.1), grain=0.15), rng)


def scan_askew(writing: Writing, rng: Rng) -> bytes:
    """A sheet that was scanned at an angle: its corners are black."""
    sheet = write(
        blank(*any_size(rng, (250, 800)), paper(rng)), writing, rng, dark_ink(rng), share=(0.3, 0.6)
    )
    height, width = sheet.shape[:2]
    angle = rng.uniform(3, 12) * rng.choice([-1, 1])
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, rng.uniform(0.85, 1))
    black = near(rng, (12, 12, 12), 12)
    return _scan(cv2.warpAffine(sheet, matrix, (width, height), borderValue=black), rng)


def scan_with_dust(writing: Writing, rng: Rng) -> bytes:
    sheet = write(
        blank(*any_size(rng, (250, 900)), paper(rng)), writing, rng, dark_ink(rng), share=(0.25, 0.6)
    )
    return files.photo(camera.noisy(frames.scanned(sheet, rng), rng, rng.uniform(0, 4)), rng)


def punched_holes(writing: Writing, rng: Rng) -> bytes:
    width = rng.uniform(400, 900)
    sheet = blank(width, width * A4[1] / A4[0], paper(rng))
    return _scan(frames.punched(write(sheet, writing, rng, dark_ink(rng), share=(0.15, 0.5)), rng), rng)


def fax(writing: Writing, rng: Rng) -> bytes:
    """One bit with specks."""
    sheet = write(blank(*any_size(rng, (200, 600)), (235, 235, 235)), writing, rng, BLACK)
    levels = files.grey(camera.noisy(sheet, rng, rng.uniform(20, 34)))
    return files.png(cv2.threshold(levels, 128, 255, cv2.THRESH_BINARY)[1])


def _sheet(rng: Rng) -> Canvas:
    return blank(*any_size(rng, (180, 700)), paper(rng, 220))


def _scan(sheet: Canvas, rng: Rng) -> bytes:
    """Returns a clean scan or a screenshot of one."""
    if rng.random() < 0.6:
        sheet = camera.noisy(cv2.GaussianBlur(sheet, (0, 0), 0.6), rng, rng.uniform(0.5, 4))
    return files.common(sheet, rng)


def _small(writing: Writing, rng: Rng, side: Range, ground: Colour) -> Canvas:
    share = (side[0] / 600, side[1] / 600)
    return write(blank(800, 600, ground), writing, rng, dark_ink(rng), share=share, spread=0.9)


def _on_a4(writing: Writing, rng: Rng, dots: int) -> bytes:
    """Writing of 2 to 4 cm with a pen of 0.7 to 1.5 mm on an A4 page."""
    pixels = dots / 25.4
    sheet = blank(A4[0] * pixels, A4[1] * pixels, paper(rng, 235))
    height = rng.uniform(20, 40)
    ink = ink_of(writing, rng, height * pixels, (0.7 / height, 1.5 / height))
    room = np.array(sheet.shape[:2]) - ink.shape
    top, left = (int(rng.integers(round(0.05 * each), round(0.95 * each))) for each in room)
    box = sheet[top : top + ink.shape[0], left : left + ink.shape[1]]
    box[:] = blend(box.copy(), ink, dark_ink(rng))
    return (
        files.png(files.grey(sheet)) if rng.random() < 0.3 else files.jpeg(sheet, int(rng.integers(70, 93)))
    )


def _on_lines(writing: Writing, rng: Rng, strength: float, both: bool = False) -> bytes:
    sheet = _sheet(rng)
    colour = near(rng, LINES[rng.integers(len(LINES))], 25)
    ruled(sheet, rng, colour, strength, min(sheet.shape[:2]) / rng.uniform(5, 13), both)
    if rng.random() < 0.3:  # the margin of a school book
        x = round(sheet.shape[1] * rng.uniform(0.06, 0.15))
        sheet[:, x : x + max(1, sheet.shape[1] // 250)] = np.rint(near(rng, (220, 110, 110), 20))
    return _scan(write(sheet, writing, rng, dark_ink(rng), pens=(0.04, 0.11)), rng)


def _in_a_box(sheet: Canvas, writing: Writing, rng: Rng, colour: Colour) -> Canvas:
    ink = ink_on((sheet.shape[1], sheet.shape[0]), writing, rng, share=(0.3, 0.5), spread=0.3)
    line = near(rng, (80, 80, 85), 80)
    margin, thick = rng.uniform(0.12, 0.4), min(sheet.shape[:2]) / rng.uniform(60, 200)
    frames.boxed(sheet, ink, line, margin, max(1, round(thick)))
    return blend(sheet, ink, colour)


KINDS = {
    kind.__name__: kind
    for kind in (
        small_on_a_sheet, tiny_on_a_page, a4_150_dpi, a4_300_dpi, pencil, ballpoint, red_felt_tip,
        highlighter, ruled_paper, ruled_dark, squared_paper, dotted_paper, printed_box, box_on_ruled_paper,
        form_comb, creased_paper, old_paper, scan_askew, scan_with_dust, punched_holes, fax,
    )
}  # fmt: skip
