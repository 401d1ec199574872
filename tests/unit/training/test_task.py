"""The label set and the image side are written in digits/task.py alone."""

import ast
from pathlib import Path

import pytest

from digits.task import CLASSES, PIXELS, SIDE

TRAINING = Path(__file__).parents[3] / "digits" / "training"
COPIES = {SIDE, (SIDE - 1) / 2, PIXELS}
SHAPES = {(SIDE, SIDE), (CLASSES,), (CLASSES, CLASSES)}


@pytest.mark.parametrize("file", sorted(TRAINING.glob("*.py")), ids=lambda file: file.name)
def test_no_module_repeats_the_side_or_the_number_of_classes(file: Path) -> None:
    """Neither 28, 13.5 nor 784 as a number, nor 10 as a shape or as the range of labels."""
    tree = ast.parse(file.read_text())
    numbers = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not {number for number in numbers if isinstance(number, int | float)} & COPIES
    texts = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Tuple | ast.Call)}
    assert not texts & {str(shape) for shape in SHAPES} | texts & {f"range({CLASSES})"}
