"""Hypotheses: a view -> what may be its paper, and the ink that stands out from it.

No single rule separates ink from paper in every picture, so several are tried.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from digits.vision.components import Parts, find_parts, is_clean
from digits.vision.contrast import Ground, ground_of_map, is_even, plain_grounds, uneven_grounds
from digits.vision.cropping import Box
from digits.vision.faded import with_faded_ink
from digits.vision.faint import without_faint_ink
from digits.vision.inks import ink_maps
from digits.vision.lines import without_lines
from digits.vision.sheets import find_sheets
from digits.vision.solid import solid_strokes
from digits.vision.views import Colour, Map, View, sub_view


@dataclass(frozen=True)
class Hypothesis:
    """Where the ink is if the ground is right."""

    view: View
    ground: Ground
    parts: Parts
    sheet: Box | None = None  # of the picture's coarse scale, if the view is only that


def hypotheses(view: View, paper: Colour | None, sheets: bool = True) -> Iterator[Hypothesis]:
    """Yields the hypotheses about a view that show ink; the colour of its paper may be known.

    Paper of one colour comes first, then everything else it could be unless ink and paper are clearly
    separate. With `sheets`, sheets and cards in the view are views of their own.
    """
    clean = even = False
    for ground in plain_grounds(view, paper):
        even = even or is_even(ground)
        parts = find_parts(ground)
        if parts is None:
            continue
        yield Hypothesis(view, ground, parts)
        yield from _found(view, [without_lines(ground, parts)])
        yield from _found(view, without_faint_ink(view, ground, parts))
        yield from _found(view, [with_faded_ink(ground, parts)])
        solid = solid_strokes(parts)
        if solid is not None:
            yield from _of_map(solid, "solid")
        if paper is None and sheets:
            for mask, box in find_sheets(parts):
                for own in hypotheses(sub_view(view, mask, box), None, sheets=False):
                    yield Hypothesis(own.view, own.ground, own.parts, box)
        has_ink = any(not part.rim for part in parts.parts)
        clean = clean or (has_ink and is_clean(ground.contrast, parts))
    if paper is None and not clean:
        for ink in () if even else ink_maps(view.coarse):
            yield from _of_map(ink, "ink")
        for uneven in _found(view, uneven_grounds(view)):
            yield uneven
            yield from _found(view, without_faint_ink(view, uneven.ground, uneven.parts))


def _of_map(ink: Map, name: str) -> Iterator[Hypothesis]:
    """Yields the hypothesis that ink is where a map of the coarse scale is high."""
    yield from _found(View(ink[:, :, None]), [ground_of_map(ink, name)])


def _found(view: View, grounds: Iterable[Ground | None]) -> Iterator[Hypothesis]:
    """Yields those of the grounds that show ink."""
    for ground in grounds:
        if ground is not None and (parts := find_parts(ground)) is not None:
            yield Hypothesis(view, ground, parts)
