"""Writes the generated parts of the documents: `make reference`, or `python -m project.reference`."""

from collections.abc import Callable
from functools import partial

from digits.gateway.settings import EdgeSettings
from digits.inference.settings import ServeSettings
from project import facts
from project.documents import ROOT, with_parts

Parts = list[tuple[str, Callable[[], str]]]
# Document -> the name of each generated part, and what renders it.
GENERATED: dict[str, Parts] = {
    "README.md": [("fast", facts.fast_table)],
    "docs/reference/configuration.md": [
        ("ServeSettings", partial(facts.settings_table, ServeSettings)),
        ("EdgeSettings", partial(facts.settings_table, EdgeSettings)),
        ("environment", facts.environment_table),
    ],
    "docs/reference/http.md": [("routes", facts.routes_table), ("answer", facts.answer_table)],
    "docs/reference/problems.md": [("problems", facts.problems_table)],
    "docs/reference/metrics.md": [("metrics", facts.metrics_table)],
    "docs/reference/commands.md": [("make", facts.make_table), ("help", facts.command_help)],
}


def fresh(page: str) -> str:
    """Returns the text that the document should have."""
    return with_parts((ROOT / page).read_text(), GENERATED[page])


def stale_pages() -> list[str]:
    """Returns the documents that differ from what the code says today."""
    return [page for page in GENERATED if (ROOT / page).read_text() != fresh(page)]


def main() -> None:
    for page in GENERATED:
        (ROOT / page).write_text(fresh(page))


if __name__ == "__main__":
    main()
