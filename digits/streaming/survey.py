"""An address -> its chunks and label counts, checked before a training starts."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import fsspec
import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.streaming import folders, parquet, webdataset
from digits.streaming.chunks import PARTS, Chunk, Form, Part, random_numbers, rows_of_chunk, total
from digits.task import CLASSES, LABELS
from digits.vision.formats import SUFFIXES

HELD_BACK: tuple[Part, ...] = ("test", "validation")
MOST_HELD_BACK = 10_000  # pictures for validation and for test, in memory: as many as MNIST's test set
SMALL_TAR = 50_000_000  # total bytes of shards up to which chunks are small
FORM_OF: dict[str, Form] = dict.fromkeys(SUFFIXES, "folder")  # by the suffix of a file
FORM_OF |= {".parquet": "parquet", ".tar": "webdataset"}
TAKEN = (
    "--data takes a folder of class-named folders of pictures, Parquet files (.parquet) or WebDataset shards "
    "(.tar), an .npz file, mnist or sklearn-digits"
)
Counts = NDArray[np.int64]  # (CLASSES,)


@dataclass(frozen=True)
class Survey:
    name: str
    address: str
    sha256: str  # hash of names, sizes and labels; the contents are too large to read for it
    parts: Mapping[Part, tuple[Chunk, ...]]
    counts: Mapping[Part, Counts]

    def rows(self, part: Part) -> int:
        return total(self.parts[part])


@dataclass(frozen=True)
class _Files:
    """The files of one format below an address, sorted by name."""

    root: str
    form: Form
    sizes: Mapping[str, int]

    def part_of(self, name: str) -> Part:
        """Returns the part that a file's folder names; "train" without such folders."""
        return cast(Part, name.partition("/")[0]) if self.has_parts else "train"

    @cached_property
    def has_parts(self) -> bool:
        """Whether the files are in folders named train, validation and test."""
        return any(name.partition("/")[0] in PARTS and "/" in name for name in self.sizes)

    @cached_property
    def drawn(self) -> tuple[Part, ...]:
        """The parts without a folder: they get some of the training pictures."""
        existing = {self.part_of(name) for name in self.sizes}
        return tuple(part for part in HELD_BACK if part not in existing)


def survey(address: str, share: float, seed: int) -> Survey:
    """Returns a description of the data from its names, labels and file metadata.

    Pictures in folders named train, validation and test belong to these parts. A part without a folder gets
    this share of the training pictures, chosen by the seed, at most MOST_HELD_BACK. Raises DataUnavailable.
    """
    files = _list(address)
    found = list(_folder(files, seed, share) if files.form == "folder" else _tables(files, seed, share))
    parts: dict[Part, tuple[Chunk, ...]] = {}
    counts: dict[Part, Counts] = {}
    listed = "\n".join(f"{name} {size}" for name, size in files.sizes.items())
    digest = hashlib.sha256(listed.encode(errors="surrogateescape"))
    for part in PARTS:
        of_part = [(chunk, labels) for chunk, labels, owner in found if owner == part and chunk.kept]
        parts[part] = tuple(chunk for chunk, _ in of_part)
        counts[part] = np.zeros(CLASSES, np.int64)
        for _, labels in of_part:
            digest.update(labels.tobytes())
            counts[part] += np.bincount(labels, minlength=CLASSES)
    _check(address, counts, share, files.drawn)
    name = address.rstrip("/").rpartition("/")[2]
    return Survey(name, address, digest.hexdigest(), parts, counts)


def _list(address: str) -> _Files:
    try:
        system, path = fsspec.core.url_to_fs(address)
        path = path.rstrip("/")
        if system.isfile(path):
            root, _, name = path.rpartition("/")
            every = {name: system.info(path)}
        else:
            root = path
            every = {name[len(root) + 1 :]: info for name, info in system.find(path, detail=True).items()}
            if not every:
                system.ls(path)  # raises an error if it does not exist or cannot be listed
    except FileNotFoundError as error:
        raise DataUnavailable(f"{address} does not exist; {TAKEN}") from error
    except Exception as error:  # those of file systems share no base
        raise DataUnavailable(f"{address} cannot be read: {error}") from error
    forms: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name in sorted(every):
        suffix = Path(name).suffix.lower()
        if suffix in FORM_OF and not any(part.startswith((".", "_")) for part in name.split("/")):
            sizes[name] = every[name].get("size") or 0
            forms[FORM_OF[suffix]] = forms.get(FORM_OF[suffix], 0) + 1
    if len(forms) != 1:
        what = " and ".join(forms) or "nothing to train on"
        raise DataUnavailable(f"{address} holds {what}; {TAKEN}")
    address_of_root = root if "file" in system.protocol else system.unstrip_protocol(root)
    files = _Files(address_of_root, FORM_OF[Path(next(iter(sizes))).suffix.lower()], sizes)
    others = [name for name in sizes if files.part_of(name) not in PARTS]
    if others:
        raise DataUnavailable(
            f"{address} has folders named {', '.join(PARTS)}, and {others[0]} is in none of them"
        )
    return files


