"""Which settings vary between which values, and the settings of trial n.

The values of a trial depend only on the seed and its number: a search that is continued, or gets more trials,
has the same first ones.
"""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from digits.errors import InvalidSettings
from digits.settings import Settings
from digits.training.settings import TrainSettings

Values = dict[str, int | float]  # the values of the settings that vary, by name

# Other settings change the comparison itself: the validation images, a trial's length, its hardware.
SEARCHABLE = (
    "learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size",
    "rotation_deg", "scale", "slant", "shift_px", "thickness", "blur",
)  # fmt: skip
DIGITS = 3  # significant digits of a value; more would only fill the table


class Range(Settings):
    """Uniformly distributed values; with `log` each factor of ten is equally likely."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be less than high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} must be more than 0 with log = true")
        return self

    def value_at(self, share: float) -> float:
        """Returns the value at a fraction, 0 to 1, of the way from low to high."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share

    def share_of(self, value: float) -> float:
        """Returns the fraction, 0 to 1, at which a value lies."""
        if self.log:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return (value - self.low) / (self.high - self.low)

    def edges(self) -> tuple[float, ...]:
        return self.low, self.high


class Choice(Settings):
    """One of several values, all equally likely."""

    choices: Annotated[tuple[float, ...], Field(min_length=2)]

    def value_at(self, share: float) -> float:
        return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]

    def share_of(self, value: float) -> float:
        return self.choices.index(value) / (len(self.choices) - 1)

    def edges(self) -> tuple[float, ...]:
        return self.choices


Space = Mapping[str, Range | Choice]

DEFAULT_SPACE: Space = {
    "learning_rate": Range(low=0.0005, high=0.01, log=True),
    "weight_decay": Range(low=0.001, high=0.1, log=True),
    "dropout": Range(low=0.1, high=0.5),
    "label_smoothing": Range(low=0.0, high=0.1),
    "batch_size": Choice(choices=(128, 256, 512)),
    "rotation_deg": Range(low=5, high=20),
    "scale": Range(low=0.05, high=0.2),
    "thickness": Range(low=0.2, high=1.0),
}


def load_space(file: str, base: TrainSettings) -> Space:
    """Returns the space of a TOML file, or the default one without a file.

    Raises InvalidSettings, which names the file, for an unknown setting, for one that no search may vary, and
    for bounds that a training with these other settings would reject.
    """
    space = _read(Path(file)) if file else DEFAULT_SPACE
    for name, varied in space.items():
        if name == "batch_size" and isinstance(varied, Range) and base.num_workers > 1:
            raise InvalidSettings(
                f"{file}: batch_size must be a multiple of --num-workers {base.num_workers}, which not all "
                "values of a range are; give choices"
            )
        for value in varied.edges():
            try:
                _applied(base, {name: value})
            except InvalidSettings as error:
                raise InvalidSettings(f"{file or 'the default space'}: {name} = {value:g}: {error}") from None
    return space


def _read(file: Path) -> Space:
    try:
        given = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise InvalidSettings(f"--space {file} cannot be read: {error.strerror}") from error
    except ValueError as error:  # TOML's, and that of text which is not UTF-8
        raise InvalidSettings(f"--space {file} is not TOML: {error}") from error
    if not given:
        raise InvalidSettings(f"--space {file} names no setting; allowed are {', '.join(SEARCHABLE)}")
    return {name: _varied(file, name, value) for name, value in given.items()}


def _varied(file: Path, name: str, value: object) -> Range | Choice:
    if name not in SEARCHABLE:
        near = get_close_matches(name, SEARCHABLE, n=1)
        meant = f", probably {near[0]}" if near else ""
        raise InvalidSettings(
            f"{file}: a search cannot vary {name!r}; allowed are {', '.join(SEARCHABLE)}{meant}"
        )
    if not isinstance(value, dict):
        raise InvalidSettings(
            f"{file}: {name} must be {{low = ..., high = ...}}, optionally with log = true, or "
            f"{{choices = [...]}}, not {value!r}"
        )
    try:
        return (Choice if "choices" in value else Range).parse(value)
    except InvalidSettings as error:
        raise InvalidSettings(f"{file}: {name}: {error}") from None


def values_of_trial(space: Space, seed: int, number: int) -> Values:
    """Returns the value of each setting of the space for trial `number`, counted from 0."""
    shares = np.random.default_rng([seed, number]).random(len(space))
    return {
        name: _value(name, space[name], float(share))
        for name, share in zip(sorted(space), shares, strict=True)
    }


def _value(name: str, varied: Range | Choice, share: float) -> float:
    """Returns a choice as it was given, and a value of a range rounded."""
    value = varied.value_at(share)
    if TrainSettings.model_fields[name].annotation is int:
        return round(value)
    return value if isinstance(varied, Choice) else float(f"{value:.{DIGITS}g}")


def settings_of_trial(base: TrainSettings, values: Values, number: int, epochs: int) -> TrainSettings:
    """Returns the settings of a trial, with its own run name. Raises InvalidSettings."""
    named = base.model_copy(update={"name": f"{base.name}-trial-{number:03}", "epochs": epochs})
    return _applied(named, values)


def settings_of_best(base: TrainSettings, values: Values) -> TrainSettings:
    """Returns the settings of the full training of the best trial."""
    return _applied(base.model_copy(update={"name": f"{base.name}-best"}), values)


def _applied(base: TrainSettings, values: Values) -> TrainSettings:
    return TrainSettings.parse(base.model_dump() | values)
