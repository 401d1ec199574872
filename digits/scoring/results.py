"""The folder of a scoring: its plan, a part for each block, and a summary once all parts are written.

Parts are written atomically, so an interrupted scoring continues with the missing parts.
"""

import csv
import hashlib
import io
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Literal

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from digits.errors import InvalidSettings, ScoringFailed
from digits.scoring.inputs import Block
from digits.task import NOUN, ModelVersion

Format = Literal["parquet", "csv"]
Row = dict[str, Any]
PLAN, SUMMARY = "plan.json", "summary.json"
PART = re.compile(r"part-\d{6,}\.(parquet|csv)")
CONTINUE = "run the same command again to continue"
SCHEMA = pa.schema([
    ("path", pa.string()), (NOUN, pa.int8()), ("label", pa.string()), ("confidence", pa.float64()),
    ("is_digit", pa.float64()), ("probabilities", pa.list_(pa.float64())), ("model", pa.string()),
    ("version", pa.string()), ("error", pa.string()), ("detail", pa.string()),
])  # fmt: skip


class Results:
    """A folder on disk or at an fsspec address."""

    def __init__(self, out: str, form: Format) -> None:
        """Raises InvalidSettings for an address whose file system is unknown or not installed."""
        try:
            self._system, self._folder = fsspec.core.url_to_fs(out)
        except (ImportError, ValueError) as error:
            raise InvalidSettings(f"--out {out} cannot be written: {error}") from error
        self._form = form

    def begin(self, blocks: Sequence[Block], version: ModelVersion) -> list[int]:
        """Writes the plan, or continues an existing one; returns the blocks that are still missing.

        Raises InvalidSettings if the folder cannot be written, holds the results of other pictures or of
        another model, or has parts or a plan that no scoring wrote.
        """
        listed = json.dumps([asdict(block) for block in blocks]).encode()
        plan = {
            "pictures": hashlib.sha256(listed).hexdigest(),
            "model": asdict(version),
            "format": self._form,
            "parts": len(blocks),
        }
        try:
            present = self._names()
            self._check(plan, present)
            self._system.makedirs(self._folder, exist_ok=True)
            self._write(PLAN, json.dumps(plan, indent=1).encode())
        except OSError as error:
            raise InvalidSettings(
                f"--out {self._folder} cannot be written: {error.strerror or error}; choose another folder"
            ) from error
        return [number for number in range(len(blocks)) if self.name(number) not in present]

    def _names(self) -> set[str]:
        """Returns the names in the folder, which may not exist yet."""
        try:
            return {path.rpartition("/")[2] for path in self._system.ls(self._folder, detail=False)}
        except FileNotFoundError:
            return set()

    def _check(self, plan: dict[str, Any], present: set[str]) -> None:
        """Raises InvalidSettings if these files in the folder are not results of this plan.

        A part without a plan comes from elsewhere, because the plan is written first.
        """
        if PLAN not in present:
            if foreign := sorted(filter(PART.fullmatch, present)):
                raise self._not_ours(f"{foreign[0]} without {PLAN}")
            return
        try:
            existing = json.loads(self._system.cat_file(self._path(PLAN)))
        except ValueError:
            existing = None
        if not isinstance(existing, dict):
            raise self._not_ours(f"a {PLAN} that no scoring wrote")
        if different := [key for key, value in plan.items() if existing.get(key) != value]:
            others = " and ".join(different)
            raise InvalidSettings(
                f"{self._folder} holds results with other {others}; choose another --out, or delete that "
                "folder"
            )

    def _not_ours(self, found: str) -> InvalidSettings:
        return InvalidSettings(f"{self._folder} holds {found}; choose another --out")

    def name(self, number: int) -> str:
        return f"part-{number:06}.{self._form}"

    def write_part(self, number: int, rows: Iterable[Row]) -> None:
        self._save(self.name(number), _parquet(rows) if self._form == "parquet" else _csv(rows))

    def write_attempts(self, number: int, content: bytes) -> None:
        """Writes what is known about the processes that have begun this part."""
        self._save(self._attempts(number), content)

    def read_attempts(self, number: int) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._system.cat_file(self._path(self._attempts(number))))
        except FileNotFoundError:
            return None
        return found

    def remove_attempts(self, number: int) -> None:
        with suppress(FileNotFoundError):  # a second command with the same folder was first
            self._system.rm_file(self._path(self._attempts(number)))

    def _attempts(self, number: int) -> str:
        return f".attempts-{number:06}.json"

    def end(self, summary: dict[str, Any]) -> None:
        self._save(SUMMARY, json.dumps(summary, indent=1).encode())

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _save(self, name: str, content: bytes) -> None:
        """Writes a file; raises ScoringFailed, with the folder, in place of the system's error."""
        try:
            self._write(name, content)
        except OSError as error:
            raise ScoringFailed(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def _write(self, name: str, content: bytes) -> None:
        """Writes under a temporary name first, so that a reader sees the whole file or none.

        Another command with the same folder has its own temporary names.
        """
        partial = self._path(f".{name}.{secrets.token_hex(4)}")
        try:
            self._system.pipe_file(partial, content)
            self._system.mv(partial, self._path(name))
        except OSError:  # on a full disk each call would leave one
            with suppress(OSError):
                self._system.rm_file(partial)
            raise


def _parquet(rows: Iterable[Row]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), file)
    return file.getvalue()


def _csv(rows: Iterable[Row]) -> bytes:
    """Returns the table as CSV; probabilities are one field, separated by spaces."""
    file = io.StringIO()
    writer = csv.DictWriter(file, SCHEMA.names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"probabilities": " ".join(map(str, row["probabilities"] or ()))})
    return file.getvalue().encode()
