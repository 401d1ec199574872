"""The whole report: two models and a data set -> one HTML file."""

from dataclasses import dataclass
from pathlib import Path

from digits.corpus.examples import sample
from digits.corpus.kinds import KINDS
from digits.errors import ModelRejected, NotRegistered
from digits.registry.gate import GateSettings, objections
from digits.registry.promotion import faults
from digits.registry.source import open_source
from digits.registry.versions import resolve
from digits.report.answers import answers_of
from digits.report.page import names_of, page
from digits.training.data import absolute_source, load
from digits.training.fit import check_writable
from digits.training.pictures import SEED
from digits.training.settings import DRAWN


@dataclass(frozen=True, slots=True)
class Report:
    file: Path
    model: str
    champion: str | None
    objections: list[str]
    left_out: str = ""  # why there is no other model, though one was asked for


def report(
    model_uri: str,
    against: str,
    data: str,
    per_kind: int,
    model_cache: str,
    file: Path,
    gate: GateSettings,
    must_compare: bool = True,
) -> Report:
    """Writes the report of a model compared with another one; returns its outcome.

    `against` is a model, or empty for none. Without `must_compare` it is left out if it is rejected, like one
    of another task. There are `per_kind` pictures of each kind, but none for tasks other than digits. Raises
    what loading data and models raises, and InvalidSettings if the file cannot be written, before anything is
    computed; an existing file is replaced at the end.
    """
    check_writable("--out", file.parent)
    dataset = load(absolute_source(data))
    source, *beside_it = [open_source(uri, model_cache) for uri in (model_uri, against) if uri]
    examples = list(sample("judge", SEED, per_kind, tuple(KINDS))) if DRAWN else []
    model, others, left_out = answers_of(source, dataset, examples), [], ""
    try:
        others = [answers_of(other, dataset, examples) for other in beside_it]
    except ModelRejected as error:
        if must_compare:
            raise
        left_out = f"{against} is left out, it is perhaps of another task: {error}"
    champion = others[0] if others else None
    measured, *beside = [one.measured(dataset.name) for one in (model, *others)]
    found = objections(measured, beside[0] if beside else None, gate)
    found += faults(source.fetch(model.version), model.version.sha256)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(page(model, champion, dataset, found), "utf-8")
    partial.replace(file)
    name, *other = names_of([model, *others])
    return Report(file, name, other[0] if other else None, found, left_out)


def default_champion(name: str) -> str:
    """Returns the address of the registered champion, or the starter's folder if there is none."""
    address = f"models:/{name}@champion"
    try:
        resolve(address)
    except NotRegistered:
        return "models/starter"
    return address
