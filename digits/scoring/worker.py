"""Scores blocks of pictures, in an actor of Ray Data."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from digits.errors import BadInput
from digits.inference.offline import OfflineModel
from digits.registry.source import open_source
from digits.scoring.inputs import Block, Picture, pictures_of
from digits.scoring.results import Format, Results, Row
from digits.task import Prediction

TOGETHER = 64  # pictures whose bytes are in memory at the same time
BATCH = 64  # candidates in one call of the model


class Scorer:
    """One for each CPU: reading and model share its thread."""

    def __init__(self, model_uri: str, model_cache: str, out: str, form: Format) -> None:
        self._model = OfflineModel(open_source(model_uri, model_cache), BATCH)
        self._results = Results(out, form)

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        """Writes the part of a block; returns how many pictures it has, and how many are digits."""
        rows = list(self._rows(Block(tuple(row["files"]), row["row_group"])))
        self._results.write_part(row["number"], rows)
        errors = [each["error"] for each in rows if each["error"]]
        return {"number": row["number"], "pictures": len(rows), "digits": len(rows) - len(errors)}

    def _rows(self, block: Block) -> Iterator[Row]:
        pictures = pictures_of(block)
        while some := list(islice(pictures, TOGETHER)):
            yield from self._scored(some)

    def _scored(self, pictures: Sequence[Picture]) -> Iterator[Row]:
        found = iter(self._model.predict([content for _, content, _ in pictures if content is not None]))
        for path, content, reason in pictures:
            item = next(found) if content is not None else BadInput("file_unreadable", reason)
            yield {
                "path": path,
                "model": self._model.version.name,
                "version": self._model.version.version,
            } | (_digit(item) if isinstance(item, Prediction) else _error(item))


def _digit(item: Prediction) -> Row:
    return {
        "digit": item.label, "confidence": item.confidence, "is_digit": item.is_digit,
        "probabilities": item.probabilities, "error": None, "detail": None,
    }  # fmt: skip


def _error(error: BadInput) -> Row:
    """Of what is no digit the best guess stands in `detail`."""
    none = dict.fromkeys(("digit", "confidence", "is_digit", "probabilities"))
    return none | {"error": error.code, "detail": str(error)}
