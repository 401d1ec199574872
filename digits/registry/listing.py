"""The registered versions as a list, each with its problems."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from digits.errors import NotRegistered
from digits.registry.address import existing_tracking_uri, tracking_uri
from digits.registry.mlflow import mlflow_client
from digits.registry.versions import DATA_TAG, SHA256_TAG

UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Listed:
    """A registered version; a metric is None if its run lacks it."""

    version: str
    aliases: list[str]
    data: str
    created: datetime
    accuracy: float | None
    ece: float | None
    run_id: str
    missing: str  # the problems and how to solve them; "" if there are none


def list_versions(name: str) -> list[Listed]:
    """Returns every version, the newest first.  Raises NotRegistered if there is no model of this name."""
    with mlflow_client(existing_tracking_uri()) as client:
        aliases = client.get_registered_model(name).aliases
        versions = client.search_model_versions(f"name = '{name}'")
    return [_listed(found, aliases) for found in sorted(versions, key=lambda found: -int(found.version))]


def _listed(found: Any, aliases: dict[str, Any]) -> Listed:
    run, missing = _run_of(found)
    if SHA256_TAG not in found.tags:
        missing.insert(0, f"tag {SHA256_TAG}: it cannot be served; train or import it again")
    metrics, tags = (run.data.metrics, run.data.tags) if run else ({}, {})
    return Listed(
        version=str(found.version),
        aliases=sorted(alias for alias, version in aliases.items() if str(version) == str(found.version)),
        data=found.tags.get(DATA_TAG) or tags.get("data") or UNKNOWN,
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        accuracy=metrics.get("test_accuracy"),
        ece=metrics.get("test_ece"),
        run_id=found.run_id or "",
        missing="; ".join(missing),
    )


def _run_of(found: Any) -> tuple[Any, list[str]]:
    """Returns the version's run or None, and the problems of the run."""
    if not found.run_id:
        return None, ["run: it was registered by hand"]
    try:
        with mlflow_client(tracking_uri()) as client:
            run = client.get_run(found.run_id)
    except NotRegistered:
        return None, ["run: it was deleted permanently"]
    if run.info.lifecycle_stage == "deleted":
        return run, [f"run: it is deleted; `mlflow runs restore --run-id {found.run_id}` restores it"]
    return run, []


def table(listed: list[Listed]) -> list[str]:
    """Returns the lines of a table, followed by the problems of versions."""
    width = max([len(version.data) for version in listed] + [len("data")])
    row = f"{{:7}}  {{:28}}  {{:{width}}}  {{:16}}  {{:>8}}  {{:>6}}  {{}}"
    lines = [row.format("version", "aliases", "data", "created (UTC)", "accuracy", "ece", "run")]
    for version in listed:
        figures = (f"{x:.4f}" if x is not None else UNKNOWN for x in (version.accuracy, version.ece))
        lines.append(
            row.format(
                version.version, ", ".join(version.aliases), version.data,
                f"{version.created:%Y-%m-%d %H:%M}", *figures, version.run_id or UNKNOWN,
            ).rstrip()
        )  # fmt: skip
    return lines + [
        f"version {version.version} has no {version.missing}" for version in listed if version.missing
    ]
