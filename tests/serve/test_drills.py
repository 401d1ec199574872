"""The drills of docs/runbook.md, as `make drill` runs them: what the page says is what is seen."""

import subprocess

import pytest

from benchmarks.drill import DRILLS
from project.documents import DOCS, ROOT, blocks_run_by
from tests.serve.under_load import Figure

(BLOCK,) = blocks_run_by("tests/serve/test_drills.py", DOCS / "runbook.md")
# What a drill prints, beside the count of failed requests; for each whether none may fail.
SEEN = {
    "replica": ("ray::ServeReplica runs again", True),
    "replicas": ("kill -9 of ray::ServeReplica, 2 processes", False),
    "controller": ("ray::ServeController runs again", True),
    "haproxy": ("bin/haproxy runs again", False),
    "config": ("unknown setting 'max_batchsize'; the nearest known one is 'max_batch_size'", True),
    "overload": ("429 overloaded", True),
}


def drill(name: str) -> str:
    command = BLOCK.replace("NAME=replica", f"NAME={name}").replace("make ", "make -o .venv/dev.lock ")
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name", [name if name == "config" else pytest.param(name, marks=pytest.mark.long) for name in DRILLS]
)
def test_a_drill_shows_what_the_runbook_says(name: str, figure: Figure) -> None:
    seen, none_fails = SEEN[name]
    said = drill(name)
    assert seen in said
    last = said.splitlines()[-1]
    figure(last)
    assert "small requests failed" in last
    if none_fails:
        assert last.startswith("0 of "), said


def test_without_a_name_the_drills_are_listed() -> None:
    said = drill("")
    assert [name for name in DRILLS if f"\n  {name} " not in said] == []
