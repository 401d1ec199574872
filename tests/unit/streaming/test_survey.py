"""Folders, Parquet and shards: what is in them, who trains on what, and one sentence for what is wrong."""

import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from digits.errors import DataDamaged, DataUnavailable
from digits.streaming import parquet
from digits.streaming import survey as module
from digits.streaming.chunks import PARTS, Chunk, random_numbers
from digits.streaming.reading import Rows, first_error, read_chunk
from digits.streaming.survey import Survey, survey
from digits.task import CLASSES, LEVELS, SIDE

ROWS = 200
LABELS = [number % CLASSES for number in range(ROWS)]


def pixels(number: int) -> np.ndarray:
    """An image that the reader takes as it is, and that no other number has."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[5:23, 12:16] = 255
    image[13, 13], image[14, 14] = number % 256, number // 256
    return image


def png(number: int) -> bytes:
    return cv2.imencode(".png", pixels(number))[1].tobytes()


def folder(root: Path, part: str = "", rows: int = ROWS) -> Path:
    for number in range(rows):
        file = root / part / str(LABELS[number]) / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    return root


def table(root: Path, name: str = "a.parquet", **columns: object) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    content = {"pixels": [pixels(number).tobytes() for number in range(ROWS)], "label": LABELS} | columns
    kept = {key: value for key, value in content.items() if value is not None}
    pq.write_table(pa.table(kept), root / name, row_group_size=90)
    return root


def shard(root: Path, samples: dict[str, bytes] | None = None) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    if samples is None:
        samples = {}
        for number in range(ROWS):
            samples |= {f"{number:03}.png": png(number), f"{number:03}.cls": str(LABELS[number]).encode()}
    with tarfile.open(root / "a.tar", "w") as tar:
        for name, content in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return root


FORMS: dict[str, Callable[[Path], Path]] = {"folder": folder, "parquet": table, "webdataset": shard}


def read(found: Survey, part: str) -> list[Rows]:
    return [read_chunk(Chunk.from_json(chunk.to_json())) for chunk in found.parts[part]]  # type: ignore[index]


def numbers_of(parts: list[Rows]) -> list[int]:
    images = np.concatenate([rows.images for rows in parts])
    return [int(image[13, 13]) + 256 * int(image[14, 14]) for image in images]


@pytest.mark.parametrize("form", FORMS)
def test_each_picture_is_in_one_part_with_its_label(tmp_path: Path, form: str) -> None:
    """Read from the same bytes in each form: every one once, and its own label."""
    found = survey(str(FORMS[form](tmp_path / "data")), 0.1, 1)
    seen = []
    for part in PARTS:
        parts = read(found, part)
        assert not any(error for rows in parts for error in rows.errors)
        numbers = numbers_of(parts)
        assert np.concatenate([rows.labels for rows in parts]).tolist() == [LABELS[n] for n in numbers]
        assert len(numbers) == found.rows(part) == found.counts[part].sum()
        seen += numbers
    assert sorted(seen) == list(range(ROWS))
    assert 8 <= found.rows("test") <= 35
    assert 8 <= found.rows("validation") <= 35


@pytest.mark.parametrize("form", FORMS)
def test_a_share_that_leaves_nothing_to_train_on_is_named(tmp_path: Path, form: str) -> None:
    """It is held back twice, for validation and for test; the pictures themselves are enough."""
    root = FORMS[form](tmp_path / "data")
    said = r"--validation-share 0\.6 holds back every picture of 0, 1, .*, 9 for test and validation; choose"
    with pytest.raises(DataUnavailable, match=said):
        survey(str(root), 0.6, 1)


def test_parts_depend_on_seed_and_name_alone(tmp_path: Path) -> None:
    """More files, or another order, move no picture; another seed does."""
    root = table(tmp_path / "data")
    first = numbers_of(read(survey(str(root), 0.1, 1), "test"))
    assert numbers_of(read(survey(str(root), 0.1, 2), "test")) != first
    table(root, "b.parquet")
    again = [chunk for chunk in survey(str(root), 0.1, 1).parts["test"] if chunk.file == "a.parquet"]
    assert numbers_of([read_chunk(chunk) for chunk in again]) == first
    whole = random_numbers("a", 0, 100, 1)
    assert (random_numbers("a", 40, 60, 1) == whole[40:]).all()
    assert abs(random_numbers("a", 0, 100_000, 1).mean() - 0.5) < 0.01


@pytest.mark.parametrize("form", ["folder", "parquet"])
def test_folders_named_as_parts_are_these_parts(tmp_path: Path, form: str) -> None:
    for part, rows in (("train", ROWS), ("test", 20)):
        if form == "folder":
            folder(tmp_path, part, rows)
        else:
            table(tmp_path / part)
    found = survey(str(tmp_path), 0.1, 1)
    assert found.rows("test") == (20 if form == "folder" else ROWS)
    assert found.rows("train") + found.rows("validation") == ROWS
    assert all(
        name.startswith("test/")
        for chunk in found.parts["test"]
        for name in (*chunk.files, chunk.file)
        if name
    )


def test_a_picture_that_cannot_be_read_is_a_marked_row(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "3" / "003.png").write_bytes(b"no picture")
    (root / "4" / "004.png").write_bytes(cv2.imencode(".png", np.full((40, 40), 255, np.uint8))[1].tobytes())
    found = survey(str(root), 0.1, 1)
    errors = [error for part in PARTS for rows in read(found, part) for error in rows.errors if error]
    assert sorted(error.partition(":")[0] for error in errors) == ["3/003.png", "4/004.png"]
    assert sum(found.rows(part) for part in PARTS) == ROWS


def test_images_and_the_layout_of_datasets_are_read(tmp_path: Path) -> None:
    """The column `image` holds image files, or structs with their `bytes`; labels may be text."""
    images = [png(number) for number in range(ROWS)]
    for name, column in (("plain", images), ("struct", [{"bytes": image, "path": None} for image in images])):
        root = table(tmp_path / name, pixels=None, image=column, label=list(map(str, LABELS)))
        found = survey(str(root), 0.1, 1)
        seen = sorted(number for part in PARTS for number in numbers_of(read(found, part)))
        assert seen == list(range(ROWS)), name


@pytest.mark.parametrize(
    ("kind", "scale", "reason"),
    [
        (np.int64, 1, ""),
        (np.float32, 1, ""),
        (np.float32, 1 / 255, "run from 0 to 1; multiply them by 255"),
        (np.int64, 2, "is 510; levels are 0 to 255"),
        (np.int64, -1, "is -255; levels are 0 to 255"),
    ],
)
def test_lists_of_other_numbers_than_levels_are_marked(
    tmp_path: Path, kind: type, scale: float, reason: str
) -> None:
    """From 0 to 1 they would be read as black images, and past 255 end the training."""
    some = [(pixels(number).ravel() * float(scale)).astype(kind).tolist() for number in range(ROWS)]
    found = survey(str(table(tmp_path, pixels=some)), 0.1, 1)
    errors = [error for part in PARTS for rows in read(found, part) for error in rows.errors]
    assert all(error.endswith(reason) if reason else not error for error in errors)
    if not reason:
        assert sorted(n for part in PARTS for n in numbers_of(read(found, part))) == list(range(ROWS))


def overwrite(file: Path, start: int, count: int) -> None:
    content = bytearray(file.read_bytes())
    content[start : start + count] = b"\xff" * count
    file.write_bytes(content)


def damage_group(file: Path, group: int) -> None:
    """Overwrites the column `pixels` of a row group, whose labels stay readable."""
    column = pq.ParquetFile(file).metadata.row_group(group).column(0)
    assert column.path_in_schema == "pixels"
    start = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
    overwrite(file, start, column.total_compressed_size)


@pytest.mark.parametrize("when", ["before", "during the training"])
def test_rows_of_a_damaged_row_group_are_marked(tmp_path: Path, when: str) -> None:
    """Each chunk still has its planned rows, and those of the other row groups have their own pixels."""
    file = table(tmp_path) / "a.parquet"
    if when == "before":
        damage_group(file, 1)
    found = survey(str(tmp_path), 0.1, 1)
    if when != "before":
        damage_group(file, 1)
    seen, errors = [], []
    for part in PARTS:
        for chunk, rows in zip(found.parts[part], read(found, part), strict=True):
            assert len(rows.images) == len(rows.labels) == len(rows.errors) == chunk.kept
            good = np.array([not error for error in rows.errors])
            seen += numbers_of([Rows(rows.images[good], rows.labels[good], [])]) if good.any() else []
            errors += list(filter(None, rows.errors))
    assert sorted(seen) == [*range(90), *range(180, ROWS)]
    assert sorted(error.partition(":")[0] for error in errors) == sorted(
        f"a.parquet#{number}" for number in range(90, 180)
    )
    assert all("a.parquet cannot be read as a Parquet file: " in error for error in errors)


def test_rows_after_the_damage_of_a_shard_are_marked(tmp_path: Path) -> None:
    """Its headers are read at the start; here one is damaged after that.

    The sample before it is lost too: the next header says where a sample ends.
    """
    file = shard(tmp_path) / "a.tar"
    with tarfile.open(file) as tar:
        member = tar.getmember("150.png")
    found = survey(str(tmp_path), 0.1, 1)
    overwrite(file, member.offset, 512)
    parts = [rows for part in PARTS for rows in read(found, part)]
    errors = [error for rows in parts for error in rows.errors]
    chunk = next(chunk for chunk in found.parts["train"] if chunk.first <= 150 < chunk.first + chunk.rows)
    lost = range(149, chunk.first + chunk.rows)
    assert len(errors) == ROWS
    assert sorted(error for error in errors if error) == [
        f"a.tar#{number}: {file} cannot be read as an uncompressed tar file: damaged header at byte "
        f"{member.offset}" for number in lost
    ]  # fmt: skip


def test_a_file_that_has_gone_is_no_damage(tmp_path: Path) -> None:
    """Storage that is out of reach ends the training, instead of costing it all rows."""
    for form in ("parquet", "webdataset"):
        root = FORMS[form](tmp_path / form)
        found = survey(str(root), 0.1, 1)
        for file in root.iterdir():
            file.unlink()
        with pytest.raises(DataUnavailable, match=r"a\.\w+ cannot be read: .*No such file") as caught:
            read(found, "train")
        assert not isinstance(caught.value, DataDamaged)


def test_whether_a_row_is_readable_ends_at_the_first(tmp_path: Path) -> None:
    file = table(tmp_path) / "a.parquet"
    damage_group(file, 0)
    found = survey(str(tmp_path), 0.1, 1)
    assert first_error(found.parts["train"]) == ""
    for group in (1, 2):
        damage_group(file, group)
    assert first_error(found.parts["train"]).startswith("a.parquet#")


CLASSES_OF_SHAPES = {"circle": 0, "square": 1, "star": 2, "cross": 3}


def class_labels(root: Path, numbers: list[int], names: list[str] | None) -> Path:
    """Writes integer labels; with names, as the package `datasets` writes its ClassLabel."""
    root.mkdir(parents=True, exist_ok=True)
    content = pa.table({"pixels": [pixels(number).tobytes() for number in range(ROWS)], "label": numbers})
    if names is not None:
        feature = {"label": {"names": names, "_type": "ClassLabel"}}
        content = content.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": feature}})}
        )
    pq.write_table(content, root / "a.parquet")
    return root


@pytest.mark.parametrize(
    ("names", "positions"),
    [
        (None, [0, 1, 2, 3]),
        (["Kreis", "Quadrat", "Stern", "Kreuz"], [0, 1, 2, 3]),
        (["circle", "cross", "square", "star"], [0, 3, 1, 2]),
    ],
)
def test_integers_are_positions_of_labels_that_are_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str] | None, positions: list[int]
) -> None:
    """Of LABELS, or of the names in a ClassLabel, which may be in another order."""
    monkeypatch.setattr(parquet, "POSITIONS", CLASSES_OF_SHAPES)
    monkeypatch.setattr(parquet, "NUMBERS", range(4))
    root = class_labels(tmp_path, [number % 4 for number in range(ROWS)], names)
    ((chunk, labels),) = parquet.chunks_of(str(root), "a.parquet", 1000)
    assert labels.tolist() == [positions[number % 4] for number in range(ROWS)]
    assert read_chunk(chunk).labels.tolist() == labels.tolist()


def test_an_integer_that_is_no_position_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "POSITIONS", CLASSES_OF_SHAPES)
    monkeypatch.setattr(parquet, "NUMBERS", range(4))
    for number in (-1, 4):
        root = class_labels(tmp_path, [number] * ROWS, None)
        message = f"holds the label {number}; allowed labels are circle, square, star, cross, 0, 1, 2, 3$"
        with pytest.raises(DataUnavailable, match=message):
            list(parquet.chunks_of(str(root), "a.parquet", 1000))


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 names only")
def test_a_name_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    """An archive of another system may hold one; it is read, and can be shown if it is no picture."""
    root = folder(tmp_path)
    (root / "3" / os.fsdecode(b"Stra\xdfe.png")).write_bytes(b"no picture")
    found = survey(str(root), 0.1, 1)
    errors = [error for part in PARTS for rows in read(found, part) for error in rows.errors if error]
    assert [error.partition(":")[0] for error in errors] == ["3/Stra\\udcdfe.png"]


def nothing(root: Path) -> None:
    (root / "notes.txt").write_text("no picture")


def both_forms(root: Path) -> None:
    folder(root)
    table(root)


def no_label(root: Path) -> None:
    folder(root)
    (root / "cat").mkdir()
    (root / "cat" / "a.png").write_bytes(png(1))


def in_no_folder(root: Path) -> None:
    folder(root)
    (root / "a.png").write_bytes(png(1))


def empty_class(root: Path) -> None:
    folder(root)
    for file in (root / "7").iterdir():
        file.unlink()


def beside_parts(root: Path) -> None:
    folder(root, "train")
    folder(root)


def torn_parquet(root: Path) -> None:
    file = table(root) / "a.parquet"
    file.write_bytes(file.read_bytes()[:-9])


def torn_tar(root: Path) -> None:
    (shard(root) / "a.tar").write_bytes(b"no tar" * 200)


def damaged_header(root: Path) -> None:
    with tarfile.open(shard(root) / "a.tar") as tar:
        member = tar.getmember("190.cls")
    overwrite(root / "a.tar", member.offset, 512)


def labels_at_the_end(root: Path) -> None:
    pictures = {f"{number}.png": png(number) for number in range(CLASSES)}
    shard(root, pictures | {f"{number}.cls": str(number).encode() for number in range(CLASSES)})


BAD = {
    "nothing": (nothing, r"holds nothing to train on; --data takes a folder"),
    "both forms": (both_forms, r"holds (folder and parquet|parquet and folder); --data takes"),
    "no label": (no_label, r"the picture cat/a.png is in the folder 'cat', which is no label"),
    "in no folder": (in_no_folder, r"the picture a.png is in no folder; put each picture into"),
    "an empty class": (empty_class, r"has no training picture of 7; add pictures of each label"),
    "beside its parts": (beside_parts, r"folders named train, validation, test, and 0/000.png is in none"),
    "torn Parquet": (torn_parquet, r"a.parquet cannot be read as a Parquet file: "),
    "a torn shard": (torn_tar, r"a.tar cannot be read as an uncompressed tar file: "),
    "a shard's header": (damaged_header, r"a.tar cannot be read as .* tar file: damaged header at byte \d+$"),
    "labels apart from pictures": (
        labels_at_the_end, r"the sample 0 has no label; it needs a member 0.cls .*, adjacent to its picture: "
    ),
    "text that is no UTF-8": (
        lambda root: table(root, label=pa.array([b"\xff"] * ROWS).cast(pa.string(), safe=False)),
        r"a.parquet cannot be read as a Parquet file: ",
    ),
    "no label column": (lambda root: table(root, label=None), "has the columns pixels; it needs `label`"),
    "no pixels": (lambda root: table(root, pixels=None), "has the columns label; it needs `label`"),
    "a wrong label": (lambda root: table(root, label=[11] * ROWS), "the label 11; allowed labels are 0"),
    "a shard's label": (
        lambda root: shard(root, {"a.png": b"", "a.cls": b"x"}), r"the sample a has the label 'x'; each needs"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    make(tmp_path)
    with pytest.raises(DataUnavailable, match=message) as caught:
        survey(str(tmp_path), 0.1, 1)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["/nowhere", "/nowhere/a.parquet", "memory://none"])
def test_an_address_that_does_not_exist_is_named(address: str) -> None:
    with pytest.raises(DataUnavailable, match=f"^{address} does not exist; --data takes a folder of"):
        survey(address, 0.1, 1)


def test_an_empty_folder_exists(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="holds nothing to train on; --data takes a folder of"):
        survey(str(tmp_path), 0.1, 1)


@pytest.mark.parametrize("error", [PermissionError("not yours"), RuntimeError("no credentials")])
def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The errors of file systems share no base, for example those about credentials."""

    def ls(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.ls", ls)
    with pytest.raises(DataUnavailable, match=f"cannot be read: {error}"):
        survey(str(tmp_path), 0.1, 1)


def test_an_address_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(DataUnavailable, match="nowhere://a cannot be read: Protocol not known"):
        survey("nowhere://a", 0.1, 1)


def test_too_few_pictures_to_hold_back_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="too few pictures to hold any back for validation; add"):
        survey(str(folder(tmp_path)), 1e-6, 1)


