"""Folders of pictures, named by label: `7/scan.png` shows a 7."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from digits.errors import DataUnavailable
from digits.streaming.chunks import POSITIONS, Chunk, Row, cuts, open_file, rows_of_chunk

MOST_BYTES = 64_000_000  # size of the files in a chunk: some seconds of reading


def label_of(root: str, name: str, has_parts: bool) -> int:
    """Returns the position in LABELS of a picture's folder. Raises DataUnavailable."""
    folders = name.split("/")[:-1][has_parts:]
    given = folders[0] if folders else ""
    if given not in POSITIONS:
        where = f"in the folder {given!r}, which is no label" if given else "in no folder"
        raise DataUnavailable(
            f"{root}: the picture {name} is {where}; put each picture into a folder named by its label, "
            f"one of {', '.join(POSITIONS)}"
        )
    return POSITIONS[given]


def chunks_of(
    root: str, names: Sequence[str], labels: Mapping[str, int], sizes: Mapping[str, int], seed: int
) -> Iterator[Chunk]:
    """Yields chunks of pictures in random order, so that each has pictures of all labels."""
    order = np.random.default_rng(seed).permutation(len(names))
    for start, count in cuts(len(names), rows_of_chunk(len(names))):
        group: list[str] = []
        held = 0
        for name in (names[place] for place in order[start : start + count]):
            if group and held + sizes[name] > MOST_BYTES:
                yield _chunk(root, group, labels)
                group, held = [], 0
            group.append(name)
            held += sizes[name]
        yield _chunk(root, group, labels)


def _chunk(root: str, names: Sequence[str], labels: Mapping[str, int]) -> Chunk:
    positions = tuple(labels[name] for name in names)
    return Chunk("folder", root, len(names), len(names), files=tuple(names), labels=positions)


def rows_of(chunk: Chunk) -> Iterator[Row]:
    for name, label in zip(chunk.files, chunk.labels, strict=True):
        try:
            with open_file(chunk.root, name) as file:
                yield Row(name, file.read(), label)
        except OSError as error:
            yield Row(name, None, label, f"the file cannot be read: {error.strerror or error}")
