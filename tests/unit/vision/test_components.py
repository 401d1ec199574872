"""What else a hypothesis sees around a group of parts: inside its box, beside it, around it."""

from digits.vision.components import Others, Part, others_of
from digits.vision.cropping import Box

HEAD = Part(1, Box(20, 20, 60, 60), 200, rim=False)


def around_the_head(box: Box, area: int = 50, rim: bool = False) -> Others:
    return others_of([HEAD], [HEAD, Part(2, box, area, rim)], HEAD.box)


def test_an_eye_is_inside() -> None:
    assert around_the_head(Box(30, 30, 34, 36), 20) == Others(inside=0.1)


def test_a_near_stroke_is_beside() -> None:
    assert around_the_head(Box(64, 20, 68, 60)) == Others(beside=0.25)


def test_a_far_stroke_and_a_rim_are_neither() -> None:
    assert around_the_head(Box(90, 20, 95, 60)) == Others()
    assert around_the_head(Box(62, 0, 70, 60), rim=True) == Others()


def test_a_frame_is_around() -> None:
    assert around_the_head(Box(10, 10, 70, 70)) == Others(around=True)
