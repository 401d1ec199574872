"""What is scored, and where it goes: blocks of pictures, and parts that are whole or absent."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from digits.errors import DataUnavailable, InvalidSettings
from digits.scoring.inputs import Block, blocks_of, pictures_of, singly
from digits.scoring.results import Results, Row
from digits.task import ModelVersion

MANY = 1_000_000  # bytes
VERSION = ModelVersion("digits", "3", "0" * 64)
BLOCKS = [Block(("a",)), Block(("b",))]
ROW: Row = {
    "path": "a", "digit": 7, "label": "7", "confidence": 0.9, "is_digit": None, "probabilities": [0.1, 0.9],
    "model": "digits", "version": "3", "error": None, "detail": None,
}  # fmt: skip


def files(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [str(folder / name) for name in names]


def parquet(file: Path, rows: list[dict[str, object]], row_group_size: int = 2) -> str:
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=row_group_size)
    return str(file)


def test_a_folder_is_searched_for_pictures_in_order(tmp_path: Path) -> None:
    a, b, c, _ = files(tmp_path, "a.png", "deep/b.JPG", "c.webp", "notes.txt")
    assert blocks_of([str(tmp_path)], 2, MANY) == [Block((a, c)), Block((b,))]


def test_a_part_of_large_files_has_fewer_of_them(tmp_path: Path) -> None:
    a, b, c = files(tmp_path, "a.png", "b.png", "c.png")  # of five bytes each
    assert blocks_of([str(tmp_path)], 9, 11) == [Block((a, b)), Block((c,))]
    assert blocks_of([str(tmp_path)], 9, 1) == [Block((a,)), Block((b,)), Block((c,))]


def test_a_named_file_and_a_pattern_need_no_suffix(tmp_path: Path) -> None:
    scan, other = files(tmp_path, "scan", "scan 2")
    assert blocks_of([scan, f"{tmp_path}/scan*"], 9, MANY) == [Block((scan, other))]  # each file once


def test_each_row_group_of_parquet_is_a_block(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"image": b"1", "path": "one"}, {"image": b"2"}, {"image": None}]
    file = parquet(tmp_path / "in.parquet", rows)
    blocks = blocks_of([str(tmp_path)], 500, MANY)
    assert blocks == [Block((file,), 0), Block((file,), 1)]
    reason = "the column `image` holds no bytes in this row"
    assert [picture for block in blocks for picture in pictures_of(block)] == [
        ("one", b"1", ""), (f"{file}#0.1", b"2", ""), (f"{file}#1.0", None, reason),
    ]  # fmt: skip


def test_parquet_that_two_inputs_name_is_scored_once(tmp_path: Path) -> None:
    """As each file is; a suffix in capitals is the same suffix."""
    file = parquet(tmp_path / "IN.PARQUET", [{"image": b"1"}])
    assert blocks_of([str(tmp_path), file, f"{tmp_path}/*"], 9, MANY) == [Block((file,), 0)]


def test_results_below_an_input_are_no_pictures(tmp_path: Path) -> None:
    """Or the same command could not go on: its first call has put tables there."""
    (scan,) = files(tmp_path / "scans", "a.png")
    out = tmp_path / "scans" / "scores"
    first = blocks_of([str(tmp_path / "scans")], 9, MANY, str(out))
    Results(str(out), "parquet").begin(first, VERSION)
    Results(str(out), "parquet").write_part(0, [ROW])
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    for given in (tmp_path / "scans", tmp_path / "scans" / "scores" / "..", tmp_path / "link"):
        (block,) = blocks_of([str(given)], 9, MANY, str(out))
        assert [Path(file).name for file in block.files] == ["a.png"]
    assert blocks_of([str(tmp_path / "scans")], 9, MANY, str(out)) == first == [Block((scan,))]
    with pytest.raises(DataUnavailable, match="holds no picture"):
        blocks_of([str(out)], 9, MANY, str(out))


@pytest.mark.parametrize("content", [b"", b"PAR1 half of it"])
def test_torn_parquet_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataUnavailable, match=r"a\.parquet is not a Parquet file that can be read: "):
        blocks_of([str(tmp_path)], 9, MANY)


def damage(file: str, group: int) -> None:
    """Overwrites the first page of the images of a row group."""
    column = pq.ParquetFile(file).metadata.row_group(group).column(0)
    with Path(file).open("r+b") as opened:
        opened.seek(column.dictionary_page_offset or column.data_page_offset)
        opened.write(b"\xff" * 2_000)


def test_a_damaged_row_group_is_one_row(tmp_path: Path) -> None:
    """Its pictures are lost, the others are read: also when each picture is read by itself."""
    rows: list[dict[str, object]] = [{"image": bytes([row]) * 2_000} for row in range(6)]
    file = parquet(tmp_path / "in.parquet", rows)
    blocks = blocks_of([file], 500, MANY)
    damage(file, 1)
    one, damaged, other = ([*pictures_of(block)] for block in blocks)
    assert [content for _, content, _ in one + other] == [rows[row]["image"] for row in (0, 1, 4, 5)]
    ((name, content, reason),) = damaged
    assert (name, content) == (file, None)
    assert reason.startswith("row group 1 of the file cannot be read: ")
    assert [(name, *picture) for name, picture in singly(blocks[1])] == [(file, *damaged)]


def test_a_row_group_with_a_name_in_no_utf8_is_one_row(tmp_path: Path) -> None:
    name = pa.array([b"Stra\xdfe.png"], pa.binary()).view(pa.string())
    table = pa.table({"image": [b"1"], "path": name})
    pq.write_table(table, file := tmp_path / "in.parquet")
    ((path, content, reason),) = pictures_of(Block((str(file),), 0))
    assert (path, content) == (str(file), None)
    assert "row group 0 of the file cannot be read: 'utf-8' codec can't decode" in reason


def test_the_name_of_a_row_may_be_a_number(tmp_path: Path) -> None:
    file = parquet(tmp_path / "in.parquet", [{"image": b"1", "path": 42}])
    assert list(pictures_of(Block((file,), 0))) == [("42", b"1", "")]


def test_a_file_that_has_gone_is_part_of_the_result(tmp_path: Path) -> None:
    there, gone = files(tmp_path, "a.png", "b.png")
    (block,) = blocks_of([str(tmp_path)], 9, MANY)
    Path(gone).unlink()
    assert list(pictures_of(block)) == [
        (there, b"a.png", ""), (gone, None, "the file cannot be read: No such file or directory"),
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["", "nothing/*.png", "missing.png", "nowhere://a"])
def test_an_input_without_pictures_is_named(tmp_path: Path, given: str) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    address = given if "://" in given else str(tmp_path / given)
    with pytest.raises(DataUnavailable, match=r"holds no picture|cannot be read") as caught:
        blocks_of([address], 9, MANY)
    assert str(caught.value).startswith(address)


def test_parquet_without_images_says_which_columns_it_has(tmp_path: Path) -> None:
    file = parquet(tmp_path / "in.parquet", [{"pixels": b"1"}])
    with pytest.raises(DataUnavailable, match="it needs one named `image`"):
        blocks_of([file], 9, MANY)


@pytest.mark.parametrize("groups", [0, 1])
def test_parquet_without_rows_holds_no_picture(tmp_path: Path, groups: int) -> None:
    """Not a scoring of which nothing is left. Some programs write such a file beside others."""
    schema = pa.schema({"image": pa.binary()})
    with pq.ParquetWriter(tmp_path / "empty.parquet", schema) as writer:
        for _ in range(groups):
            writer.write_table(schema.empty_table())
    with pytest.raises(DataUnavailable, match=r"empty\.parquet holds no picture"):
        blocks_of([str(tmp_path / "empty.parquet")], 9, MANY)
    parquet(tmp_path / "full.parquet", [{"image": b"1"}])
    assert blocks_of([str(tmp_path)], 9, MANY) == [Block((str(tmp_path / "full.parquet"),), 0)]


def test_a_part_that_is_there_is_not_done_again(tmp_path: Path) -> None:
    results = Results(str(tmp_path / "out"), "parquet")
    assert results.begin(BLOCKS, VERSION) == [0, 1]
    results.write_part(0, [ROW])
    assert Results(str(tmp_path / "out"), "parquet").begin(BLOCKS, VERSION) == [1]
    assert pq.read_table(tmp_path / "out" / "part-000000.parquet").to_pylist() == [ROW]


def test_two_commands_may_write_the_same_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one writes it between the first one's writing and renaming."""
    one, other = (Results(str(tmp_path), "parquet") for _ in range(2))
    one.begin(BLOCKS, VERSION)
    rename = LocalFileSystem.mv

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(LocalFileSystem, "mv", rename)
        other.write_part(0, [ROW])
        rename(*arguments)

    monkeypatch.setattr(LocalFileSystem, "mv", late)
    one.write_part(0, [ROW])
    assert pq.read_table(tmp_path / "part-000000.parquet").to_pylist() == [ROW]


