"""The folder of a scoring: its plan, one part for each block, and a summary once all parts are there.

A part appears whole or not at all, so a scoring that was interrupted goes on with the parts that are missing.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Literal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from digits.errors import InvalidSettings
from digits.scoring.inputs import Block
from digits.task import ModelVersion

Format = Literal["parquet", "csv"]
Row = dict[str, Any]
PLAN, SUMMARY = "plan.json", "summary.json"
SCHEMA = pa.schema([
    ("path", pa.string()), ("digit", pa.int8()), ("confidence", pa.float64()), ("is_digit", pa.float64()),
    ("probabilities", pa.list_(pa.float64())), ("model", pa.string()), ("version", pa.string()),
    ("error", pa.string()), ("detail", pa.string()),
])  # fmt: skip


class Results:
    """A folder on this disk or at an address of fsspec."""

    def __init__(self, out: str, form: Format) -> None:
        self._system, self._folder = fsspec.core.url_to_fs(out)
        self._form = form

    def begin(self, blocks: Sequence[Block], version: ModelVersion) -> list[int]:
        """Writes the plan, or continues the one that is there; returns the blocks that are still to be done.

        Raises InvalidSettings if the folder holds the results of other pictures or another model.
        """
        listed = json.dumps([asdict(block) for block in blocks]).encode()
        plan = {
            "pictures": hashlib.sha256(listed).hexdigest(),
            "model": asdict(version),
            "format": self._form,
            "parts": len(blocks),
        }
        self._system.makedirs(self._folder, exist_ok=True)
        if self._system.exists(self._path(PLAN)):
            there = json.loads(self._system.cat_file(self._path(PLAN)))
            if different := [key for key, value in plan.items() if there.get(key) != value]:
                raise InvalidSettings(
                    f"{self._folder} holds a scoring with other {' and '.join(different)}; choose another "
                    "--out, or remove that folder"
                )
        self._write(PLAN, json.dumps(plan, indent=1).encode())
        present = {path.rpartition("/")[2] for path in self._system.ls(self._folder, detail=False)}
        return [number for number in range(len(blocks)) if self.name(number) not in present]

    def name(self, number: int) -> str:
        return f"part-{number:06}.{self._form}"

    def write_part(self, number: int, rows: Iterable[Row]) -> None:
        self._write(self.name(number), _parquet(rows) if self._form == "parquet" else _csv(rows))

    def end(self, summary: dict[str, Any]) -> None:
        self._write(SUMMARY, json.dumps(summary, indent=1).encode())

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _write(self, name: str, content: bytes) -> None:
        """Writes under another name first: a reader sees the whole file or none."""
        self._system.pipe_file(self._path(f".{name}"), content)
        self._system.mv(self._path(f".{name}"), self._path(name))


def _parquet(rows: Iterable[Row]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), file)
    return file.getvalue()


def _csv(rows: Iterable[Row]) -> bytes:
    """Probabilities stand in one field, separated by spaces."""
    file = io.StringIO()
    writer = csv.DictWriter(file, SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"probabilities": " ".join(map(str, row["probabilities"] or ()))})
    return file.getvalue().encode()
