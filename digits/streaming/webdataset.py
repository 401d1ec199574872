"""WebDataset shards: tar files with `NAME.cls`, a label, beside `NAME.png` or another picture."""

import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.streaming.chunks import POSITIONS, Chunk, Row, cuts, open_file
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
    try:
        with open_file(root, file) as content, tarfile.open(fileobj=content, mode="r:") as shard:
            for sample in _samples(shard):
                if not sample.label:
                    raise DataUnavailable(
                        f"{root}/{file}: the sample {sample.key} has no label; it needs a member "
                        f"{sample.key}{LABEL_SUFFIX} with one of {', '.join(POSITIONS)}, adjacent to its "
                        "picture: a WebDataset sample is consecutive members with the same name"
                    )
                if sample.label not in POSITIONS:
                    raise DataUnavailable(
                        f"{root}/{file}: the sample {sample.key} has the label {sample.label!r}; each needs "
                        f"a member {sample.key}{LABEL_SUFFIX} with one of {', '.join(POSITIONS)}"
                    )
                starts.append(sample.start)
                labels.append(POSITIONS[sample.label])
    except (tarfile.TarError, OSError) as error:
        raise DataUnavailable(f"{root}/{file} cannot be read as an uncompressed tar file: {error}") from error
    for first, rows in cuts(len(labels), most):
        yield (
            Chunk("webdataset", root, rows, rows, file, first, starts[first]),
            np.array(labels[first : first + rows], np.uint8),
        )


def rows_of(chunk: Chunk) -> Iterator[Row]:
    with open_file(chunk.root, chunk.file) as content:
        content.seek(chunk.start)
        with tarfile.open(fileobj=content, mode="r:") as shard:
            for _, sample in zip(range(chunk.rows), _samples(shard), strict=False):
                name, label = f"{chunk.file}/{sample.key}", POSITIONS[sample.label]
                picture = sample.picture and shard.extractfile(sample.picture)
                if picture:
                    yield Row(name, picture.read(), label)
                else:
                    yield Row(name, None, label, f"no member with one of {', '.join(SUFFIXES)} is adjacent")


def _samples(shard: tarfile.TarFile) -> Iterator[_Sample]:
    """Yields the samples of a shard: consecutive members with the same name up to the first dot."""
    files = (member for member in shard if member.isfile())
    for key, members in groupby(files, lambda member: _key(member.name)):
        own = list(members)
        labels = [_text(shard, member) for member in own if member.name == key + LABEL_SUFFIX]
        pictures = [member for member in own if member.name.lower().endswith(SUFFIXES)]
        yield _Sample(key, own[0].offset, labels[0] if labels else "", pictures[0] if pictures else None)


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _text(shard: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content: IO[bytes] | None = shard.extractfile(member)
    return content.read(100).decode(errors="replace").strip() if content else ""
