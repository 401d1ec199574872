"""A chunk -> pixels and labels, with the reader of the service; unreadable pictures are marked."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput
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
    """Returns the rows of a chunk that belong to its part, in order."""
    mask = chunk.mask()
    images = np.zeros((chunk.kept, *SHAPE), np.uint8)
    labels = np.zeros(chunk.kept, np.uint8)
    errors = [f"{chunk.file}: the file is shorter than it was when the training started"] * chunk.kept
    kept = (row for row, is_own in zip(ROWS_OF[chunk.form](chunk), mask, strict=False) if is_own)
    for place, row in enumerate(kept):
        pixels, error = _read(row)
        name = row.name.encode(errors="backslashreplace").decode()  # Arrow takes no name that is no UTF-8
        labels[place], errors[place] = row.label, error and f"{name}: {error}"
        if pixels is not None:
            images[place] = pixels
    return Rows(images, labels, errors)


def _read(row: Row) -> tuple[Pixels | None, str]:
    """Returns the pixels of a row or an error. For a picture these are of its most likely candidate."""
    if isinstance(row.content, bytes):
        try:
            candidates = read_file(row.content, MAX_PIXELS).items
        except BadInput as error:
            return None, str(error)
        return (candidates[0].pixels, "") if candidates else (None, "no ink stands out from the paper")
    return row.content, row.error
