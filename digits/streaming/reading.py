"""A chunk -> pixels and labels, with the reader of the service; unreadable pictures are marked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput, DataDamaged
from digits.streaming import folders, parquet, webdataset
from digits.streaming.chunks import Chunk, Form, Row
from digits.task import SHAPE, Images, Pixels
from digits.vision.limits import MAX_PIXELS
from digits.vision.reader import read_file

ROWS_OF: Mapping[Form, Callable[[Chunk], Iterator[Row]]] = {
    "folder": folders.rows_of, "parquet": parquet.rows_of, "webdataset": webdataset.rows_of,
}  # fmt: skip


class Rows(NamedTuple):
    """The n rows of a chunk; unreadable ones have black pixels, and the reason in `errors`."""

    images: Images
    labels: NDArray[np.uint8]  # (n,), positions in task.LABELS
    errors: list[str]  # "" or "name: reason"


def read_chunk(chunk: Chunk) -> Rows:
    """Returns the rows of a chunk that belong to its part, in order. Raises DataUnavailable."""
    images = np.zeros((chunk.kept, *SHAPE), np.uint8)
    labels = np.zeros(chunk.kept, np.uint8)
    errors = [""] * chunk.kept
    for place, (pixels, label, error) in enumerate(_own_rows(chunk)):
        labels[place], errors[place] = label, error
        if pixels is not None:
            images[place] = pixels
    return Rows(images, labels, errors)


def first_error(chunks: Sequence[Chunk]) -> str:
    """Returns the first row's error if no row of the chunks is readable, else "".

    It stops at the first readable row. Raises DataUnavailable.
    """
    first = ""
    for chunk in chunks:
        for _, _, error in _own_rows(chunk):
            if not error:
                return ""
            first = first or error
    return first


def _own_rows(chunk: Chunk) -> Iterator[tuple[Pixels | None, int, str]]:
    """Yields pixels, label and error of the rows that belong to the chunk's part."""
    for row in compress(_planned_rows(chunk), chunk.mask()):
        pixels, error = _read(row)
        name = row.name.encode(errors="backslashreplace").decode()  # Arrow takes no name that is no UTF-8
        yield pixels, row.label, error and f"{name}: {error}"


def _planned_rows(chunk: Chunk) -> Iterator[Row]:
    """Yields as many rows as the chunk had when it was planned; those that a damage has cost are unreadable.

    The plan of an epoch counts rows, so a row that is not there must be marked instead of left out.
    """
    read, reason = 0, "the file is shorter than it was when the training started"
    try:
        for row in ROWS_OF[chunk.form](chunk):
            yield row
            read += 1
    except DataDamaged as error:
        reason = str(error)
    for number in range(chunk.first + read, chunk.first + chunk.rows):
        yield Row(f"{chunk.file}#{number}", None, 0, reason)


def _read(row: Row) -> tuple[Pixels | None, str]:
    """Returns the pixels of a row or an error. For a picture these are of its most likely candidate."""
    if isinstance(row.content, bytes):
        try:
            candidates = read_file(row.content, MAX_PIXELS).items
        except BadInput as error:
            return None, str(error)
        return (candidates[0].pixels, "") if candidates else (None, "no ink stands out from the paper")
    return row.content, row.error
