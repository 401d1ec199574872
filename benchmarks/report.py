"""Writes docs/benchmarks.md and its plots from the results of benchmarks.compare.

    python -m benchmarks.report [docs/benchmarks/results.json]

The text outside the page's markers is written by hand and stays.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.charts import draw_latency, draw_throughput
from benchmarks.services import ROOT
from benchmarks.tables import Rounds, footprint, latency, many_images, overload, pictures, table, throughput

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- results -->\n", "<!-- /results -->\n"


def write_report(results_file: Path) -> None:
    """Writes the page beside the results' folder, under its name."""
    results = json.loads(results_file.read_text())
    folder = results_file.parent
    rounds = {
        name: [one for one in results["rounds"] if one["service"] == name] for name in results["services"]
    }
    draw_throughput(rounds, folder / "throughput.png")
    draw_latency(rounds, folder / "latency.png")
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    page = before + BEGIN + sections(results, rounds, folder.name) + END + after
    folder.with_suffix(".md").write_text(page)


def sections(results: dict[str, Any], rounds: Rounds, folder: str) -> str:
    parts = [
        conditions(results),
        "## Pictures as people send them",
        "A canvas drawing, a larger drawing, a thumbnail, a scan and a photo of 12 megapixels "
        "(`benchmarks/bodies.py`), in turn, in a closed loop. Every service reads them with this project's "
        "reader; what differs is the serving. This service limits the seconds of decoding that may wait "
        "(`max_queued_work_s`): on 64 connections it refuses photos with 429, and answers an easier mix "
        "than a service that lets them wait.",
        pictures(rounds),
        "## Throughput of 28x28 images",
        f"![Requests a second by connections]({folder}/throughput.png)",
        throughput(rounds),
        "## Latency at a fixed rate",
        f"![p50 and p99 by requests a second]({folder}/latency.png)",
        latency(rounds),
        "## Overload: 20 % above the capacity",
        overload(rounds),
        "## Many images in one request",
        many_images(results["onnxruntime"], rounds),
        "## Start and memory",
        footprint(rounds),
        "## The services",
        table(["service", "how"], results["services"].items()),
        versions(results["packages"]),
    ]
    return "\n\n".join(parts) + "\n"


def conditions(results: dict[str, Any]) -> str:
    machine, generators = results["machine"], results["generators"]
    count = len(results["rounds"]) // len(results["services"])
    return (
        f"`{results['command']}` on {results['date'][:10]}, commit `{results['commit'][:12]}`"
        f"{' with uncommitted changes' if results['dirty'] else ''}: {machine['cpu']}, "
        f"{machine['cores']} cores shared by service and load generator, {machine['memory_gib']} GiB, "
        f"{machine['os']}, "
        f"Python {machine['python']}, wrk {generators['wrk']}, h2load {generators['h2load']}. "
        f"Each figure is the median of {count} round{'s' * (count > 1)}."
    )


def versions(packages: dict[str, str]) -> str:
    named = {
        "digits": ["ray", "onnxruntime", "uvicorn", "flask", "gunicorn", "keras", "tensorflow", "mlflow"],
        "litserve": ["litserve"],
        "bentoml": ["bentoml"],
        "mosec": ["mosec"],
        "mlserver": ["mlserver"],
    }
    found = [
        f"{name} {dict(package.split() for package in packages[environment].split(', '))[name]}"
        for environment, names in named.items()
        if environment in packages
        for name in names
    ]
    return f"Versions: {', '.join(found)}; all others are in `results.json`."


if __name__ == "__main__":
    write_report(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "benchmarks" / "results.json")
