"""`python -m digits registry`."""

import json
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click

from digits.cli.flags import IN_MEMORY, settings_flags
from digits.errors import DataUnavailable, PromotionRefused
from digits.registry.address import existing_tracking_uri
from digits.registry.gate import GateSettings
from digits.registry.versions import NAME
from digits.task import CHANNELS, DATA, MEAN, STD


def _registered(_: click.Context, __: click.Parameter, name: str) -> str:
    """Raises NotRegistered where MLflow would make an empty store."""
    existing_tracking_uri()
    return name


MODEL = click.option(
    "--name", default="digits", show_default=True, callback=_registered, help="Registered model."
)


def _has_address(_: click.Context, __: click.Parameter, name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise click.BadParameter(
            f"{name!r} is invalid; use letters, digits, '_', '.' and '-', the first a letter, a digit or '_'"
        )
    return name


NORMALISED = "For a model that takes floats: mean of each channel in its training, for levels from 0 to 1."


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def registry() -> None:
    """List, import, promote and roll back the models in MLflow (MLFLOW_TRACKING_URI, or mlflow.db here).

    \b
    Examples:
      python -m digits registry list
      python -m digits registry promote                 promote the candidate, or print why not
      python -m digits registry promote --version 3
      python -m digits registry rollback                go back to the previous champion
      python -m digits registry import model.onnx --labels 0,1,2,3,4,5,6,7,8,9
    """


@registry.command("list")
@MODEL
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(name: str, as_json: bool) -> None:
    """List every version, the newest first, with problems such as a deleted run."""
    from digits.registry.listing import list_versions, table

    listed = list_versions(name)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in listed], default=str, indent=1))
    else:
        click.echo("\n".join(table(listed)))


def _numbers(_: click.Context, parameter: click.Parameter, text: str) -> tuple[float, ...]:
    """Returns a number for each channel, from one for all or one for each."""
    try:
        found = tuple(map(float, text.split(",")))
    except ValueError:
        found = ()
    above = 0.0 if parameter.name == "std" else -math.inf
    if len(found) not in (1, CHANNELS) or not all(above < one < math.inf for one in found):
        count = "one number" if CHANNELS == 1 else f"one number, or {CHANNELS} separated by commas"
        raise click.BadParameter(f"{text!r} is invalid; give {count}{', above 0' if above == 0 else ''}")
    return found * CHANNELS if len(found) == 1 else found


@registry.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--labels", required=True, help="Labels in the order of the model's outputs, with commas.")
@click.option(
    "--data", default=DATA, show_default=True, help=f"Data whose test images test the model: {IN_MEMORY}."
)
@click.option(
    "--name", default="digits", show_default=True, callback=_has_address,
    help="Registered model that gets the version.",
)  # fmt: skip
@click.option(
    "--mean", default=",".join(map(str, MEAN)), show_default=True, callback=_numbers, help=NORMALISED
)
@click.option(
    "--std", default=",".join(map(str, STD)), show_default=True, callback=_numbers, help="See --mean."
)
@settings_flags(GateSettings, "gate")
def import_(
    file: Path,
    labels: str,
    data: str,
    name: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    gate: GateSettings,
) -> None:
    """Register an .onnx or .keras FILE that was trained elsewhere, and promote it if it passes the gate.

    The model takes a batch of the task's images (uint8 levels or floats; channels first, last or, for grey
    images, left out) and returns a number for each label (logits or probabilities). The command adds the
    conversion to the service's signature. The inputs must be (level / 255 - mean) / std as in the model's
    training; otherwise the model reads badly and fails the gate.
    """
    if find_spec("onnx") is None:  # reading the data takes seconds
        raise ModuleNotFoundError(name="onnx")
    from digits.training.data import absolute_source, load
    from digits.training.importing import import_model
    from digits.training.quiet import quiet_tensorflow

    quiet_tensorflow()
    source = absolute_source(data)
    parts = tuple(label.strip() for label in labels.split(","))
    done = import_model(file, parts, mean, std, load(source), source, name, gate)
    if done.added:
        click.echo(f"added to the model: {'; '.join(done.added)}")
    click.echo(f"test accuracy {done.manifest.metrics['test_accuracy']:.4f} on {done.manifest.data}")
    click.echo(
        f"{done.address} is "
        + (f"registered, not promoted:\n{_listed(done.reasons)}" if done.reasons else "the champion")
    )


@registry.command("promote")
@MODEL
@click.option("--version", help="Promote this version instead of the candidate.")
@click.option(
    "--data",
    help="The candidate's training data, as for train. Needed only if the champion was tested on other data "
    "and the data that the candidate's run names is missing.",
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
        raise click.ClickException(f"not promoted:\n{_listed(error.reasons)}") from None


def _listed(reasons: Sequence[str]) -> str:
    return "\n".join(f"  - {reason}" for reason in reasons)


@registry.command("rollback")
@MODEL
def rollback_(name: str) -> None:
    """Make the previous champion the champion again; a second rollback undoes the first."""
    from digits.registry.promotion import rollback

    click.echo(f"champion of {name} is again version {rollback(name).version}")


def _judge(name: str, version: str | None, data: str | None, folder: Path, sha256: str) -> dict[str, float]:
    """Returns the metrics of the champion on the test images of the candidate's training.

    Of streamed data, the candidate's seed and share select the same test pictures, which Ray then reads.
    """
    from digits.ray_start import start_ray
    from digits.registry.versions import data_of
    from digits.training.judging import judge_on
    from digits.training.settings import TrainSettings
    from digits.training.streamed import StreamedDataset, open_data

    params, wanted = data_of(name, version)
    why = (
        "the champion was tested on other data, so both are compared on the candidate's test images; "
        f"give --data as its training had it (sha256 {wanted[:16]}...)"
    )
    source = data or params.get("data")
    if not source:
        raise DataUnavailable(f"the candidate's run does not name its data: {why}")
    of_split = {key: params[key] for key in ("validation_share", "seed") if key in params}
    try:
        dataset = open_data(TrainSettings.parse({"data": source} | of_split))
    except DataUnavailable as error:
        raise DataUnavailable(f"{error}: {why}") from error
    if dataset.sha256 != wanted:
        raise DataUnavailable(f"{source} has another sha256, {dataset.sha256[:16]}...: {why}")
    if isinstance(dataset, StreamedDataset):
        start_ray(logging_level=logging.ERROR, log_to_driver=False)
    return judge_on(dataset)(folder, sha256)
