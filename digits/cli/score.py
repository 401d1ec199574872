"""`python -m digits score`."""

from typing import TYPE_CHECKING

import click

from digits.cli.flags import model_option
from digits.interrupts import interrupt_on_signals, leave

if TYPE_CHECKING:
    from digits.scoring.results import Format
    from digits.scoring.run import Summary


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", required=True, help="Folder or fsspec address for the results.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Format of the tables.",
)
@model_option
@click.option("--workers", type=click.IntRange(1), help="Processes, one CPU each.  [default: all CPUs]")
def score(inputs: tuple[str, ...], out: str, form: str, model: str, workers: int | None) -> None:
    """Read the digit in each picture of INPUTS with Ray Data, on all cores or the cluster of RAY_ADDRESS.

    INPUTS are image files, folders, patterns, or Parquet files with a column `image` (the bytes of image
    files) and optionally `path`, on disk or at an address such as s3://bucket/scans. Each result is a row
    with path, digit, label, confidence, is_digit, probabilities, model, version, error and detail. A picture
    that cannot be read gets an error in its row and does not stop the command. After an interruption, run the
    same command again to continue.

    \b
    Examples:
      python -m digits score scans/ --out out/scores
      python -m digits score 'scans/2026-*.jpg' --out out/scores --format csv
      python -m digits score s3://bucket/pictures.parquet --out s3://bucket/scores
    """
    from digits.scoring.results import CONTINUE

    interrupt_on_signals()  # also SIGTERM, with which Kubernetes and `timeout` end a program
    try:
        message = _scored(inputs, out, "csv" if form == "csv" else "parquet", model, workers)
    except (KeyboardInterrupt, SystemExit):
        leave(f"interrupted; {CONTINUE}")
    click.echo(message)


def _scored(inputs: tuple[str, ...], out: str, form: "Format", model: str, workers: int | None) -> str:
    from digits.inference.settings import ServeSettings
    from digits.scoring.run import score as run

    settings = ServeSettings.parse({"model_uri": model})
    summary = run(inputs, out, form, settings.model_uri, settings.model_cache, workers)
    return _said(summary, out)


def _said(summary: "Summary", out: str) -> str:
    if not summary.written:
        version = summary.version
        return (
            f"nothing was left to do: {out} holds all parts of these inputs ({summary.parts}), scored by "
            f"{version.name} {version.version}"
        )
    rate = summary.pictures / summary.seconds if summary.seconds else 0
    return (
        f"{_counted(summary.pictures, 'picture')} scored in {summary.seconds:g} s ({rate:,.0f}/s), "
        f"{summary.digits:,} of them digits; {_counted(summary.parts, 'part')} in {out}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
