"""Command-line flags made of settings: one for each, with its type, default and meaning."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from digits.settings import Settings

IN_MEMORY = "mnist, sklearn-digits or FILE.npz"  # the data of commands that stream none

Command = Callable[..., Any]


def model_here(_: click.Context, __: click.Parameter, model: str | None) -> str | None:
    """Returns a model's folder in the current folder as a full path; else the text, as for model_uri."""
    from digits.inference.source import PROJECT

    here = Path.cwd() / (model or "")
    return str(here) if model and here.is_dir() and here != PROJECT / model else model


def model_option(command: Command) -> Command:
    """Adds the option --model."""
    return click.option(
        "--model", default="models/starter", show_default=True, callback=model_here,
        help="Model to load: a folder here or below the project, or an address as in model_uri.",
    )(command)  # fmt: skip


def settings_flags(settings: type[Settings], keyword: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds the flags and passes the settings made of them as `keyword`.

    The settings check the bounds; a value out of them ends the program with status 2 and the flag's name.
    """

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def with_settings(**values: Any) -> Any:
            chosen = {name: values.pop(name) for name in settings.model_fields}
            return command(**values, **{keyword: _checked(settings, chosen)})

        wrapped: Command = with_settings
        for name, field in reversed(settings.model_fields.items()):
            flag, kind = name.replace("_", "-"), field.annotation
            names = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
            wrapped = click.option(
                names, name, type=kind, default=field.default, show_default=field.default != "",
                help=field.description,
            )(wrapped)  # fmt: skip
        return wrapped

    return add


def _checked(settings: type[Settings], values: dict[str, Any]) -> Settings:
    try:
        return settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # a rule about several settings, which names them
            raise click.UsageError(first["msg"].removeprefix("Value error, ")) from None
        flag = str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"--{flag}: {first['msg']}, not {first['input']!r}") from None
