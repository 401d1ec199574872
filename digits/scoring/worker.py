"""Scores blocks of pictures in an actor of Ray Data."""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypedDict

from digits.errors import BadInput, DigitsError
from digits.inference.offline import OfflineModel
from digits.registry.source import open_source
from digits.scoring.attempts import BEFORE, Attempts
from digits.scoring.inputs import Block, Picture, pictures_of, singly
from digits.scoring.results import Format, Results, Row
from digits.task import NOUN, Prediction

log = logging.getLogger(__name__)

TOGETHER = 64  # pictures whose bytes are in memory at the same time
BATCH = 64  # candidates in one call of the model
LOST = "{} processes died while they read it (out of memory, or a decoder crash); it is skipped"


class Done(TypedDict):
    """What a worker returns for a block."""

    number: int  # of the part
    pictures: int
    digits: int
    failure: str  # why there is no part; "" if there is one


class Scorer:
    """An actor for one CPU: reading and model share its thread."""

    def __init__(self, model_uri: str, model_cache: str, out: str, form: Format, run: str) -> None:
        """Loads the model. `run` is different in each call of the command."""
        self._model = OfflineModel(open_source(model_uri, model_cache), BATCH)
        self._results = Results(out, form)
        self._run = run

    def __call__(self, row: dict[str, Any]) -> Done:
        """Writes the part of a block; returns its numbers of pictures and of digits, or why it failed.

        The failure is returned, not raised: Ray would send only a text, with a traceback and its own advice.
        """
        try:
            return self._part(row)
        except Exception as error:
            log.exception("no part number=%d", row["number"])  # into Ray's log of this worker
            return Done(number=row["number"], pictures=0, digits=0, failure=_reason(error))

    def _part(self, row: dict[str, Any]) -> Done:
        block = Block(tuple(row["files"]), row["row_group"])
        attempts = Attempts(self._results, row["number"], self._run)
        rows = list(self._one_by_one(block, attempts) if attempts.is_repeated else self._rows(block))
        self._results.write_part(row["number"], rows)
        attempts.end()
        errors = [each["error"] for each in rows if each["error"]]
        return Done(number=row["number"], pictures=len(rows), digits=len(rows) - len(errors), failure="")

    def _rows(self, block: Block) -> Iterator[Row]:
        pictures = pictures_of(block)
        while batch := list(islice(pictures, TOGETHER)):
            yield from self._scored(batch)

    def _one_by_one(self, block: Block, attempts: Attempts) -> Iterator[Row]:
        """Yields the rows of a block in which a process has died."""
        if attempts.is_hopeless:
            yield from (self._lost(file, attempts.deaths(BEFORE)) for file in block.files)
            return
        for place, (name, picture) in enumerate(singly(block)):
            if attempts.may_read(place):
                yield from self._scored(list(picture))
            else:
                yield self._lost(name, attempts.deaths(place))

    def _lost(self, name: str, deaths: int) -> Row:
        return self._row(name, BadInput("process_died", LOST.format(deaths)))

    def _scored(self, pictures: Sequence[Picture]) -> Iterator[Row]:
        found = iter(self._model.predict([content for _, content, _ in pictures if content is not None]))
        for path, content, reason in pictures:
            yield self._row(path, next(found) if content is not None else BadInput("file_unreadable", reason))

    def _row(self, path: str, item: Prediction | BadInput) -> Row:
        version = self._model.version
        found = _digit(item) if isinstance(item, Prediction) else _error(item)
        shown = path.encode(errors="backslashreplace").decode()  # no table takes a name that is no UTF-8
        return {"path": shown, "model": version.name, "version": version.version} | found


def _reason(error: Exception) -> str:
    """Returns the text of an error in one line, with the class of an error that is not our own."""
    text = " ".join(str(error).split())
    return text if isinstance(error, DigitsError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def _digit(item: Prediction) -> Row:
    return {
        NOUN: item.position, "label": item.label, "confidence": item.confidence, "is_digit": item.is_digit,
        "probabilities": item.probabilities, "error": None, "detail": None,
    }  # fmt: skip


def _error(error: BadInput) -> Row:
    """Returns the columns of an error; for a picture without a digit, `detail` has the best guess."""
    none = dict.fromkeys((NOUN, "label", "confidence", "is_digit", "probabilities"))
    return none | {"error": error.code, "detail": str(error)}
