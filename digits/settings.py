"""The base class of all settings.

Each folder keeps its own settings: inference/settings.py is the `user_config` of serve_config.yaml,
gateway/settings.py is read from the environment, training/settings.py are the flags of `python -m digits
train`, registry/gate.py those of `python -m digits registry promote`. cli/flags.py turns settings into flags.
"""

from difflib import get_close_matches
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from digits.errors import InvalidSettings


class Settings(BaseModel):
    """Immutable settings; unknown keys are an error that names the nearest known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, values: dict[Any, Any]) -> dict[Any, Any]:
        unknown = [str(key) for key in values if key not in cls.model_fields]  # YAML reads 1: as a number
        nearest = [get_close_matches(key, cls.model_fields, n=1, cutoff=0)[0] for key in unknown]
        if unknown:
            raise ValueError(
                "; ".join(
                    f"unknown setting {key!r}; the nearest known one is {near!r}"
                    for key, near in zip(unknown, nearest, strict=True)
                )
            )
        return values

    @model_validator(mode="before")
    @classmethod
    def refuse_truth_values_for_numbers(cls, values: dict[Any, Any]) -> dict[Any, Any]:
        for key, value in values.items():
            if isinstance(value, bool) and key in cls.model_fields:
                kind = cls.model_fields[key].annotation
                kinds = {kind, *get_args(kind)}
                if kinds & {int, float} and bool not in kinds:  # pydantic would take it for 0 or 1
                    raise ValueError(f"{key}: Input should be a number, not {value}")
        return values

    @classmethod
    def parse(cls, values: object) -> Self:
        """Returns the settings. Raises InvalidSettings, which names each wrong value and what is allowed."""
        if not isinstance(values, dict):
            raise InvalidSettings(f"settings are keys with values, not {values!r}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidSettings("; ".join(map(_one_line, error.errors()))) from None


def _one_line(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return text
    name = ".".join(map(str, error["loc"]))
    return f"{name} is missing" if error["type"] == "missing" else f"{name}: {text}, not {error['input']!r}"
