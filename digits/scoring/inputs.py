"""Files, folders, patterns and Parquet, on disk or at any fsspec address -> blocks of pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.utils import get_protocol

from digits.errors import DataUnavailable
from digits.vision.formats import SUFFIXES

PARQUET = ".parquet"
IMAGE, PATH = "image", "path"  # columns of Parquet: bytes of an image file, and its name, which may be absent


@dataclass(frozen=True, slots=True)
class Block:
    """Pictures that are scored together: files, or one row group of a Parquet file."""

    files: tuple[str, ...]
    row_group: int | None = None


Picture = tuple[str, bytes | None, str]  # its name, and its bytes or None with the reason


def blocks_of(inputs: Sequence[str], most_files: int, most_bytes: int, out: str = "") -> list[Block]:
    """Returns the blocks of all inputs, in the order of their names.

    A block has at most `most_files` files, and at most `most_bytes` bytes unless a single file is larger.
    Tables in `out`, an absolute path or an address, are results of an earlier call and left out. Raises
    DataUnavailable for an input without pictures, and for Parquet that cannot be read or has no column of
    images.
    """
    pictures: dict[str, int] = {}  # each file once, with its size in bytes
    tables: dict[str, list[Block]] = {}  # each file once, with its row groups
    for given in inputs:
        found = {file: size for file, size in _files_of(given) if not _is_result(file, out)}
        pictures |= {file: size for file, size in found.items() if not _is_table(file)}
        tables |= {file: _row_groups(file) for file in found if _is_table(file) and file not in tables}
        if not any(file in pictures or tables[file] for file in found):
            raise DataUnavailable(
                f"{given} holds no picture; give files, folders with {', '.join(SUFFIXES)} or {PARQUET}, "
                "or patterns such as 'scans/*.png'"
            )
    groups = [block for blocks in tables.values() for block in blocks]
    return [*_grouped(pictures, most_files, most_bytes), *groups]


def _is_table(file: str) -> bool:
    return file.lower().endswith(PARQUET)


def _is_result(file: str, out: str) -> bool:
    if not out or not _is_table(file):
        return False
    return file.startswith(f"{out}/") if "://" in out else Path(file).resolve().is_relative_to(out)


def _grouped(files: Mapping[str, int], most_files: int, most_bytes: int) -> Iterator[Block]:
    group: list[str] = []
    held = 0
    for file, size in files.items():
        if group and (len(group) == most_files or held + size > most_bytes):
            yield Block(tuple(group))
            group, held = [], 0
        group.append(file)
        held += size
    if group:
        yield Block(tuple(group))


def _files_of(given: str) -> list[tuple[str, int]]:
    """Returns the sorted addresses and sizes of an input's files; a named file may have any suffix."""
    try:
        system, path = fsspec.core.url_to_fs(given)
        if system.isfile(path):
            found = {path: system.info(path)}
        elif system.isdir(path):
            every = system.find(path, detail=True)
            found = {
                file: info for file, info in every.items() if file.lower().endswith((*SUFFIXES, PARQUET))
            }
        else:
            every = system.glob(path, detail=True)
            found = {file: info for file, info in every.items() if info["type"] == "file"}
    except (ImportError, OSError, ValueError) as error:
        raise DataUnavailable(f"{given} cannot be read: {error}") from error
    return sorted((_address(system, file), info.get("size") or 0) for file, info in found.items())


def _address(system: fsspec.AbstractFileSystem, path: str) -> str:
    """Returns what opens a file: a path on disk, else its address."""
    return path if "file" in system.protocol else system.unstrip_protocol(path)


def _row_groups(file: str) -> list[Block]:
    """Returns a block for each row group that is not empty."""
    try:
        with fsspec.open(file) as opened:
            table = pq.ParquetFile(opened)
            names, metadata = table.schema_arrow.names, table.metadata
    except (pa.ArrowException, OSError) as error:
        raise DataUnavailable(f"{file} is not a Parquet file that can be read: {error}") from error
    if IMAGE not in names:
        raise DataUnavailable(
            f"{file} has the columns {', '.join(names)}; it needs one named `{IMAGE}` with the bytes of "
            f"image files, and may have `{PATH}` with their names"
        )
    groups = range(metadata.num_row_groups)
    return [Block((file,), group) for group in groups if metadata.row_group(group).num_rows]


def pictures_of(block: Block) -> Iterator[Picture]:
    """Yields the pictures of a block; an unreadable one has a reason in place of its bytes.

    A row group that cannot be read is one picture, under the name of its file.
    """
    if block.row_group is not None:
        yield from _rows(block.files[0], block.row_group)
        return
    for file in block.files:
        try:
            yield file, _content(file), ""
        except OSError as error:
            yield file, None, f"the file cannot be read: {error.strerror or error}"


def singly(block: Block) -> Iterator[tuple[str, Iterator[Picture]]]:
    """Yields for each picture of a block its name and an iterator of just that picture, read lazily."""
    if block.row_group is None:
        for file in block.files:
            yield file, pictures_of(Block((file,)))
    else:
        for picture in pictures_of(block):
            yield picture[0], iter((picture,))


def _content(file: str) -> bytes:
    """Returns the bytes of a file; local files take a short path, because small ones are many."""
    if "://" not in file:
        return Path(file).read_bytes()
    content: bytes = fsspec.filesystem(get_protocol(file)).cat_file(file)
    return content


def _rows(file: str, group: int) -> Iterator[Picture]:
    try:
        rows = _read_row_group(file, group)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        yield file, None, f"row group {group} of the file cannot be read: {reason}"
        return
    for number, row in enumerate(rows):
        name = str(row.get(PATH) or f"{file}#{group}.{number}")
        content = row[IMAGE]
        if isinstance(content, bytes):
            yield name, content, ""
        else:
            yield name, None, f"the column `{IMAGE}` holds no bytes in this row"


def _read_row_group(file: str, group: int) -> list[dict[str, object]]:
    """Returns all rows, so that a row group with damage in its middle has none rather than some."""
    with fsspec.open(file) as opened:
        table = pq.ParquetFile(opened)
        columns = [name for name in (IMAGE, PATH) if name in table.schema_arrow.names]
        rows: list[dict[str, object]] = table.read_row_group(group, columns=columns).to_pylist()
    return rows
