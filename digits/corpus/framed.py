"""Kinds of pictures with something around them: borders, bars, other grounds, nothing."""

from collections.abc import Callable

import numpy as np

from digits.corpus import camera, files, frames
from digits.corpus.canvas import Canvas, Range, Rng, blank, write
from digits.corpus.colours import dark_ink, near, paper, vivid
from digits.corpus.drawings import WHITE, any_size
from digits.corpus.frames import Mask
from digits.corpus.handwriting import Writing


def thin_border(writing: Writing, rng: Rng) -> bytes:
    level = rng.uniform(0, 230)
    return files.png(frames.rimmed(_control(writing, rng), (level,) * 3, 1))


def wide_border(writing: Writing, rng: Rng) -> bytes:
    sheet = _control(writing, rng)
    colour = tuple(rng.uniform(0, 255, 3).tolist())
    return files.common(
        frames.bordered(sheet, colour, *[int(rng.integers(2, max(4, min(sheet.shape[:2]) // 6)))] * 4), rng
    )


def bars_at_the_sides(writing: Writing, rng: Rng) -> bytes:
    sheet = _control(writing, rng)
    bars = (
        rng.integers(4, sheet.shape[1] // 2, 2)
        if rng.random() < 0.2
        else [int(rng.integers(4, sheet.shape[1] // 2))] * 2
    )
    return files.common(
        frames.bordered(sheet, near(rng, (8, 8, 8), 8), int(bars[0]), 0, int(bars[1]), 0), rng
    )


def bars_above_and_below(writing: Writing, rng: Rng) -> bytes:
    sheet = _control(writing, rng)
    bar = int(rng.integers(4, sheet.shape[0] // 2))
    return files.common(frames.bordered(sheet, near(rng, (8, 8, 8), 8), 0, bar, 0, bar), rng)


def dark_square_on_white(writing: Writing, rng: Rng) -> bytes:
    square = write(
        blank(*any_size(rng, (100, 400)), near(rng, (20, 20, 20), 20)), writing, rng, near(rng, WHITE, 30)
    )
    margin = [int(each) for each in rng.integers(10, 150, 4)]
    return files.common(frames.bordered(square, paper(rng, 235), *margin), rng)


def round_sticker(writing: Writing, rng: Rng) -> bytes:
    return _cut_out(writing, rng, frames.disc, (0.35, 0.6))


def round_corners(writing: Writing, rng: Rng) -> bytes:
    share = rng.uniform(0.08, 0.25)
    return _cut_out(writing, rng, lambda w, h: frames.rounded(w, h, round(min(w, h) * share)), (0.4, 0.65))


def sticky_note(writing: Writing, rng: Rng) -> bytes:
    """A square note of a pale colour on a plain ground, with its shadow."""
    pale = tuple(0.55 * level + 115 for level in vivid(rng))
    note = write(blank(300, 300, pale), writing, rng, near(rng, (30, 30, 40), 25))
    ground = blank(*any_size(rng, (300, 700)), tuple(rng.uniform(40, 250, 3)))
    return files.common(camera.lie_on(ground, note, rng, (0.45, 0.9), 15, 0.01), rng)


def _control(writing: Writing, rng: Rng) -> Canvas:
    return write(blank(*any_size(rng, (120, 450)), paper(rng, 225)), writing, rng, dark_ink(rng))


def _cut_out(writing: Writing, rng: Rng, mask: Callable[[int, int], Mask], share: Range) -> bytes:
    """Returns a PNG whose corners are transparent, and hidden colours there black, white or the paper's."""
    side = int(rng.integers(120, 500))
    sheet = write(blank(side, side, paper(rng, 200)), writing, rng, dark_ink(rng), share=share, spread=0.2)
    alpha = mask(side, side)
    hidden = rng.integers(3)
    if hidden < 2:
        sheet[alpha == 0] = 255 * hidden
    return files.png(np.dstack([sheet, alpha]))


KINDS = {
    kind.__name__: kind
    for kind in (
        thin_border, wide_border, bars_at_the_sides, bars_above_and_below, dark_square_on_white,
        round_sticker, round_corners, sticky_note,
    )
}  # fmt: skip
