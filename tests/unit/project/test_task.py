"""digits/task.py, edited by hand: a contradiction is reported in one sentence before anything runs."""

import pytest

from digits.errors import InvalidTask
from testkit.cluster import ROOT

TASK = (ROOT / "digits" / "task.py").read_text()
LABELS = 'tuple("0123456789")'


@pytest.mark.parametrize(
    ("constant", "value", "other", "said"),
    [
        ("LABELS", LABELS, "(1, 2, 3)", "must be a tuple of texts"),
        ("LABELS", LABELS, '"abc"', "must be a tuple of texts"),
        ("LABELS", LABELS, '("cat", "cat")', "2 labels, 1 different"),
        ("NOUN", '"digit"', '"confidence"', "names something else in an answer"),
        ("MEAN, STD", "(0.0,), (1.0,)", "(0.0, 0.0), (1.0,)", "a number for each of 1 channels"),
        ("MEAN, STD", "(0.0,), (1.0,)", "(0.0,), (0.0,)", "STD above 0"),
        ("SIDE", "28", "20", 'use "resize"'),
        ("SLICES", '("rotated", "noisy", "inverted", "shifted")', '("noisy")', "must be a tuple"),
    ],
)
def test_a_contradiction_is_one_sentence(constant: str, value: str, other: str, said: str) -> None:
    line = f"{constant} = {value}"
    assert TASK.count(line) == 1
    with pytest.raises(InvalidTask, match=r"^digits/task\.py: ") as error:
        exec(TASK.replace(line, f"{constant} = {other}"), {"__name__": "task_of_the_test"})
    assert said in str(error.value)


def test_labels_that_are_no_digits_are_not_drawn() -> None:
    """The corpus has digits only."""
    edited: dict[str, object] = {"__name__": "task_of_the_test"}
    exec(TASK.replace(f"LABELS = {LABELS}", 'LABELS = ("a", "b")'), edited)
    assert edited["IS_DRAWN"] is False