def test_a_file_is_looked_at_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there are folders of parts is found out once, not again for each of a million pictures."""
    asked = []

    class Watched(tuple):  # type: ignore[type-arg]
        def __contains__(self, name: object) -> bool:
            asked.append(name)
            return super().__contains__(name)

    monkeypatch.setattr(module, "PARTS", Watched(PARTS))
    survey(str(folder(tmp_path)), 0.1, 1)
    assert ROWS <= len(asked) <= 3 * ROWS


def test_a_large_row_group_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk would read it from its start."""
    monkeypatch.setattr(parquet, "MOST_BYTES", 10_000)
    with pytest.raises(DataUnavailable, match=r"a row group of 0 MB; rewrite it with row groups of at most"):
        survey(str(table(tmp_path)), 0.1, 1)


def test_any_address_of_fsspec_is_read(tmp_path: Path) -> None:
    """Here in memory; s3:// and others need the package of their file system."""
    import fsspec

    memory = fsspec.filesystem("memory")
    for part in FORMS:
        local = FORMS[part](tmp_path / part)
        memory.put(str(local), f"/{part}", recursive=True)
        found = survey(f"memory://{part}", 0.1, 1)
        assert sum(len(numbers_of(read(found, part))) for part in PARTS) == ROWS
    assert LEVELS == SIDE * SIDE
