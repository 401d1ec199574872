"""The common colours of a picture are its possible papers."""

import numpy as np
import pytest

from digits.vision.views import common_colours

RED, BLUE, YELLOW = (200, 60, 60), (60, 60, 200), (240, 230, 90)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({RED: 55, BLUE: 30, YELLOW: 15}, [RED, BLUE, YELLOW]),  # a note on two grounds
        ({RED: 60, BLUE: 40}, [RED, BLUE]),
        ({RED: 85, YELLOW: 15}, [RED]),  # the second one is ink
        ({RED: 67, BLUE: 30, YELLOW: 3}, [RED, BLUE]),
    ],
)
def test_papers_are_the_colours_that_cover_enough(
    rows: dict[tuple[int, int, int], int], expected: list[tuple[int, int, int]]
) -> None:
    levels = np.concatenate([np.full((count, 100, 3), colour, np.uint8) for colour, count in rows.items()])
    assert [tuple(colour.round().astype(int).tolist()) for colour in common_colours(levels)] == expected