Found = tuple[Chunk, NDArray[np.uint8], Part]


def _ranges(files: _Files, rows: int, share: float) -> Iterator[tuple[Part, float, float]]:
    """Yields for each part the range of random numbers of the training rows that belong to it."""
    share = min(share, MOST_HELD_BACK / max(rows, 1))
    low = 0.0
    for part in files.drawn:
        yield part, low, low + share
        low += share
    yield "train", low, 1.0


def _folder(files: _Files, seed: int, share: float) -> Iterator[Found]:
    labels = {name: folders.label_of(files.root, name, files.has_parts) for name in files.sizes}
    names: dict[Part, list[str]] = {part: [] for part in PARTS}
    rows = sum(files.part_of(name) == "train" for name in files.sizes)
    ranges = list(_ranges(files, rows, share))
    for name in files.sizes:
        part = files.part_of(name)
        if part == "train":
            (number,) = random_numbers(name, 0, 1, seed)
            part = next(part for part, low, high in ranges if low <= number < high)
        names[part].append(name)
    for part, of_part in names.items():
        if of_part:
            for chunk in folders.chunks_of(files.root, of_part, labels, files.sizes, seed):
                yield chunk, np.array(chunk.labels, np.uint8), part


def _tables(files: _Files, seed: int, share: float) -> Iterator[Found]:
    """Yields chunks of Parquet and tar files; rows of a chunk may belong to several parts."""
    by_part: dict[Part, list[tuple[Chunk, NDArray[np.uint8]]]] = {}
    for part in {files.part_of(name): None for name in files.sizes}:
        of_part = [name for name in files.sizes if files.part_of(name) == part]
        by_part[part] = list(_whole(files, of_part))
    ranges = list(_ranges(files, total([chunk for chunk, _ in by_part.get("train", [])]), share))
    for part in PARTS:
        for chunk, labels in by_part.get(part, []):
            if part != "train":
                yield chunk, labels, part
                continue
            for drawn_part, low, high in ranges:
                drawn = chunk.part_of_rows(low, high, seed)
                yield drawn, labels[drawn.mask()], drawn_part


def _whole(files: _Files, names: Sequence[str]) -> Iterable[tuple[Chunk, NDArray[np.uint8]]]:
    if files.form == "parquet":
        most = rows_of_chunk(sum(parquet.count_rows(files.root, name) for name in names))
        return (found for name in names for found in parquet.chunks_of(files.root, name, most))
    # How many samples a shard has is only known after reading it.
    most = rows_of_chunk(0) if sum(files.sizes[name] for name in names) < SMALL_TAR else rows_of_chunk(10**9)
    return (found for name in names for found in webdataset.chunks_of(files.root, name, most))


def _check(address: str, counts: Mapping[Part, Counts], share: float, drawn: Sequence[Part]) -> None:
    missing = np.flatnonzero(counts["train"] == 0)
    empty = [LABELS[position] for position in missing]
    lost = [LABELS[position] for position in missing if any(counts[part][position] for part in drawn)]
    if lost:
        raise DataUnavailable(
            f"{address}: --validation-share {share:g} holds back every picture of {', '.join(lost)} for "
            f"{' and '.join(drawn)}; choose a smaller share, or add pictures"
        )
    if empty:
        raise DataUnavailable(
            f"{address} has no training picture of {', '.join(empty)}; add pictures of each label, or remove "
            "the label from LABELS in digits/task.py"
        )
    for part in PARTS[1:]:
        if not counts[part].sum():
            raise DataUnavailable(
                f"{address} has too few pictures to hold any back for {part}; add pictures, or choose a "
                "larger --validation-share"
            )