def test_a_part_that_was_torn_does_not_count(tmp_path: Path) -> None:
    results = Results(str(tmp_path), "parquet")
    results.begin(BLOCKS, VERSION)
    (tmp_path / ".part-000000.parquet").write_bytes(b"half of it")  # what a killed writer leaves
    assert results.begin(BLOCKS, VERSION) == [0, 1]


@pytest.mark.parametrize(
    ("blocks", "version", "form", "what"),
    [
        (BLOCKS[:1], VERSION, "parquet", "pictures and parts"),
        (BLOCKS, ModelVersion("digits", "4", "1" * 64), "parquet", "model"),
        (BLOCKS, VERSION, "csv", "format"),
    ],
)
def test_other_results_are_never_mixed_in(
    tmp_path: Path, blocks: list[Block], version: ModelVersion, form: str, what: str
) -> None:
    Results(str(tmp_path), "parquet").begin(BLOCKS, VERSION)
    with pytest.raises(InvalidSettings, match=f"holds results with other {what}; choose another --out"):
        Results(str(tmp_path), form).begin(blocks, version)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["part-000000.parquet", "part-000007.parquet", "part-000000.csv"])
def test_a_part_without_a_plan_is_foreign(tmp_path: Path, name: str) -> None:
    """Counted as done, its pictures would never be scored; or two tables would mix in the folder."""
    (tmp_path / name).touch()
    with pytest.raises(InvalidSettings, match=f"holds {name} without plan.json; choose another --out"):
        Results(str(tmp_path), "parquet").begin(BLOCKS, VERSION)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("content", [b"", b"no JSON", b"\xff", b"[]", b"null"])
