"""The label set and the image side are written in digits/task.py alone."""

import ast
from pathlib import Path

import pytest
from pydantic import ValidationError

from digits.task import CLASSES, LEVELS, SIDE
from digits.training import settings
from digits.training.settings import TrainSettings

PACKAGE = Path(__file__).parents[3] / "digits"
ROOMS = ("cli", "http", "inference", "models", "protocols", "registry", "scoring", "serving", "training")
COPIES = {SIDE, (SIDE - 1) / 2, LEVELS}
SHAPES = {(SIDE, SIDE), (CLASSES,), (CLASSES, CLASSES)}


@pytest.mark.parametrize(
    "file",
    sorted(file for room in ROOMS for file in (PACKAGE / room).glob("*.py")),
    ids=lambda file: f"{file.parent.name}/{file.name}",
)
def test_no_module_repeats_the_side_or_the_number_of_classes(file: Path) -> None:
    """Neither 28, 13.5 nor 784 as a number, nor 10 as a shape or as the range of labels."""
    tree = ast.parse(file.read_text())
    numbers = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {number for number in numbers if isinstance(number, int | float)} & COPIES
    texts = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Tuple | ast.Call)}
    assert not texts & {str(shape) for shape in SHAPES} | texts & {f"range({CLASSES})"}


def test_only_digits_are_trained_with_drawn_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus holds digits."""
    monkeypatch.setattr(settings, "READER", "resize")
    assert TrainSettings(drawn=0).drawn == 0
    with pytest.raises(ValidationError, match=r"--drawn 0\.5 draws digits, but the task is another"):
        TrainSettings(drawn=0.5)
