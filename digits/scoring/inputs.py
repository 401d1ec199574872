"""Files, folders, patterns and Parquet, on this disk or at any address of fsspec -> blocks of pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
from fsspec.utils import get_protocol

from digits.errors import DataUnavailable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")  # of the files that a folder is searched for
PARQUET = ".parquet"
IMAGE, PATH = "image", "path"  # columns of Parquet: bytes of an image file, and its name, which may be absent


@dataclass(frozen=True, slots=True)
class Block:
    """Pictures that are scored together: files, or one row group of a Parquet file."""

    files: tuple[str, ...]
    row_group: int | None = None


Picture = tuple[str, bytes | None, str]  # its name, its bytes or None, and why it has none


def blocks_of(inputs: Sequence[str], most_files: int, most_bytes: int) -> list[Block]:
    """Returns the blocks of all inputs, in the order of their names.

    A block has at most so many files, and no more bytes unless one file alone has them.  Raises
    DataUnavailable for an input that holds nothing, and for Parquet without a column of images.
    """
    files: dict[str, int] = {}  # each once, with its bytes
    groups = []
    for given in inputs:
        found = _files_of(given)
        if not found:
            raise DataUnavailable(
                f"{given} holds no picture; give files, folders with {', '.join(SUFFIXES)} or {PARQUET}, "
                "or patterns such as 'scans/*.png'"
            )
        files |= {file: size for file, size in found if not file.endswith(PARQUET)}
        groups += [block for file, _ in found if file.endswith(PARQUET) for block in _row_groups(file)]
    return [*_grouped(files, most_files, most_bytes), *groups]


def _grouped(files: Mapping[str, int], most_files: int, most_bytes: int) -> Iterator[Block]:
    some: list[str] = []
    held = 0
    for file, size in files.items():
        if some and (len(some) == most_files or held + size > most_bytes):
            yield Block(tuple(some))
            some, held = [], 0
        some.append(file)
        held += size
    if some:
        yield Block(tuple(some))


def _files_of(given: str) -> list[tuple[str, int]]:
    """Returns the sorted addresses of an input and their bytes; a file that is named may have any suffix."""
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
    """Returns what opens a file: a path on this disk, else its address."""
    return path if "file" in system.protocol else system.unstrip_protocol(path)


def _row_groups(file: str) -> list[Block]:
    with fsspec.open(file) as opened:
        table = pq.ParquetFile(opened)
        if IMAGE not in table.schema_arrow.names:
            raise DataUnavailable(
                f"{file} has the columns {', '.join(table.schema_arrow.names)}; it needs one named "
                f"`{IMAGE}` with the bytes of image files, and may have `{PATH}` with their names"
            )
        return [Block((file,), group) for group in range(table.num_row_groups)]


def pictures_of(block: Block) -> Iterator[Picture]:
    """Yields the pictures of a block; one that cannot be read is part of the result, not an error."""
    if block.row_group is not None:
        yield from _rows(block.files[0], block.row_group)
        return
    for file in block.files:
        try:
            yield file, _content(file), ""
        except OSError as error:
            yield file, None, f"the file cannot be read: {error.strerror or error}"


def _content(file: str) -> bytes:
    """Returns the bytes of a file; of one on this disk by the shortest way, for the sake of small ones."""
    if "://" not in file:
        return Path(file).read_bytes()
    content: bytes = fsspec.filesystem(get_protocol(file)).cat_file(file)
    return content


def _rows(file: str, group: int) -> Iterator[Picture]:
    with fsspec.open(file) as opened:
        table = pq.ParquetFile(opened)
        columns = [name for name in (IMAGE, PATH) if name in table.schema_arrow.names]
        rows = table.read_row_group(group, columns=columns).to_pylist()
    for number, row in enumerate(rows):
        name = row.get(PATH) or f"{file}#{group}.{number}"
        content = row[IMAGE]
        if isinstance(content, bytes):
            yield name, content, ""
        else:
            yield name, None, f"the column `{IMAGE}` holds no bytes in this row"
