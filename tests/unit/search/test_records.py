"""The records of trials: whole or absent, ranked, and only for the same search."""

import csv
import errno
import math
from functools import partial
from pathlib import Path

import pytest

from digits.errors import DiskFull, InvalidSettings
from digits.search.records import Records, Trial, ranked
from digits.training.step import Metrics


def epoch(accuracy: float, loss: float = 0.1) -> Metrics:
    return {"loss": 0.2, "accuracy": 0.9, "val_accuracy": accuracy, "val_loss": loss}


def trial(number: int, *accuracies: float, outcome: str = "finished", loss: float = 0.1) -> Trial:
    history = {place: epoch(accuracy, loss) for place, accuracy in enumerate(accuracies, 1)}
    return Trial.model_validate({
        "number": number, "values": {"dropout": number / 10}, "history": history, "outcome": outcome,
    })  # fmt: skip


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = Records(tmp_path / "search")
    records.begin({"space": {}})
    written = [trial(1, 0.5, 0.6), trial(0, outcome="")]
    for each in written:
        records.write(each)
    assert records.read() == {1: written[0], 0: written[1]}


def test_a_whole_number_is_read_as_one(tmp_path: Path) -> None:
    """The table shows a batch size of 32, not 32.0."""
    records = Records(tmp_path)
    records.begin({})
    records.write(trial(0, 0.5).model_copy(update={"values": {"batch_size": 32, "dropout": 0.5}}))
    records.write_table(list(records.read().values()))
    assert (tmp_path / "trials.csv").read_text().splitlines()[1].endswith(",32,0.5")


def test_a_trial_that_diverged_is_read_again(tmp_path: Path) -> None:
    """Its loss is NaN; a record that cannot be read would keep the search from going on."""
    records = Records(tmp_path)
    records.begin({})
    records.write(trial(0, 0.1, loss=float("nan")))
    read = records.read()[0]
    assert math.isnan(read.history[1]["val_loss"])
    assert [each.number for each in ranked([read, trial(1, 0.9)])] == [1, 0]


def test_a_killed_writer_leaves_the_record_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new content stands under another name until it is whole."""
    records = Records(tmp_path)
    records.begin({})
    records.write(trial(0, 0.5))

    def torn(file: Path, text: str, _: str) -> int:
        with file.open("w") as opened:
            opened.write(text[:10])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", torn)
        with pytest.raises(KeyboardInterrupt):
            records.write(trial(0, 0.5, 0.6))
    assert records.read() == {0: trial(0, 0.5)}


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written, with the command that continues the search."""
    records = Records(tmp_path / "s")
    records.begin({})

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    one = trial(0, 0.5)
    writes = partial(records.begin, {}), partial(records.write, one), partial(records.write_table, [one])
    for write in writes:
        with pytest.raises(DiskFull, match=rf"the disk of {tmp_path}/s is full; .* --name s to continue"):
            write()


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """The message says what differs; the same plan is accepted, whatever JSON made of its tuples."""
    records = Records(tmp_path)
    plan = {"space": {"batch_size": {"choices": (128, 256)}}, "seed": 1, "trial_epochs": 3}
    records.check(plan)
    records.begin(plan)
    records.check(plan)
    with pytest.raises(InvalidSettings, match="holds a search with other seed and trial_epochs; choose"):
        records.check(plan | {"seed": 2, "trial_epochs": 4})


def test_a_trials_best_epoch_counts_and_ties_go_to_the_loss() -> None:
    trials = [trial(0, 0.9, 0.8), trial(1, 0.85), trial(2), trial(3, 0.9, loss=0.05)]
    assert [each.number for each in ranked(trials)] == [3, 0, 1]


def test_only_a_failed_or_open_trial_runs_again() -> None:
    ended = {
        outcome: trial(0, outcome=outcome).has_ended for outcome in ("", "finished", "stopped", "failed")
    }
    assert ended == {"": False, "finished": True, "stopped": True, "failed": False}


def test_the_table_has_the_best_trial_first(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write_table([trial(0, 0.5), trial(1, 0.6, 0.7, outcome="stopped"), trial(2)])
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [(row["trial"], row["epochs"], row["outcome"], row["dropout"]) for row in rows] == [
        ("1", "2", "stopped", "0.1"), ("0", "1", "finished", "0.0"),
    ]  # fmt: skip
