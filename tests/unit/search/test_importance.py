"""Which settings decide how good a trial is, and the plots of it."""

from pathlib import Path

import numpy as np

from digits.search.importance import LEAST_TRIALS, importance
from digits.search.plots import save_search_plots
from digits.search.records import Trial
from digits.search.space import DEFAULT_SPACE, values_of_trial


def trials(count: int) -> list[Trial]:
    """The learning rate decides all: the nearer to its middle, the better."""
    made = []
    for number in range(count):
        values = values_of_trial(DEFAULT_SPACE, 1, number)
        distance = abs(DEFAULT_SPACE["learning_rate"].share_of(values["learning_rate"]) - 0.5)
        epochs = 1 if distance > 0.25 else 3
        metrics = {"val_accuracy": 0.9 - distance / 10 + epochs / 100, "val_loss": 0.1}
        history = dict.fromkeys(range(1, epochs + 1), metrics)
        made.append(Trial(number=number, values=values, history=history, outcome="finished"))
    return made


def test_the_setting_that_decides_is_the_most_important() -> None:
    found = importance(trials(40), DEFAULT_SPACE)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.6
    assert found.keys() == DEFAULT_SPACE.keys()
    assert np.isclose(sum(found.values()), 1)


def test_few_trials_say_nothing_of_importance() -> None:
    made = trials(LEAST_TRIALS)
    made[0].history.clear()  # it failed
    assert importance(made, DEFAULT_SPACE) == {}


def test_the_plots_show_every_trial_and_setting(tmp_path: Path) -> None:
    made = trials(10)
    save_search_plots(tmp_path, made, DEFAULT_SPACE, importance(made, DEFAULT_SPACE))
    assert {file.name for file in tmp_path.iterdir()} == {"parallel_coordinates.png", "importance.png"}
    few = tmp_path / "few"
    few.mkdir()
    save_search_plots(few, made[:1], DEFAULT_SPACE, {})
    assert [file.name for file in few.iterdir()] == ["parallel_coordinates.png"]
