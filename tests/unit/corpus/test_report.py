"""The report of `make pictures` counts what a model answers, right and wrong."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import pictures
from benchmarks.contact_sheet import write_contact_sheet
from benchmarks.judging import Judged, accuracy, auroc, judge_all, rejections, several_figures
from digits.corpus.examples import SEVERAL, Example, example, sample
from digits.task import CLASSES, Images, Scores
from tests.unit.corpus.test_kinds import made

PLAIN = ["canvas_white_on_black", "canvas_black_on_white", "drawing_600", "grey_28"]


class Constant:
    """A model that takes everything for one digit, or for none."""

    def __init__(self, digit: int, is_digit: float | None = 1.0) -> None:
        self.row = np.full(CLASSES, 0.001, np.float32)
        self.row[digit] = 0.99
        if is_digit is not None:
            self.row = np.append(self.row, np.float32(is_digit))

    reject_below = 0.1

    def predict(self, images: Images) -> Scores:
        return np.tile(self.row, (len(images), 1))


def zeros() -> list[Example]:
    """One picture of each plain kind: the first of a kind shows a 0."""
    return list(sample("judge", 1, 1, PLAIN))


@pytest.mark.parametrize("is_digit", [1.0, None])
def test_a_model_that_is_right_gets_all(is_digit: float | None) -> None:
    judged = list(judge_all(zeros(), Constant(0, is_digit)))
    assert accuracy(judged) == {"n": len(PLAIN), "right": 1.0, "rejected": 0.0, "found": 1.0}
    assert all(each.right and not each.example.data for each in judged)


def test_a_model_that_is_wrong_gets_none() -> None:
    judged = list(judge_all(zeros(), Constant(1)))
    assert accuracy(judged) == {"n": len(PLAIN), "right": 0.0, "rejected": 0.0, "found": 0.0}
    assert [each.answer for each in judged] == [1] * len(PLAIN)
    assert all(each.example.data for each in judged)


def test_a_digit_that_is_refused_is_not_right() -> None:
    judged = list(judge_all(zeros(), Constant(0, is_digit=0.01)))
    assert accuracy(judged)["right"] == 0
    assert accuracy(judged)["rejected"] == 1


def test_what_is_no_digit_is_right_if_refused() -> None:
    letters = [example("letter_unlike_digits", "judge", 1, number) for number in range(4)]
    taken, rejected = (list(judge_all(letters, Constant(0, says))) for says in (1.0, 0.0001))
    digits = list(judge_all(zeros(), Constant(0)))
    assert rejections(rejected, digits) == {"n": 4, "rejected": 1.0, "auroc": 1.0}
    assert rejections(taken, digits)["rejected"] < 0.5
    assert [each.right for each in taken] == [each.rejected for each in taken]
    assert all(each.right for each in rejected)


def test_several_digits_count_if_told_and_if_right() -> None:
    seven = Example(SEVERAL, "drawing_600", b"", None, (7, 1))
    judged = [
        Judged(seven, "several_digits", row=(7, 1)), Judged(seven, "several_digits", row=(1, 1)),
        Judged(seven, "digit", answer=7), Judged(seven, "not_a_digit"),
    ]  # fmt: skip
    assert several_figures(judged) == {"n": 4, "several": 0.5, "right": 0.25}


def test_a_file_that_cannot_be_read_counts_as_refused() -> None:
    (judged,) = judge_all([Example("broken", "broken", made("grey_28", 1)[:40], 4, (4,))], Constant(4))
    assert judged.verdict == "image_unreadable"
    assert not judged.right


def test_without_pictures_there_is_no_auroc() -> None:
    assert np.isnan(auroc([], []))


def test_the_contact_sheet_shows_wrong_answers_of_any_format(tmp_path: Path) -> None:
    kinds = [
        "levels_0_and_1",
        "sixteen_bits_of_4095",
        "bmp_without_alpha",
        "canvas_transparent",
        "turned_jpeg",
    ]
    wrong = list(judge_all(sample("judge", 1, 3, kinds), Constant(5)))
    write_contact_sheet(wrong, tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.width > 1500
    assert len(sheet.getcolors(1 << 24) or []) > 50


def test_the_command_prints_and_writes_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "4_photo_001.png").write_bytes(made("drawing_600", 1))
    monkeypatch.setattr(pictures, "KINDS", dict.fromkeys(PLAIN))
    monkeypatch.setattr(pictures, "NEGATIVES", {"sign": None, "letter_unlike_digits": None})
    monkeypatch.setattr(sys, "argv", [
        "pictures", "--per-kind", "1", "--per-set", "2", "--pictures", str(folder),
        "--json", str(tmp_path / "figures.json"), "--sheet", str(tmp_path / "sheet.png"),
    ])  # fmt: skip
    pictures.main()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["kinds"].keys() == {*PLAIN, "all"}
    assert figures["sets"].keys() == set(pictures.SETS)
    assert figures["no digits"]["sign"]["n"] == pictures.NEGATIVES_OF_KIND
    assert figures["real pictures"]["photo"]["n"] == 1
    assert "canvas_white_on_black" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").exists()
