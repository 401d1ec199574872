"""Chunks: rows that are read together, and which of them are for training, validation and test."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple, Self

import fsspec
import numpy as np
from numpy.typing import NDArray

from digits.task import LABELS, Pixels

Form = Literal["folder", "parquet", "webdataset"]
Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
POSITIONS = {label: position for position, label in enumerate(LABELS)}  # of each label in task.LABELS

# Rows in a chunk: few, so that about twenty chunks fit in memory, but worth a Ray task.  Small data
# gets smaller chunks, because its workers would otherwise get unequal shares.
LEAST_ROWS, MOST_ROWS, CHUNKS = 32, 1024, 64

# Errors of a file that is not accessible.  Its content may be good, so it is not skipped like a damaged file.
NO_ACCESS = (FileNotFoundError, PermissionError, ConnectionError, TimeoutError)


class Row(NamedTuple):
    name: str  # for a message
    content: bytes | Pixels | None  # an image file, or pixels, or None with the reason in `error`
    label: int  # a position in task.LABELS
    error: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pictures of a folder, or consecutive rows of one file; some of them may belong to other parts."""

    form: Form
    root: str  # the address of the data
    rows: int  # that it holds
    kept: int  # number of its rows that belong to its part
    file: str = ""  # below the root; "" for a folder's pictures
    first: int = 0  # number of its first row in the file
    start: int = 0  # row group of a Parquet file; byte of a tar file where the first row begins
    skip: int = 0  # rows of the row group before the first
    files: tuple[str, ...] = ()  # a folder's pictures, below the root
    labels: tuple[int, ...] = ()  # labels of these pictures, positions in task.LABELS
    drawn: tuple[float, float] = (0.0, 1.0)  # the range of random numbers of the rows that belong to its part
    seed: int = 0  # of these numbers

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(**values | {key: tuple(values[key]) for key in ("files", "labels", "drawn")})

    def mask(self) -> NDArray[np.bool_]:
        """Returns (rows,): which rows belong to the chunk's part."""
        if self.form == "folder":
            return np.ones(self.rows, np.bool_)
        low, high = self.drawn
        numbers = random_numbers(self.file, self.first, self.rows, self.seed)
        return (low <= numbers) & (numbers < high)

    def part_of_rows(self, low: float, high: float, seed: int) -> Self:
        """Returns the chunk with only the rows whose random number is in this range."""
        part = replace(self, drawn=(low, high), seed=seed)
        return replace(part, kept=int(part.mask().sum()))


def random_numbers(name: str, first: int, count: int, seed: int) -> NDArray[np.float64]:
    """Returns a number from 0 to 1 for each row of a file, from seed, file name and row number alone.

    SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014) of the row.
    """
    given = f"{seed}:{name}".encode(errors="surrogateescape")  # a name of a disk may be no UTF-8
    key = int.from_bytes(hashlib.blake2b(given, digest_size=8).digest())
    with np.errstate(over="ignore"):
        state = np.uint64(key) + np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> np.uint64(31))) >> np.uint64(11)) / 2.0**53


def rows_of_chunk(rows: int) -> int:
    """Returns the number of rows in a chunk, for data with this many rows."""
    return min(MOST_ROWS, max(LEAST_ROWS, rows // CHUNKS))


def cuts(rows: int, most: int) -> Iterator[tuple[int, int]]:
    """Yields start and length of pieces of nearly equal length, none longer than `most`."""
    pieces = -(-rows // most)
    edges = np.linspace(0, rows, pieces + 1).astype(int).tolist()
    for start, end in pairwise(edges):
        yield start, end - start


def open_file(root: str, file: str) -> "fsspec.core.OpenFile":
    """Returns a file below an address, for use in a `with` statement."""
    return fsspec.open(f"{root}/{file}", "rb")


def total(chunks: Sequence[Chunk]) -> int:
    return sum(chunk.kept for chunk in chunks)
