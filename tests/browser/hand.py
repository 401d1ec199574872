"""Drawing on the page as a person does: stored pen strokes, sent as the events of a mouse."""

from collections.abc import Sequence

from playwright.sync_api import Page

from digits.corpus.handwriting import Points, Writing, writings
from digits.task import LABELS

SHARE = 0.62  # of the field's side that a digit takes
STEP = 0.05  # least distance of two events, in units of the digit's longer side: each waits for a frame


def digits_of_judges(styles: int) -> list[Writing]:
    """Returns digits of `styles` writers that no model was trained on, ten labels each."""
    found: list[Writing] = []
    for label in LABELS:
        of_label = [one for one in writings()["judge"]["digits"] if one.label == label]
        writers: dict[int, Writing] = {}
        for writing in of_label:
            writers.setdefault(writing.writer, writing)
        found += [writers[writer] for writer in sorted(writers)[:styles]]
    return found


def on_field(page: Page, strokes: Sequence[Points]) -> list[list[tuple[float, float]]]:
    """Returns the strokes in pixels of the viewport, centred on the field."""
    box = page.locator("#drawing").bounding_box()
    assert box
    width = max(float(points[:, 0].max()) for points in strokes)
    height = max(float(points[:, 1].max()) for points in strokes)
    side = box["width"] * SHARE
    left = box["x"] + (box["width"] - width * side) / 2
    top = box["y"] + (box["height"] - height * side) / 2
    return [
        [(left + float(x) * side, top + float(y) * side) for x, y in _thinned(points)] for points in strokes
    ]


def _thinned(points: Points) -> list[tuple[float, float]]:
    """Returns the points without those that are close to the one before; the first and the last stay."""
    kept = [points[0]]
    for point in points[1:-1]:
        if abs(point - kept[-1]).max() >= STEP:
            kept.append(point)
    return [(float(x), float(y)) for x, y in [*kept, points[-1]]]


def draw(page: Page, writing: Writing) -> None:
    """Draws all strokes with the mouse; the page asks the service after each."""
    page.locator("#drawing").scroll_into_view_if_needed()
    for points in on_field(page, writing.strokes):
        page.mouse.move(*points[0])
        page.mouse.down()
        for x, y in points[1:]:
            page.mouse.move(x, y)
        page.mouse.up()


def a_digit(label: int) -> Writing:
    """Returns one digit with this label that is written in one stroke, if any is."""
    of_label = [one for one in writings()["judge"]["digits"] if one.label == str(label)]
    return min(of_label, key=lambda one: len(one.strokes))
