"""The list of unreadable pictures: each once, whatever epoch or worker meets it."""

import logging
from pathlib import Path

import pytest

from digits.training.unreadable import NAME, list_unreadable
from tests.cpu import within_cpu_s


def test_each_picture_is_listed_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = str(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        list_unreadable(folder, [])
        list_unreadable(folder, ["a.png: no picture", "b.png: of two\nlines", "a.png: no picture"])
        list_unreadable(folder, ["b.png: of two\nlines"])
        list_unreadable(folder, ["c.png: no picture"])
    lines = (tmp_path / "run" / NAME).read_text().splitlines()
    assert lines == ["a.png: no picture", "b.png: of two lines", "c.png: no picture"]
    counts = [record.getMessage().split()[3] for record in caplog.records]
    assert counts == ["unreadable=2", "unreadable=3"]


def test_a_list_that_cannot_be_written_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """It is written in Ray Train's controller, where an error ends the training: it is logged instead."""
    with caplog.at_level(logging.WARNING):
        list_unreadable("nowhere://bucket/run", ["a.png: no picture", "b.png: no picture"])
    (record,) = caplog.records
    assert "not listed new=2 first=a.png: no picture error=Protocol not known" in record.getMessage()


def test_a_long_list_is_compared_in_one_pass(tmp_path: Path) -> None:
    """Each epoch finds the same pictures again; to look each one up in the list takes 0.4 s."""
    lines = [f"{number}.png: no picture" for number in range(8000)]
    list_unreadable(str(tmp_path), lines)
    within_cpu_s(0.1, lambda: list_unreadable(str(tmp_path), lines))
