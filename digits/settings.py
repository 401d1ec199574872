"""The base of all settings, and command-line flags made of them.

Each folder keeps its own settings beside what they set: inference/settings.py is the `user_config` of
serve_config.yaml, gateway/settings.py is read from the environment, training/settings.py are the flags of
train_ray.py, registry/gate.py the flags of `python -m digits.registry`.
"""

from argparse import ArgumentParser, BooleanOptionalAction
from difflib import get_close_matches
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from digits.errors import InvalidSettings


class Settings(BaseModel):
    """Frozen; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        for key in values.keys() - cls.model_fields.keys():
            near = get_close_matches(key, cls.model_fields, n=1, cutoff=0)[0]
            raise ValueError(f"unknown setting {key!r}; the nearest known one is {near!r}")
        return values

    @classmethod
    def parse(cls, values: object) -> Self:
        """The settings.  Raises InvalidSettings, which names each wrong value and what is allowed."""
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


SomeSettings = TypeVar("SomeSettings", bound=Settings)


def add_flags(parser: ArgumentParser, settings: type[Settings]) -> None:
    """A flag for each setting, with its type, default and meaning; the settings check the bounds."""
    for name, field in settings.model_fields.items():
        kind: Any = field.annotation
        how: dict[str, Any] = {"action": BooleanOptionalAction} if kind is bool else {"type": kind}
        parser.add_argument(
            f"--{name.replace('_', '-')}", default=field.default, help=field.description, **how
        )


def from_flags(parser: ArgumentParser, settings: type[SomeSettings], values: dict[str, Any]) -> SomeSettings:
    """The settings, or the parser's usual end with what is out of bounds."""
    try:
        return settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
        parser.error(f"--{flag}: {first['msg']}, not {first['input']!r}")
