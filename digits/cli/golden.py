"""`python -m digits golden`."""

import click

from digits.cli.flags import IN_MEMORY
from digits.task import DATA, LABELS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", default=DATA, show_default=True, help=f"Data with the test images: {IN_MEMORY}.")
def golden(data: str) -> None:
    """Choose the golden images: for each label the test image that is most like the others of that label.

    Every model must read them correctly before it serves and while it serves. They are part of the program
    (digits/vision/golden.npz): choose them once for each task, look at them, and commit them. Models that
    were evaluated earlier are then served with a warning, as after a change of the preprocessing.

    \b
    Example:
      python -m digits golden --data shapes.npz
    """
    from digits.training.data import load
    from digits.training.golden import choose_golden, write_golden

    file = write_golden(*choose_golden(load(data)))
    click.echo(f"{file}: an image of each of {', '.join(LABELS)}")
