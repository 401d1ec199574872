"""Parquet files: a column `label`, and `pixels` or `image` with the bytes of image files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from digits.errors import BadInput, DataDamaged, DataUnavailable
from digits.streaming.chunks import NO_ACCESS, POSITIONS, Chunk, Row, cuts, open_file
from digits.task import LEVELS, NUMBERS, SHAPE
from digits.vision.levels import from_array

LABEL, PIXELS_COLUMN, IMAGE = "label", "pixels", "image"
# The uncompressed size of a row group, which is read from its start for each of its chunks.
MOST_BYTES = 512_000_000
TOGETHER = 64  # rows in memory at the same time
BUFFER = 1 << 20  # bytes of a column that are read at once, instead of a whole row group


def count_rows(root: str, file: str) -> int:
    """Returns the number of rows in a file. Raises DataUnavailable if it cannot be used."""
    with _opened(root, file) as table:
        names = table.schema_arrow.names
        if LABEL not in names or not {PIXELS_COLUMN, IMAGE} & set(names):
            raise DataUnavailable(
                f"{root}/{file} has the columns {', '.join(names)}; it needs `{LABEL}`, and "
                f"`{PIXELS_COLUMN}` ({LEVELS} bytes) or `{IMAGE}` (the bytes of an image file)"
            )
        for group in range(table.num_row_groups):
            size = table.metadata.row_group(group).total_byte_size
            if size > MOST_BYTES:
                raise DataUnavailable(
                    f"{root}/{file} has a row group of {size / 1e6:,.0f} MB; rewrite it with row groups of "
                    f"at most {MOST_BYTES / 1e6:,.0f} MB, some thousand rows each (pyarrow's row_group_size)"
                )
        return int(table.metadata.num_rows)


def chunks_of(root: str, file: str, most: int) -> Iterator[tuple[Chunk, NDArray[np.uint8]]]:
    """Yields chunks and the positions of their labels in LABELS.  Raises DataUnavailable."""
    first = 0
    with _opened(root, file) as table:
        numbers = _numbers(table)
        for group in range(table.num_row_groups):
            labels = table.read_row_group(group, columns=[LABEL]).column(LABEL).to_pylist()
            positions = np.array([_position(root, file, label, numbers) for label in labels], np.uint8)
            for skip, rows in cuts(len(labels), most):
                chunk = Chunk("parquet", root, rows, rows, file, first + skip, group, skip)
                yield chunk, positions[skip : skip + rows]
            first += len(labels)


def _numbers(table: pq.ParquetFile) -> dict[int, int]:
    """Returns the position in LABELS of each integer label.

    The package `datasets` counts the names of its ClassLabel, often in another order than LABELS. It writes
    them into the file, so they decide if they are labels.
    """
    names = {number: POSITIONS[name] for number, name in enumerate(_class_names(table)) if name in POSITIONS}
    return names or {number: position for position, number in enumerate(NUMBERS)}


def _class_names(table: pq.ParquetFile) -> list[str]:
    """Returns the names of a ClassLabel of the package `datasets`; none for a file of another origin."""
    try:
        written = json.loads((table.schema_arrow.metadata or {})[b"huggingface"])
        return list(map(str, written["info"]["features"][LABEL]["names"]))
    except (KeyError, TypeError, ValueError):
        return []


def _position(root: str, file: str, label: Any, numbers: Mapping[int, int]) -> int:
    is_number = isinstance(label, int) and not isinstance(label, bool)
    position = numbers.get(label) if is_number else POSITIONS.get(str(label))
    if position is None:
        allowed = list(dict.fromkeys([*POSITIONS, *map(str, numbers)]))
        raise DataDamaged(f"{root}/{file} holds the label {label!r}; allowed labels are {', '.join(allowed)}")
    return position


def rows_of(chunk: Chunk) -> Iterator[Row]:
    """Yields the chunk's rows. Raises DataUnavailable, and DataDamaged where the row group is damaged."""
    with _opened(chunk.root, chunk.file) as table:
        numbers = _numbers(table)
        column = PIXELS_COLUMN if PIXELS_COLUMN in table.schema_arrow.names else IMAGE
        number = -chunk.skip  # number of the next row, counted from the chunk's first
        for batch in table.iter_batches(TOGETHER, row_groups=[chunk.start], columns=[LABEL, column]):
            begin, end = max(0, -number), min(batch.num_rows, chunk.rows - number)
            inside = batch.slice(begin, max(0, end - begin)).to_pylist()
            for place, row in enumerate(inside, chunk.first + number + begin):
                label = _position(chunk.root, chunk.file, row[LABEL], numbers)
                yield _row(f"{chunk.file}#{place}", column, row[column], label)
            number += batch.num_rows
            if number >= chunk.rows:
                return


def _row(name: str, column: str, value: Any, label: int) -> Row:
    if isinstance(value, dict):  # an image as the package `datasets` writes it
        value = value.get("bytes")
    if isinstance(value, list) and column == PIXELS_COLUMN:
        image = from_array(value)
        return (
            Row(name, None, label, image.detail) if isinstance(image, BadInput) else Row(name, image, label)
        )
    if not isinstance(value, bytes):
        return Row(name, None, label, f"the column `{column}` holds no bytes in this row")
    if column == IMAGE:
        return Row(name, value, label)
    if len(value) != LEVELS:
        return Row(name, None, label, f"{len(value)} pixels instead of {LEVELS}")
    return Row(name, np.frombuffer(value, np.uint8).reshape(SHAPE), label)


@contextmanager
def _opened(root: str, file: str) -> Iterator[pq.ParquetFile]:
    """Opens a file for reading page by page.

    Raises DataUnavailable, and DataDamaged for damaged content, also within the block.
    """
    try:
        with open_file(root, file) as content:
            yield pq.ParquetFile(content, buffer_size=BUFFER, pre_buffer=False)
    except NO_ACCESS as error:
        raise DataUnavailable(f"{root}/{file} cannot be read: {error}") from error
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: text that is not UTF-8
        message = " ".join(str(error).split())  # Arrow's texts may have several lines
        raise DataDamaged(f"{root}/{file} cannot be read as a Parquet file: {message}") from error
