"""`python -m digits data`."""

from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", default="out/data", show_default=True, help="Folder for the Parquet files.")
@click.option(
    "--pictures",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Training pictures of each kind; validation and test get a fifth of that each.",
)
def data(out: str, pictures: int) -> None:
    """Write MNIST and drawn pictures of digits as Parquet, as training data to stream.

    OUT/mnist holds pixels in the folders train and test, OUT/pictures image files in train, validation and
    test.

    \b
    Examples:
      python -m digits data
      python -m digits train --data out/data/mnist
    """
    from digits.training.as_parquet import write_dataset, write_pictures
    from digits.training.data import load

    write_dataset(Path(out) / "mnist", load("mnist"))
    write_pictures(Path(out) / "pictures", pictures)
    click.echo(f"MNIST is in {out}/mnist, pictures are in {out}/pictures")
