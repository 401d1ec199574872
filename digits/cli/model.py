"""`python -m digits model`."""

from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def model() -> None:
    """Work with model folders.

    \b
    Example:
      python -m digits model copy out/digits-20260101-120000 models/starter
    """


@model.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def copy(source: Path, target: Path) -> None:
    """Check the model folder SOURCE of a training, and copy what serving needs of it to TARGET.

    A model in TARGET is replaced.
    """
    from digits.models.folders import copy_for_serving

    try:
        copy_for_serving(source, target)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from error
