"""MNIST and pictures of the corpus as Parquet: data to stream, and an example of its columns."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from digits.corpus.examples import sample
from digits.corpus.handwriting import Split
from digits.corpus.kinds import KINDS
from digits.streaming.chunks import Part
from digits.streaming.parquet import IMAGE, LABEL, PIXELS_COLUMN
from digits.task import LABELS, LEVELS
from digits.training.data import Dataset

MNIST_SCHEMA = pa.schema([(PIXELS_COLUMN, pa.binary(LEVELS)), (LABEL, pa.string())])
PICTURES_SCHEMA = pa.schema([(IMAGE, pa.binary()), (LABEL, pa.string()), ("kind", pa.string())])
ROWS, GROUPS = 1_000, 10  # rows in a row group; row groups in a file
SEED = 9
SPLITS: dict[Part, Split] = {"train": "train", "validation": "validation", "test": "judge"}


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Writes the images of a dataset in memory as the column `pixels`, in the folders train and test."""
    parts = {
        "train": (dataset.train_images, dataset.train_labels),
        "test": (dataset.test_images, dataset.test_labels),
    }
    for part, (images, labels) in parts.items():
        rows = (
            {PIXELS_COLUMN: image.tobytes(), LABEL: LABELS[label]}
            for image, label in zip(images, labels, strict=True)
        )
        _write(folder / part, rows, MNIST_SCHEMA)


def write_pictures(folder: Path, per_kind: int) -> None:
    """Writes pictures of digits: `per_kind` of each kind for training, a fifth of that for the other parts.

    They are in the column `image`, in the folders train, validation and test; no writer is in two of them.
    """
    for part, split in SPLITS.items():
        many = per_kind if part == "train" else -(-per_kind // 5)
        examples = tqdm(
            sample(split, SEED, many, tuple(KINDS)), part, many * len(KINDS), unit="picture", disable=None
        )
        rows = (
            {IMAGE: example.data, LABEL: str(example.label), "kind": example.kind} for example in examples
        )
        _write(folder / part, rows, PICTURES_SCHEMA)


def _write(folder: Path, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> None:
    """Writes the files of a folder, and removes those that an earlier call with more rows has left."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = iter(lambda: list(islice(rows, ROWS)), [])
    for number in count():
        written = list(islice(groups, GROUPS))
        if not written:
            for old in sorted(folder.glob("part-*.parquet"))[number:]:
                old.unlink()
            return
        partial = folder / f".part-{number:03}"  # a reader never sees half a file
        with pq.ParquetWriter(partial, schema) as writer:
            for group in written:
                writer.write_table(pa.Table.from_pylist(group, schema))
        partial.replace(folder / f"part-{number:03}.parquet")
