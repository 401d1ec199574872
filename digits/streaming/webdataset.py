"""WebDataset shards: tar files with `NAME.cls`, a label, beside `NAME.png` or another picture."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataDamaged, DataUnavailable
from digits.streaming.chunks import NO_ACCESS, POSITIONS, Chunk, Row, cuts, open_file
from digits.vision.formats import SUFFIXES

LABEL_SUFFIX = ".cls"


class _Sample(NamedTuple):
    key: str
    start: int  # the byte of its first member's header
    label: str
    picture: tarfile.TarInfo | None


def chunks_of(root: str, file: str, most: int) -> Iterator[tuple[Chunk, NDArray[np.uint8]]]:
    """Yields chunks and the positions of their labels in LABELS, after one scan of all members.

    Raises DataUnavailable.
    """
    starts, labels = [], []
    with _opened(root, file) as shard:
        for sample in _samples(shard):
            starts.append(sample.start)
            labels.append(_position(root, file, sample))
    for first, rows in cuts(len(labels), most):
        yield (
            Chunk("webdataset", root, rows, rows, file, first, starts[first]),
            np.array(labels[first : first + rows], np.uint8),
        )


def rows_of(chunk: Chunk) -> Iterator[Row]:
    """Yields the chunk's rows. Raises DataUnavailable, and DataDamaged where the shard is damaged."""
    with _opened(chunk.root, chunk.file, chunk.start) as shard:
        for _, sample in zip(range(chunk.rows), _samples(shard), strict=False):
            name, label = f"{chunk.file}/{sample.key}", _position(chunk.root, chunk.file, sample)
            picture = sample.picture and shard.extractfile(sample.picture)
            if picture:
                yield Row(name, picture.read(), label)
            else:
                suffixes = ", ".join(SUFFIXES)
                yield Row(name, None, label, f"no member with one of {suffixes} is adjacent to the label")


def _position(root: str, file: str, sample: _Sample) -> int:
    if sample.label in POSITIONS:
        return POSITIONS[sample.label]
    needed = f"a member {sample.key}{LABEL_SUFFIX} with one of {', '.join(POSITIONS)}"
    if sample.label:
        raise DataDamaged(
            f"{root}/{file}: the sample {sample.key} has the label {sample.label!r}; each needs {needed}"
        )
    raise DataDamaged(
        f"{root}/{file}: the sample {sample.key} has no label; it needs {needed}, adjacent to its picture: a "
        "WebDataset sample is consecutive members with the same name"
    )


@contextmanager
def _opened(root: str, file: str, start: int = 0) -> Iterator[tarfile.TarFile]:
    """Opens a shard at a byte. Raises DataUnavailable, and DataDamaged for damage, also within the block."""
    try:
        with open_file(root, file) as content:
            content.seek(start)
            with tarfile.open(fileobj=content, mode="r:") as shard:
                yield shard
    except NO_ACCESS as error:
        raise DataUnavailable(f"{root}/{file} cannot be read: {error}") from error
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataDamaged(f"{root}/{file} cannot be read as an uncompressed tar file: {error}") from error


def _samples(shard: tarfile.TarFile) -> Iterator[_Sample]:
    """Yields the samples of a shard: consecutive members with the same name up to the first dot.

    Raises tarfile.ReadError.
    """
    for key, members in groupby(_files(shard), lambda member: _key(member.name)):
        of_sample = list(members)
        labels = [_text(shard, member) for member in of_sample if member.name == key + LABEL_SUFFIX]
        pictures = [member for member in of_sample if member.name.lower().endswith(SUFFIXES)]
        yield _Sample(
            key, of_sample[0].offset, labels[0] if labels else "", pictures[0] if pictures else None
        )


def _files(shard: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields the members that are files. Raises tarfile.ReadError.

    `tarfile` takes a damaged header for the end of the shard, which a block of zeros, or nothing, follows.
    """
    yield from (member for member in shard if member.isfile())
    assert shard.fileobj is not None
    shard.fileobj.seek(shard.offset)
    if any(shard.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError(f"damaged header at byte {shard.offset}")


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _text(shard: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content: IO[bytes] | None = shard.extractfile(member)
    return content.read(100).decode(errors="replace").strip() if content else ""
