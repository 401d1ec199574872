"""`python -m digits report`."""

from pathlib import Path

import click

from digits.cli.flags import IN_MEMORY, model_here, settings_flags
from digits.registry.gate import GateSettings
from digits.task import DATA


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("model", default="models/starter", callback=model_here)
@click.option("--data", default=DATA, show_default=True, help=f"Data with the test images: {IN_MEMORY}.")
@click.option(
    "--against",
    callback=model_here,
    help="Model to compare with, or none.  [default: the champion of MODEL's name, else models/starter]",
)
@click.option(
    "--per-kind", type=click.IntRange(1), default=8, show_default=True, help="Pictures of each kind."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out/report.html"), show_default=True,
    help="File to write.",
)  # fmt: skip
@settings_flags(GateSettings, "gate")
def report(model: str, data: str, against: str | None, per_kind: int, out: Path, gate: GateSettings) -> None:
    """Write the quality of MODEL as one HTML file: accuracy by kind, calibration, confusion, worst pictures.

    MODEL is a folder or an address such as models:/digits/3. The file is self-contained.

    \b
    Examples:
      python -m digits report out/digits-20260101-120000
      python -m digits report models:/digits@candidate --data my.npz
      python -m digits report models/starter --against none
    """
    from digits.inference.settings import ServeSettings
    from digits.registry.source import open_source
    from digits.report.report import default_champion
    from digits.report.report import report as run

    cache = ServeSettings.parse({"model_uri": model}).model_cache
    beside = default_champion(open_source(model, cache).resolve().name) if against is None else against
    beside = "" if beside in ("none", model) else beside
    done = run(model, beside, data, per_kind, cache, out, gate, must_compare=bool(against))
    if done.left_out:
        click.echo(done.left_out, err=True)
    verdict = "; ".join(done.objections) or "the gate would promote it"
    click.echo(f"{done.model}{f' beside {done.champion}' if done.champion else ''}: {verdict}\n{done.file}")
