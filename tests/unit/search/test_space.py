"""The space of a search: checked before anything starts, and the same values for a trial each time."""

from pathlib import Path

import numpy as np
import pytest

from digits.errors import InvalidSettings
from digits.search.space import (
    DEFAULT_SPACE,
    SEARCHABLE,
    Choice,
    Range,
    load_space,
    settings_of_best,
    settings_of_trial,
    values_of_trial,
)
from digits.training.settings import TrainSettings

BASE = TrainSettings(name="a", seed=3)


def space_file(folder: Path, text: str) -> str:
    file = folder / "space.toml"
    file.write_text(text)
    return str(file)


def test_a_file_gives_ranges_and_choices(tmp_path: Path) -> None:
    text = "learning_rate = {low = 1e-3, high = 1e-2, log = true}\nbatch_size = {choices = [128, 256]}\n"
    assert load_space(space_file(tmp_path, text), BASE) == {
        "learning_rate": Range(low=1e-3, high=1e-2, log=True), "batch_size": Choice(choices=(128, 256)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = {low = 0.1, high = 0.2}", "cannot vary 'learning_rat'.*, probably learning_rate"),
        ("seed = {choices = [1, 2]}", "cannot vary 'seed'"),
        ("drawn = {low = 0, high = 1}", "cannot vary 'drawn'"),
        ("dropout = {low = 0.2, high = 1.5}", "dropout = 1.5: dropout: Input should be less than 1"),
        ("dropout = {low = 0.5, high = 0.2}", "low 0.5 must be less than high 0.2"),
        ("dropout = {low = 0, high = 0.2, log = true}", "low 0 must be more than 0"),
        ("dropout = {low = 0.1}", "dropout: high is missing"),
        ("dropout = {low = 0.1, high = 0.2, step = 1}", "unknown setting 'step'"),
        ("dropout = {choices = [0.1]}", "choices: .* at least 2 items"),
        ("dropout = 0.3", "dropout must be {low = ..., high = ...}"),
        ("batch_size = {choices = [128, 255]}", "batch_size = 255: --batch-size 255 must be a multiple"),
        ("batch_size = {low = 128, high = 256}", "multiple of --num-workers 2, .*; give choices"),
        ("dropout", "is not TOML"),
        ("", "names no setting"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    two = BASE.model_copy(update={"num_workers": 2})
    with pytest.raises(InvalidSettings, match=message) as raised:
        load_space(space_file(tmp_path, text), two)
    assert "space.toml" in str(raised.value)
    assert "\n" not in str(raised.value).replace("\\n", "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"none.toml cannot be read: No such file"):
        load_space(str(tmp_path / "none.toml"), BASE)


def test_a_trial_has_the_same_values_in_each_call() -> None:
    """They depend on the seed and the number alone, so more trials leave the first ones as they are."""
    first = [values_of_trial(DEFAULT_SPACE, 1, number) for number in range(3)]
    assert first == [values_of_trial(DEFAULT_SPACE, 1, number) for number in range(5)][:3]
    assert first[0] != first[1]
    assert first[0] != values_of_trial(DEFAULT_SPACE, 2, 0)


def test_the_values_cover_each_range_alike() -> None:
    """Of a logarithmic one the factors; a choice has each of its values."""
    found = [values_of_trial(DEFAULT_SPACE, 1, number) for number in range(600)]
    for name, varied in DEFAULT_SPACE.items():
        shares = np.sort([varied.share_of(values[name]) for values in found])
        assert -0.01 <= shares[0] <= 0.05
        assert 0.95 <= shares[-1] <= 1.01
        if isinstance(varied, Range):
            assert np.abs(shares - np.linspace(0, 1, len(shares))).max() < 0.08, name
    assert {values["batch_size"] for values in found} == {128, 256, 512}


def test_a_choice_is_taken_as_it_was_given() -> None:
    """With more digits than a range's values have; the plots and the importance find it again."""
    space = {"learning_rate": Choice(choices=(0.0015625, 0.003125))}
    found = [values_of_trial(space, 1, number)["learning_rate"] for number in range(20)]
    assert {space["learning_rate"].share_of(value) for value in found} == {0, 1}


def test_the_default_space_and_every_name_are_settings() -> None:
    assert load_space("", BASE) is DEFAULT_SPACE
    assert set(SEARCHABLE) <= TrainSettings.model_fields.keys()
    assert DEFAULT_SPACE.keys() <= set(SEARCHABLE)


def test_trials_and_the_best_have_names_of_their_own() -> None:
    """A trial has its own number of epochs; the best one is trained as long as the command says."""
    values = {"dropout": 0.2, "batch_size": 128.0}
    trial, best = settings_of_trial(BASE, values, 7, 2), settings_of_best(BASE, values)
    assert (trial.name, trial.epochs, trial.dropout, trial.batch_size) == ("a-trial-007", 2, 0.2, 128)
    assert (best.name, best.epochs, best.dropout) == ("a-best", BASE.epochs, 0.2)
