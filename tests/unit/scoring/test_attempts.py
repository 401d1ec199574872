"""A picture that kills its processes is left out after a bounded number of deaths."""

import csv
import errno
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from digits.errors import BadInput, TrackingUnavailable
from digits.scoring import worker
from digits.scoring.attempts import BEFORE, MOST_DEATHS, MOST_DEATHS_BEFORE, Attempts
from digits.scoring.inputs import Block, Picture
from digits.scoring.results import Results, Row
from digits.scoring.worker import Scorer
from digits.task import ModelVersion

KILLER = b"killer"


class Died(BaseException):
    """In place of the death of the process: nothing after it runs."""


class Model:
    version = ModelVersion("digits", "3", "0" * 64)

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def predict(self, pictures: list[bytes]) -> list[BadInput]:
        self.read += pictures
        if KILLER in pictures:
            raise Died
        return [BadInput("image_blank", "blank") for _ in pictures]


def scorer(folder: Path, run: str) -> tuple[Scorer, Model]:
    """Returns what a new process has."""
    made, model = Scorer.__new__(Scorer), Model()
    made.__dict__ |= {"_model": model, "_results": Results(str(folder / "out"), "csv"), "_run": run}
    return made, model


def block_of(folder: Path, *contents: bytes) -> dict[str, object]:
    files = []
    for number, content in enumerate(contents):
        (folder / f"{number}.png").write_bytes(content)
        files.append(str(folder / f"{number}.png"))
    (folder / "out").mkdir(exist_ok=True)
    return {"number": 0, "files": files, "row_group": None}


def deaths_until_done(folder: Path, row: dict[str, object], run: str = "a") -> int:
    for deaths in range(20):
        try:
            scorer(folder, run)[0](row)
        except Died:
            continue
        return deaths
    raise AssertionError("it dies for ever")


def errors(folder: Path) -> list[str]:
    with (folder / "out" / "part-000000.csv").open() as file:
        return [row["error"] for row in csv.DictReader(file)]


def test_a_picture_that_kills_is_listed_and_the_rest_scored(tmp_path: Path) -> None:
    """One death finds the part, then MOST_DEATHS of processes that read it by itself."""
    row = block_of(tmp_path, b"a", KILLER, b"c")
    assert deaths_until_done(tmp_path, row) == 1 + MOST_DEATHS
    assert errors(tmp_path) == ["image_blank", "process_died", "image_blank"]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["part-000000.csv"]


def test_each_of_several_killers_is_found(tmp_path: Path) -> None:
    row = block_of(tmp_path, KILLER, b"b", KILLER)
    assert deaths_until_done(tmp_path, row) == 1 + 2 * MOST_DEATHS
    assert errors(tmp_path) == ["process_died", "image_blank", "process_died"]


def test_a_death_by_accident_blames_no_picture(tmp_path: Path) -> None:
    """A node that was lost: the next process reads every picture, each by itself."""
    row = block_of(tmp_path, b"a", b"b")
    results = Results(str(tmp_path / "out"), "csv")
    Attempts(results, 0, "a")
    Attempts(results, 0, "a").may_read(1)
    made, model = scorer(tmp_path, "a")
    made(row)
    assert model.read == [b"a", b"b"]
    assert errors(tmp_path) == ["image_blank", "image_blank"]


def test_an_interrupted_command_blames_no_picture(tmp_path: Path) -> None:
    """Its part was begun by another run, so the next command begins it again, many pictures together."""
    row = block_of(tmp_path, b"a", b"b")
    results = Results(str(tmp_path / "out"), "csv")
    for _ in range(MOST_DEATHS_BEFORE + 1):
        Attempts(results, 0, "before")
    assert not Attempts(results, 0, "now").is_repeated
    scorer(tmp_path, "later")[0](row)
    assert errors(tmp_path) == ["image_blank", "image_blank"]


def test_a_part_that_kills_before_any_picture_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group that does not fit into memory: it is one row, by the name of its file."""

    def dies(_: Block) -> list[Picture]:
        raise Died

    monkeypatch.setattr(worker, "pictures_of", dies)
    monkeypatch.setattr(worker, "singly", dies)
    (tmp_path / "out").mkdir()
    row = {"number": 0, "files": ["many.parquet"], "row_group": 0}
    assert deaths_until_done(tmp_path, row) == MOST_DEATHS_BEFORE
    assert errors(tmp_path) == ["process_died"]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 names only")
def test_a_name_that_is_no_utf8_is_a_row(tmp_path: Path) -> None:
    """An archive of another system may hold such a name; it must not fail the other pictures of the part."""
    (file := tmp_path / os.fsdecode(b"Stra\xdfe.png")).write_bytes(b"a")
    (tmp_path / "out").mkdir()
    for form in ("csv", "parquet"):
        made, _ = scorer(tmp_path, "a")
        made._results = Results(str(tmp_path / "out"), form)
        made({"number": 0, "files": [str(file)], "row_group": None})
    with (tmp_path / "out" / "part-000000.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert row["path"] == f"{tmp_path}/Stra\\udcdfe.png"
    assert pq.read_table(tmp_path / "out" / "part-000000.parquet").column("path").to_pylist() == [row["path"]]


def test_a_full_disk_is_returned_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a value, because Ray would replace an error's text by its own; no half-written file is left."""
    row = block_of(tmp_path, b"a")

    def writes_half(_: LocalFileSystem, path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "pipe_file", writes_half)
    done = scorer(tmp_path, "a")[0](row)
    said = f"{tmp_path}/out cannot be written: No space left on device"
    assert done == {"number": 0, "pictures": 0, "digits": 0, "failure": said}
    assert [*(tmp_path / "out").iterdir()] == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no\nnumber"), "ValueError: no number"),
        (MemoryError(), "MemoryError"),
        (TrackingUnavailable("MLflow is away"), "MLflow is away"),
    ],
)
def test_any_failure_is_returned_in_one_line(tmp_path: Path, error: Exception, said: str) -> None:
    row = block_of(tmp_path, b"a")
    made, model = scorer(tmp_path, "a")

    def fails(pictures: list[bytes]) -> list[BadInput]:
        raise error

    model.predict = fails  # type: ignore[method-assign]
    assert made(row)["failure"] == said
    assert not (tmp_path / "out" / "part-000000.csv").exists()


def test_a_second_command_may_have_ended_the_same_part(tmp_path: Path) -> None:
    """Two commands with one folder write the same part; the later one is no failure."""
    (tmp_path / "out").mkdir()
    results = Results(str(tmp_path / "out"), "csv")
    both = [Attempts(results, 0, run) for run in ("a", "b")]
    for attempts in both:
        attempts.end()


def test_deaths_are_counted_where_they_happened(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    results = Results(str(tmp_path / "out"), "csv")
    Attempts(results, 0, "a")
    second = Attempts(results, 0, "a")
    assert (second.deaths(BEFORE), second.is_repeated, second.is_hopeless) == (1, True, False)
    assert second.may_read(7)
    third = Attempts(results, 0, "a")
    assert (third.deaths(BEFORE), third.deaths(7), third.may_read(7)) == (1, 1, True)
    assert not Attempts(results, 0, "a").may_read(7)


def test_the_rows_of_lost_pictures_fit_the_table() -> None:
    row: Row = scorer(Path("unused"), "a")[0]._lost("x", 2)
    assert (row["path"], row["error"], row["version"]) == ("x", "process_died", "3")
    assert "2 processes died" in row["detail"]
