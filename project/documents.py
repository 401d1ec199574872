"""The documents of the project, and their blocks of code.

A comment before a block says what proves it: `<!-- run: tests/FILE.py -->` names the test that executes it as
it stands there, `<!-- needs: WHAT -->` what a machine must have, so that no test of this project runs it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "kuberay" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
CODE = {"sh", "bash", "python", "js"}  # languages whose blocks are commands or programs
_BLOCK = re.compile(
    r"(?:^<!-- (run|needs): (.+?) -->\n)?^( *)```(\w*)\n(.*?)^\3```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language ("" if none is named), its text, and the mark before it."""

    language: str
    text: str
    mark: str  # "run", "needs" or ""
    value: str  # what the mark names


def blocks_of(text: str) -> list[Block]:
    """Returns the fenced blocks of a document in their order."""
    return [Block(language, body, mark, value) for mark, value, _, language, body in _BLOCK.findall(text)]


def blocks_run_by(test: str, document: Path) -> list[str]:
    """Returns the texts of the document's blocks that name this test, a path below the project's folder."""
    return [b.text for b in blocks_of(document.read_text()) if (b.mark, b.value) == ("run", test)]


def with_parts(text: str, parts: Iterable[tuple[str, Callable[[], str]]]) -> str:
    """Returns the document with today's text between `<!-- NAME -->` and `<!-- /NAME -->` for each part.

    Raises ValueError if a part has no such place.
    """
    for name, render in parts:
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, found, rest = text.partition(start)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"the document has no place {start.strip()} ... {end.strip()}")
        text = before + start + render() + end + after
    return text
