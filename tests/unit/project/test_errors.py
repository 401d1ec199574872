"""The text of an error that comes from another process, as a user reads it."""

import pytest

from digits.errors import PYDANTICS_HINT, last_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Traceback ...\n  line 3\ndigits.errors.DiskFull: full: free some\n", "full: free some"),
        ("Traceback ...\nValueError: no number: 7", "ValueError: no number: 7"),
        ("one line", "one line"),
        (f"1 validation error for X\na\n  Should be 1\n    {PYDANTICS_HINT}/2.14/v/x\n", "Should be 1"),
        ("one\r\n  two \r\n\r\n", "two"),
        ("", ""),
        (" \n", ""),
    ],
)  # fmt: skip
def test_the_last_line_says_what_happened(text: str, shown: str) -> None:
    """Without the class of an error of this project, whose text is a sentence."""
    assert last_line(text) == shown
