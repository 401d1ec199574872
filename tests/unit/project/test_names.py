"""The names of the tests are short enough to read in a report; the sentence is in the docstring."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[2]
LONGEST = 60


def test_no_test_name_is_longer_than_60_characters() -> None:
    names = [
        node.name
        for file in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert len(names) > 300
    assert [name for name in names if len(name) > LONGEST] == []
