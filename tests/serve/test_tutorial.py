"""The calls of README.md and all of docs/tutorial.md, executed as they stand in a copy of the project."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from project.documents import DOCS, ROOT, Block, blocks_of
from testkit.cluster import wait_until
from testkit.local import serving
from testkit.ports import free_service_port
from tests.programs import require_program

THIS = "tests/serve/test_tutorial.py"
# `make` without installing anything, and on a port of its own.
PREFIX = 'make() {{ command make -o .venv/serve.lock -o .venv/train.lock "$@"; }}; export PORT={port};\n'
TIMEOUT_S = 400  # for a training on a busy machine
Seen = tuple[str, str | None]  # version and warning of /readyz


def blocks_here(document: Path) -> list[Block]:
    return [block for block in blocks_of(document.read_text()) if block.value == THIS]


README, TUTORIAL = blocks_here(ROOT / "README.md"), [b.text for b in blocks_here(DOCS / "tutorial.md")]


@dataclass(frozen=True)
class Reader:
    """Types the blocks into a shell in a folder with the project's files, as in a fresh clone."""

    folder: Path
    port: int

    def types(self, text: str, program: tuple[str, ...] = ("bash", "-ec")) -> str:
        before = PREFIX.format(port=self.port) if program[0] == "bash" else ""
        command = before + text.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        done = subprocess.run(
            [*program, command], cwd=self.folder, env=environment(), capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.fail(f"{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def sees(self, is_so: Callable[[Seen], bool]) -> Seen:
        """Returns version and warning of /readyz once they are so: a busy machine is slower than the page."""

        def look() -> Seen | None:
            seen = readyz(self.types("curl -s http://127.0.0.1:8000/readyz"))
            return seen if is_so(seen) else None

        return wait_until(look, timeout_s=120)


def environment() -> dict[str, str]:
    """Returns the variables of a terminal whose activated environment is this one."""
    asked = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return asked | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """In front of a service that the first block has started."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    assert README[0].text.startswith(TUTORIAL[0].strip())
    port = free_service_port()
    with serving(port, command=["bash", "-c", PREFIX.format(port=port) + TUTORIAL[0]], folder=folder):
        yield Reader(folder, port)


def test_the_calls_of_readme_read_a_seven(reader: Reader) -> None:
    """By curl, Python and JavaScript."""
    require_program("node", "nodejs")
    curl, python, javascript = README[1:]
    assert json.loads(reader.types(curl.text))["digit"] == 7
    assert reader.types(python.text, (sys.executable, "-c")) == "7\n"
    assert reader.types(javascript.text, ("node", "--input-type=module", "-e")) == "7\n"


@pytest.mark.long
def test_the_tutorial_works_word_for_word(reader: Reader) -> None:
    """Serve, train, promote, serve the champion, a bad one is rejected, roll back, clean up."""
    _, first, explained, *rest = TUTORIAL
    said = reader.types(first)
    assert '"digit":7' in said.replace(" ", "")
    assert "starter" in said
    assert "timing" in json.loads(reader.types(explained))
    train, listing, serve, worse, broken, back, mistake, clean = rest
    assert "models:/digits/1 is the champion" in reader.types(train)
    assert "champion" in reader.types(listing)
    said = reader.types(serve)
    assert "models:/digits@champion" in said
    assert readyz(said) == ("1", None)
    assert "not promoted" in reader.types(worse)
    assert '"digit":7' in reader.types(broken).replace(" ", "")
    version, warning = reader.sees(lambda seen: seen[1] is not None)
    assert version == "1"
    assert "golden" in str(warning)
    reader.types(back)
    assert reader.sees(lambda seen: seen[1] is None) == ("1", None)
    assert "max_batch_size" in reader.types(mistake)
    assert "Stopped" in reader.types(clean)
    assert "models/starter" in (reader.folder / "serve_config.yaml").read_text()


def readyz(said: str) -> Seen:
    """Returns the version and the warning of the last answer of /readyz among what was printed."""
    decoder, found = json.JSONDecoder(), None
    for place, character in enumerate(said):
        if character == "{":
            try:
                document, _ = decoder.raw_decode(said, place)
            except ValueError:
                continue
            if document.get("status") == "ready":
                found = document
    assert found, said
    return found["model"]["version"], found["warning"]
