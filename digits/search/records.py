"""The folder of a search: its plan, and a file for each trial, written atomically.

Ray Tune's own record of an experiment is not enough to continue a search: it is written at most every ten
seconds, in place, and without the scheduler's state (docs/decisions/0013).
"""

import csv
import io
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from digits.errors import InvalidSettings
from digits.search.space import Values
from digits.training.checkpoints import explain_full_disk
from digits.training.step import Metrics

PLAN, TRIALS, TABLE = "search.json", "trials", "trials.csv"

# "": it has not ended.  "stopped": it was weaker than others with the same number of epochs.
Outcome = Literal["", "finished", "stopped", "failed"]


class Trial(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="constants")  # the loss of a trial that diverged is NaN

    number: int
    values: Values
    history: dict[int, Metrics] = {}  # by epoch, counted from 1
    outcome: Outcome = ""
    seconds: float = 0.0  # duration of the trial, including its start
    error: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether a continued search leaves the trial as it is; a failed one is tried again."""
        return self.outcome in ("finished", "stopped")

    @property
    def best(self) -> tuple[float, float]:
        """The validation accuracy of its best epoch and minus its loss, for comparisons."""
        return max(
            ((epoch["val_accuracy"], -epoch["val_loss"]) for epoch in self.history.values()),
            default=(0.0, float("-inf")),
        )


class Records:
    """The folder OUTPUT/NAME of a search. What writes into it raises DiskFull if there is no space."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, plan: dict[str, Any]) -> None:
        """Raises InvalidSettings, which names the differences, if the folder holds another search."""
        file = self.folder / PLAN
        if file.exists() and (other := _differences(json.loads(file.read_text()), plan)):
            raise InvalidSettings(
                f"{self.folder} holds a search with other {' and '.join(other)}; choose another --name, or "
                "give what it had"
            )

    def begin(self, plan: dict[str, Any]) -> None:
        """Writes the plan, which `check` has accepted."""
        (self.folder / TRIALS).mkdir(parents=True, exist_ok=True)
        self._write(PLAN, json.dumps(plan, indent=1))

    def read(self) -> dict[int, Trial]:
        files = sorted((self.folder / TRIALS).glob("*.json"))
        trials = [Trial.model_validate_json(file.read_bytes()) for file in files]
        return {trial.number: trial for trial in trials}

    def write(self, trial: Trial) -> None:
        self._write(f"{TRIALS}/{trial.number:05}.json", trial.model_dump_json(indent=1))

    def write_table(self, trials: Sequence[Trial]) -> None:
        """Writes trials.csv, the best trial first."""
        names = sorted({name for trial in trials for name in trial.values})
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", "outcome", "epochs", "val_accuracy", "val_loss", "seconds", *names])
        for trial in ranked(trials):
            accuracy, minus_loss = trial.best
            writer.writerow([
                trial.number, trial.outcome or "open", len(trial.history), f"{accuracy:.5f}",
                f"{-minus_loss:.5f}", f"{trial.seconds:.1f}", *(trial.values[name] for name in names),
            ])  # fmt: skip
        self._write(TABLE, text.getvalue())

    def _write(self, name: str, content: str) -> None:
        file = self.folder / name
        partial = file.with_suffix(".partial")
        with explain_full_disk(str(self.folder), self.folder.name):
            partial.write_text(content, "utf-8")
            partial.replace(file)


def ranked(trials: Collection[Trial]) -> list[Trial]:
    """Returns the trials with at least one epoch, the best first."""
    return sorted((trial for trial in trials if trial.history), key=lambda trial: trial.best, reverse=True)


def _differences(recorded: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    plan = json.loads(json.dumps(plan))
    return [key for key in plan if recorded.get(key) != plan[key]]