def test_a_plan_that_no_scoring_wrote_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"holds a plan\.json that no scoring wrote; choose another"):
        Results(str(tmp_path), "parquet").begin(BLOCKS, VERSION)
    assert (tmp_path / "plan.json").read_bytes() == content


@pytest.mark.parametrize("out", ["nowhere://bucket/scores", "FILE/scores"])
def test_an_out_that_cannot_be_written_is_named(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    address = out.replace("FILE", str(tmp_path / "file"))
    with pytest.raises(InvalidSettings, match="cannot be written: ") as caught:
        Results(address, "csv").begin(BLOCKS, VERSION)
    assert str(caught.value).startswith(f"--out {address} ")


def test_csv_has_the_same_columns(tmp_path: Path) -> None:
    results = Results(str(tmp_path), "csv")
    results.begin(BLOCKS, VERSION)
    results.write_part(1, [ROW])
    (row,) = csv.DictReader((tmp_path / "part-000001.csv").open())
    assert row["probabilities"] == "0.1 0.9"
    assert list(row) == list(ROW)


def test_the_summary_comes_last(tmp_path: Path) -> None:
    results = Results(str(tmp_path), "csv")
    results.begin(BLOCKS, VERSION)
    assert not (tmp_path / "summary.json").exists()
    results.end({"pictures": 2})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"pictures": 2}
