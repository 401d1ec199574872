"""The version is in one place, and `make release DRY_RUN=1` says what is missing and what it would do."""

import re
import subprocess
import sys

import pytest

from kuberay import manifests
from project import release
from project.documents import ROOT

GOOD = (
    "## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n### Upgrade notes\n\n- None\n\n## [1.1.0] - 2025-01-31\n"
)


def test_no_file_has_the_tag_of_another_version() -> None:
    assert manifests.stale_files() == [], "run `make manifests`"
    tags = [
        found
        for text in manifests.fresh_texts().values()
        for found in re.findall(r"(?:digits-(?:serve|train):|newTag: )([\d.]+\d)", text)
    ]
    assert len(tags) > 10
    assert set(tags) == {release.version()}


@pytest.mark.parametrize(
    ("changelog", "objection"),
    [
        (GOOD, ""),
        (GOOD.replace("[1.2.0]", "[1.3.0]"), "the newest version must be [1.2.0]"),
        (GOOD.replace(" - 2026-01-31", ""), "[1.2.0] needs a date"),
        (GOOD.replace("[Unreleased]\n", "[Unreleased]\n\n- a line\n"), "move the entries of [Unreleased]"),
        (GOOD.replace("### Upgrade notes", "### Added"), "[1.2.0] needs `### Upgrade notes`"),
    ],
)
def test_a_changelog_that_is_not_ready_is_named(changelog: str, objection: str) -> None:
    found = release.changelog_objections(changelog, "1.2.0")
    assert [objection in one for one in found] == [True] * bool(objection)


def test_a_dry_run_names_each_step_and_does_none() -> None:
    """The tag is last; whatever keeps this checkout from being released is said first."""
    before = _git("tag")
    command = [sys.executable, "-m", "project.release", "--dry-run"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("not ready: ")]
    assert [line.rpartition(": ")[2] for line in lines[:-1]] == [" ".join(step) for _, step in release.STEPS]
    assert f"git tag --annotate v{release.version()} --message" in lines[-1]
    assert _git("tag") == before


def test_make_release_is_the_module() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "-o", ".venv/dev.lock", "release", "DRY_RUN=1"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == ".venv/bin/python -m project.release --dry-run\n"


def test_a_checkout_that_is_not_ready_is_not_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "objections", lambda: ["a reason"])
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("a step was run"))
    monkeypatch.setattr("sys.argv", ["release"])
    with pytest.raises(SystemExit, match="is not released"):
        release.main()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
