"""What the code says of settings, problems, metrics, commands and routes, as Markdown.

No function loads Ray, TensorFlow or MLflow: the metrics are read from the source.
"""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from statistics import median
from typing import Any

import click

from benchmarks.tables import OURS, figure, number, ratio
from digits.cli.main import COMMANDS, main
from digits.gateway.settings import EdgeSettings
from digits.http.openapi import openapi_document
from digits.http.schemas import Prediction, Timing
from digits.inference.settings import ServeSettings
from digits.problems import PROBLEMS
from digits.settings import Settings
from project.documents import ROOT

FIRST_COLUMN: dict[type[Settings], str] = {ServeSettings: "key", EdgeSettings: "`DIGITS_EDGE_...`"}
# The services of docs/benchmarks/results.json that README compares, each as it is called there.
COMPARED = {
    "digits-haproxy-1": "this service, 1 replica",
    "digits-haproxy-2": "this service, 2 replicas",
    "asgi": "the smallest ASGI program that does the job, without limits, deadlines and health checks",
    "mosec": "mosec",
    "mlserver": "MLServer",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlflow": "`mlflow models serve`",
    "digits-default-1": "this service behind Ray's own proxy",
    "flask-keras": "Flask with `model.predict` for each request",
}
CONNECTIONS = 64
BOUNDS = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "lt": "< {}", "min_length": "not empty"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [head, *rows]
    shown = [re.sub(r"\|  (?=\|)", "| ", f"| {' | '.join(line)} |") for line in lines]
    return "\n".join([shown[0], "|" + "---|" * len(head), *shown[1:]]) + "\n"


def bounds_of(constraints: Iterable[object]) -> str:
    found = [
        text.format(getattr(constraint, name))
        for constraint in constraints
        for name, text in BOUNDS.items()
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join(found)


def settings_table(settings: type[Settings]) -> str:
    """Returns a row for each setting: name, default, bounds, meaning."""
    rows = []
    for name, field in settings.model_fields.items():
        default = "" if field.is_required() or field.default in ((), None) else f"`{field.default}`"
        shown = name.upper() if settings is EdgeSettings else name
        rows.append((f"`{shown}`", default, bounds_of(field.metadata), field.description or ""))
    return table((FIRST_COLUMN[settings], "default", "bounds", "meaning"), rows)


def environment_table() -> str:
    """Returns a row for each variable of serve.env, with the comment above it."""
    rows, comment = [], list[str]()
    for line in (ROOT / "serve.env").read_text().splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif line:
            name, _, value = line.partition("=")
            rows.append((f"`{name}`", f"`{value}`", " ".join(comment) or "see the row above"))
            comment = []
        else:
            comment = []  # an empty line ends the head of the file
    return table(("variable", "value", "meaning"), rows)


def problems_table() -> str:
    """Returns a row for each code, with a link to what an operator can do about it."""
    rows = []
    for code, one in PROBLEMS.items():
        section = code if one.status == HTTPStatus.TOO_MANY_REQUESTS or one.status >= 500 else "of-clients"
        rows.append((f"[`{code}`](../runbook.md#{section})", str(one.status), one.title, one.detail))
    return table(("code", "status", "title", "default detail"), rows)


def metrics_table() -> str:
    """Returns a row for each metric of digits/serving/metrics.py, under the name that Prometheus sees."""
    rows = []
    for call in ast.walk(ast.parse((ROOT / "digits" / "serving" / "metrics.py").read_text())):
        if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith("metrics."):
            continue
        kind = ast.unparse(call.func).removeprefix("metrics.").lower()
        given = {one.arg: ast.literal_eval(one.value) for one in call.keywords}
        name = f"ray_{ast.literal_eval(call.args[0])}{'_total' if kind == 'counter' else ''}"
        labels = ", ".join(f"`{label}`" for label in given.get("tag_keys", ()))
        rows.append((f"`{name}`", kind, labels, given["description"]))
    return table(("metric", "type", "labels", "meaning"), rows)


def routes_table() -> str:
    """Returns a row for each operation of the OpenAPI document."""
    rows = [
        (f"`{method.upper()} {path}`", operation["tags"][0], operation["summary"])
        for path, methods in openapi_document()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)  # a path may have parameters beside its methods
    ]
    return table(("request", "group", "what it does"), rows)


def answer_table() -> str:
    """Returns a row for each described field of an answer to one image, and of its `timing`."""
    rows = [
        (f"`{prefix}{field.alias or name}`", field.description)
        for prefix, model in (("", Prediction), ("timing.", Timing))
        for name, field in model.model_fields.items()
        if field.description
    ]
    return table(("field", "meaning"), rows)


def fast_table() -> str:
    """Returns README's comparison, of the last recorded `make bench`."""
    results = json.loads((ROOT / "docs" / "benchmarks" / "results.json").read_text())
    machine, rates = results["machine"], dict[str, float]()
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in COMPARED if name in results["services"]}
    for one in results["rounds"]:
        measured.get(one["service"], []).append(one)
    for name, rounds in measured.items():
        places = [point["connections"] for point in rounds[0]["closed"]]
        rates[name] = figure(rounds, "closed", places.index(CONNECTIONS), "rate")
    ours = rates[OURS]
    start_s, all_mb = (median(one[key] for one in measured[OURS]) for key in ("start_s", "all_mb"))
    rows = [(COMPARED[name], number(rate), ratio(rate, ours)) for name, rate in rates.items()]
    shown = table(("", "requests/s", "relative"), rows)
    where = f"{machine['cpu']}, {machine['cores']} cores shared with the load generator"
    return (
        f"{shown}\n`{results['command']}` on {where}, {machine['memory_gib']} GiB, Python "
        f"{machine['python']}; medians of the rounds, on {results['date'][:10]}.\nOne replica answered its "
        f"first request {number(start_s)} s after the start command; its processes used {number(all_mb)} MB, "
        "without Ray's dashboard and agents.\n"
    )


def make_table() -> str:
    """Returns a row for each target of the Makefile, as `make` lists them."""
    targets = re.findall(r"^([a-z0-9-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    rows = [(f"`make {name}`", text.replace("|", "\\|")) for name, text in targets]
    return table(("command", "what it does"), rows)


def command_help() -> str:
    """Returns the help of every command of `python -m digits`, as it prints it."""
    width: dict[str, Any] = {"max_content_width": 100, "terminal_width": 100}
    root = click.Context(main, info_name="python -m digits", **{**main.context_settings, **width})
    parts = []
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command
        context = click.Context(command, parent=root, info_name=name, **{**command.context_settings, **width})
        parts.append(_help(context))
        if isinstance(command, click.Group):
            parts += [
                _help(click.Context(one, parent=context, info_name=sub, **{**one.context_settings, **width}))
                for sub, one in command.commands.items()
            ]
    return "\n".join(parts)


def _help(context: click.Context) -> str:
    called = context.command_path.removeprefix("python -m ")
    return f"## {called}\n\n```text\n{context.command.get_help(context).rstrip()}\n```\n"


def flags_of(words: Sequence[str]) -> set[str]:
    """Returns the flags of `python -m digits WORDS...`; raises KeyError if there is no such command."""
    command = main.get_command(click.Context(main), words[0])
    if command is None:
        raise KeyError(words[0])
    if isinstance(command, click.Group):
        command = command.commands[words[1]]
    flags = {"--help", "-h"}
    for one in command.params:
        if isinstance(one, click.Option):
            flags |= {*one.opts, *one.secondary_opts}
    return flags
