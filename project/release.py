"""Makes a release of the version in pyproject.toml: `make release`, or only says what it would do.

    python -m project.release [--dry-run]

Checks the changelog, the version's copies and the commit, runs the tests, builds images, bills of materials
and the site, and sets the tag at last: a step that fails leaves no tag.  It pushes nothing.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence

from kuberay.manifests import stale_files
from project.documents import ROOT
from project.reference import stale_pages

STEPS: tuple[tuple[str, Sequence[str]], ...] = (
    ("lint, types and unit tests", ("make", "check")),
    ("the main promises, on a real service and a real training", ("make", "test")),
    ("known vulnerabilities of the locked packages", ("make", "audit")),
    ("images digits-serve and digits-train", ("make", "image")),
    ("what the images hold, in out/", ("make", "sbom")),
    ("the documentation's site, in out/site", ("make", "docs")),
)


def version() -> str:
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


def changelog_objections(changelog: str, wanted: str) -> list[str]:
    """Returns what keeps the changelog from being that of a release of this version."""
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", changelog, re.MULTILINE)
    released = [heading for heading in headings if heading[0] != "Unreleased"]
    if not released or released[0][0] != wanted:
        return [f"CHANGELOG.md: the newest version must be [{wanted}], the version of pyproject.toml"]
    objections = []
    if not released[0][1]:
        objections.append(f"CHANGELOG.md: [{wanted}] needs a date, as in `## [{wanted}] - 2026-01-31`")
    waiting = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## )", changelog, re.MULTILINE | re.DOTALL)
    if waiting and waiting[1].strip():
        objections.append(f"CHANGELOG.md: move the entries of [Unreleased] under [{wanted}]")
    section = changelog.partition(f"## [{wanted}]")[2].partition("\n## ")[0]
    if "### Upgrade notes" not in section:
        objections.append(f"CHANGELOG.md: [{wanted}] needs `### Upgrade notes`; `None` if nothing breaks")
    return objections


def objections() -> list[str]:
    """Returns what keeps this checkout from being released."""
    wanted = version()
    found = changelog_objections((ROOT / "CHANGELOG.md").read_text(), wanted)
    found += [f"{name} is stale: run `make manifests`" for name in stale_files()]
    found += [f"{name} is stale: run `make reference`" for name in stale_pages()]
    if _git("status", "--porcelain"):
        found.append("there are uncommitted changes: commit them, or `git stash`")
    if (branch := _git("branch", "--show-current")) != "main":
        found.append(f"this is the branch {branch or 'of a detached commit'}: check out main")
    if _git("tag", "--list", f"v{wanted}"):
        found.append(f"v{wanted} is released already: set a higher version in pyproject.toml")
    return found


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="say what is missing and what would be done")
    dry_run = parser.parse_args().dry_run
    name, found = f"v{version()}", objections()
    tag = ("git", "tag", "--annotate", name, "--message", f"digits {version()}: see CHANGELOG.md")
    steps = (*STEPS, (f"the tag {name}, which `git push --tags` publishes", tag))
    for objection in found:
        print(f"not ready: {objection}")
    if found and not dry_run:
        sys.exit(f"{name} is not released")
    for what, command in steps:
        print(f"{what}: {' '.join(command)}", flush=True)
        if not dry_run:
            subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
