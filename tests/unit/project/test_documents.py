"""What the documents tell a reader to type exists, and is executed by a test or needs something named."""

import re
import shlex
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

from project.documents import CODE, DOCS, DOCUMENTS, ROOT, Block, blocks_of, blocks_run_by
from project.facts import flags_of

# A changelog tells of the past, a decision of the day it was made.
TODAY = [one for one in DOCUMENTS if one.name != "CHANGELOG.md" and one.parent.name != "decisions"]
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE))
FOLDERS = "benchmarks|digits|docs|kuberay|models|project|requirements|testkit|tests"
# Made by a run, or by the reader who follows the page.
MADE = ("kuberay/overlays/mine",)


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def blocks(document: Path) -> list[Block]:
    return [block for block in blocks_of(document.read_text()) if block.language in CODE]


def commands_of(document: Path) -> list[str]:
    """Returns the lines of the document's blocks and its inline code, with continued lines joined."""
    text = document.read_text()
    shell = [block.text for block in blocks(document) if block.language in ("sh", "bash")]
    lines = "\n".join(shell).replace("\\\n", " ").splitlines()
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for line in [*lines, *re.findall(r"`([^`\n]+)`", prose)]]


def words_of(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:  # a part of a command
        return command.split()


@pytest.mark.parametrize("document", TODAY, ids=named)
def test_every_block_is_executed_or_says_what_it_needs(document: Path) -> None:
    """By the comment before it; the test that it names reads this document."""
    for block in blocks(document):
        assert block.mark, (
            f"{named(document)}: put `<!-- run: tests/FILE.py -->` or `<!-- needs: WHAT -->` on the line "
            f"before the block {block.text!r}"
        )
        if block.mark == "run":
            assert document.name in (ROOT / block.value).read_text(), (block.value, block.text)


@pytest.mark.parametrize("document", TODAY, ids=named)
def test_a_shell_variable_is_set_before_it_is_used(document: Path) -> None:
    """In a block above, or in a line above: the shell takes an unset one as empty, also if it is a key."""
    known: set[str] = set()
    for block in blocks(document):
        for line in block.text.splitlines() if block.language in ("sh", "bash") else ():
            unset = set(re.findall(r"\$\{?([A-Za-z_]\w*)", line)) - known
            assert not unset, f"{named(document)}: {sorted(unset)} are not set before {line!r}"
            known |= set(re.findall(r"\b([A-Za-z_]\w*)=", line))


@pytest.mark.parametrize("document", TODAY, ids=named)
def test_every_make_target_and_variable_exists(document: Path) -> None:
    for command in commands_of(document):
        if command.startswith("make ") and not command.startswith("make PYTHON="):
            for word in takewhile(lambda word: word not in ("||", "&&"), words_of(command)[1:]):
                name, is_set, _ = word.partition("=")
                if is_set:
                    assert re.search(rf"^{name} \?=|\$\((or \$\(|if \$\()?{name}\)", MAKEFILE, re.M), command
                elif word[0].islower():
                    assert word in TARGETS, command


@pytest.mark.parametrize("document", TODAY, ids=named)
def test_every_command_and_flag_exists(document: Path) -> None:
    """Of `python -m digits`, of the other modules that are run, and of train_ray.py."""
    for command in commands_of(document):
        flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", command))  # also those within TRAIN="..."
        if re.search(r"train_ray\.py|make train .*TRAIN=", command):
            assert flags <= flags_of(["train"]), command
        if (found := re.search(r"python -m digits ([a-z-]+)(?: ([a-z]+))?", command)) is None:
            if module := re.search(
                r"python -m ((?:benchmarks|project|kuberay|requirements|tests)[.\w]+)", command
            ):
                file = ROOT / f"{module[1].replace('.', '/')}.py"
                assert [flag for flag in flags if f'"{flag}"' not in file.read_text()] == [], command
        else:
            assert flags <= flags_of([word for word in found.groups() if word]), command


@pytest.mark.parametrize("document", TODAY, ids=named)
def test_every_file_that_is_named_exists(document: Path) -> None:
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]*\w)/?`", document.read_text()):
        if not name.startswith(MADE):
            assert (ROOT / name).exists(), name


def test_every_picture_is_shown_and_made_by_a_program() -> None:
    """Except seven.png, which the commands send."""
    pictures = {file.name: file for file in DOCS.rglob("*.png")} | {
        file.name: file for file in DOCS.rglob("*.svg")
    }
    text = "".join(document.read_text() for document in DOCUMENTS)
    folders = ("benchmarks", "tests", "project")
    programs = "".join(file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py"))
    for name, file in pictures.items():
        assert name in text, name
        assert name == "seven.png" or f'"{name}"' in programs or f'"{file.stem}"' in programs, name


def test_the_cost_of_counting_can_be_measured() -> None:
    """The command of monitoring.md."""
    (command,) = blocks_run_by("tests/unit/project/test_documents.py", DOCS / "monitoring.md")
    quick = command.replace("timeit", "timeit -n 10 -r 1")
    done = subprocess.run(["bash", "-c", quick], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "per loop" in done.stdout, done.stderr


def test_readme_stays_short() -> None:
    """For someone who has never seen the project; tables of requests and settings are in docs/reference/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_a_block_is_found_with_its_mark() -> None:
    text = "<!-- run: tests/a.py -->\n```sh\nmake a\n```\n\n```json\n{}\n```\n  ```sh\n  b\n  ```\n"
    assert blocks_of(text) == [
        Block("sh", "make a\n", "run", "tests/a.py"),
        Block("json", "{}\n", "", ""),
        Block("sh", "  b\n", "", ""),
    ]
