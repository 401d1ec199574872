"""`python -m digits registry`."""

import json
from pathlib import Path

import click

from digits.cli.flags import settings_flags
from digits.errors import DataUnavailable, NotRegistered, PromotionRefused
from digits.registry.address import is_unwritten, tracking_uri
from digits.registry.gate import GateSettings


def _registered(_: click.Context, __: click.Parameter, name: str) -> str:
    """Raises NotRegistered where MLflow would make an empty store."""
    if is_unwritten(uri := tracking_uri()):
        raise NotRegistered(
            f"no model is registered, there is no {uri}: train one with `python -m digits train`, or set "
            "MLFLOW_TRACKING_URI"
        )
    return name


MODEL = click.option(
    "--name", default="digits", show_default=True, callback=_registered, help="Registered model."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def registry() -> None:
    """List, promote and roll back the models in MLflow (MLFLOW_TRACKING_URI, or mlflow.db here).

    \b
    Examples:
      python -m digits registry list
      python -m digits registry promote                 the candidate, or why not
      python -m digits registry promote --version 3
      python -m digits registry rollback                the champion before this one
    """


@registry.command("list")
@MODEL
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(name: str, as_json: bool) -> None:
    """List every version, the newest first, and what is missing of it."""
    from digits.registry.listing import list_versions, table

    listed = list_versions(name)
    if as_json:
        fields = [{key: getattr(one, key) for key in one.__dataclass_fields__} for one in listed]
        click.echo(json.dumps(fields, default=str, indent=1))
    else:
        click.echo("\n".join(table(listed)))


@registry.command("promote")
@MODEL
@click.option("--version", help="Promote this version instead of the candidate.")
@click.option(
    "--data",
    help="The data of the candidate's training; needed if its run names a file that is not here, and the "
    "champion was tested on other data.",
)
@settings_flags(GateSettings, "gate")
def promote_(name: str, version: str | None, data: str | None, gate: GateSettings) -> None:
    """Make a version the champion if it passes the gate.

    A champion that was tested on other data is tested on the candidate's test images first.
    """
    from digits.registry.promotion import promote

    def judge(folder: Path, sha256: str) -> dict[str, float]:
        return _judge(name, version, data, folder, sha256)

    try:
        click.echo(f"champion of {name} is version {promote(name, version, gate, judge).version}")
    except PromotionRefused as error:
        reasons = "\n".join(f"  - {reason}" for reason in error.reasons)
        raise click.ClickException(f"not promoted:\n{reasons}") from None


@registry.command("rollback")
@MODEL
def rollback_(name: str) -> None:
    """Make the previous champion the champion again; a second rollback undoes the first."""
    from digits.registry.promotion import rollback

    click.echo(f"champion of {name} is again version {rollback(name).version}")


def _judge(name: str, version: str | None, data: str | None, folder: Path, sha256: str) -> dict[str, float]:
    """Returns the metrics of the champion on the test images of the candidate's training."""
    from digits.registry.versions import data_of
    from digits.training.data import load
    from digits.training.judging import judge_on

    source, wanted = data_of(name, version)
    why = (
        "the champion was tested on other data, so both are compared on the candidate's test images; "
        f"give its data with --data mnist, sklearn-digits or FILE.npz (sha256 {wanted[:16]}...)"
    )
    if not (data or source):
        raise DataUnavailable(f"the candidate's run does not name its data: {why}")
    try:
        dataset = load(data or source)
    except DataUnavailable as error:
        raise DataUnavailable(f"{error}: {why}") from error
    if dataset.sha256 != wanted:
        raise DataUnavailable(f"{data or source} is other data, with sha256 {dataset.sha256[:16]}...: {why}")
    try:
        return judge_on(dataset)(folder, sha256)
    except ModuleNotFoundError as error:
        raise DataUnavailable(
            f"{error.name} is not installed, which testing the champion needs; run this where the training "
            "packages are (requirements/train.txt)"
        ) from error
