"""`python -m digits data`."""

from pathlib import Path

import click

from digits.cli.flags import IN_MEMORY

PICTURES = "pictures"  # the folder of the drawn ones


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    "source",
    default="mnist",
    show_default=True,
    help=f"{IN_MEMORY}, with arrays like Keras' mnist.npz.",
)
@click.option("--out", default="out/data", show_default=True, help="Folder for the Parquet files.")
@click.option(
    "--pictures",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Training pictures of each kind; validation and test get a fifth of that each.",
)
def data(source: str, out: str, pictures: int) -> None:
    """Write MNIST and drawn pictures of digits as Parquet, as training data to stream.

    OUT/mnist holds pixels in the folders train and test, OUT/pictures image files in train, validation and
    test. The first folder is named after the data: OUT/some for --data some.npz.

    \b
    Examples:
      python -m digits data
      python -m digits data --data mnist.npz
      python -m digits train --data out/data/mnist
    """
    from digits.training.as_parquet import write_dataset, write_pictures
    from digits.training.data import load

    dataset = load(source)
    if dataset.name == PICTURES:
        raise click.BadParameter(
            f"the drawn pictures go to {out}/{PICTURES}; rename the file", param_hint="--data"
        )
    write_dataset(Path(out) / dataset.name, dataset)
    write_pictures(Path(out) / PICTURES, pictures)
    click.echo(f"{dataset.name} is in {out}/{dataset.name}, drawn pictures are in {out}/{PICTURES}")
