"""Checks that the locks pin and hash every package, that these versions are installed, and known CVEs.

    python -m requirements.audit [--offline]
    python -m requirements.audit --lists FILE...

--offline skips the CVEs; --lists looks up those of the packages NAME==VERSION in the files, and no more.
pip-audit treats a package that its database does not know as a good one; so a version that is known to be
vulnerable is looked up first.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LOCKS = [Path(__file__).with_name(f"{name}.txt") for name in ("serve", "train", "dev")]
# Of .clients/ and .docs/, environments of their own with other versions of some packages.
CLIENTS, SITE = (Path(__file__).with_name(f"{name}.txt") for name in ("clients", "docs"))
# Vulnerabilities to accept, each with its reason and until when: {"GHSA-...": "only on Windows; until 1.2"}.
IGNORED: dict[str, str] = {}
KNOWN_BAD = "pillow==9.0.0"  # CVE-2022-22817: evaluates expressions of its input
DATABASES = ("pypi", "osv")
VENV_PACKAGES = {"pip", "setuptools", "wheel"}  # installed by `python -m venv` itself


@dataclass(frozen=True, slots=True)
class Locked:
    name: str
    version: str
    is_for_here: bool  # its marker holds for this interpreter and platform


def read_lock(text: str) -> tuple[list[Locked], list[str]]:
    """Returns the requirements, and a problem for each that is not pinned to one version with a sha256."""
    locked, problems = [], []
    for block in re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text).strip()):
        first, *rest = re.sub(r"\\\n", "\n", block).splitlines() or [""]
        try:
            requirement = Requirement(first)
        except InvalidRequirement:
            problems.append(f"{first.strip()!r} is not a requirement; write NAME==VERSION with its hashes")
            continue
        versions = list(requirement.specifier)
        if (
            requirement.url
            or len(versions) != 1
            or versions[0].operator != "=="
            or "*" in versions[0].version
        ):
            problems.append(f"{requirement.name} is not pinned to one version; `make lock` does it")
            continue
        if not any(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", line) for line in rest):
            problems.append(f"{requirement.name} has no sha256; `make lock` writes it")
        is_for_here = requirement.marker is None or requirement.marker.evaluate()
        locked.append(Locked(canonicalize_name(requirement.name), versions[0].version, is_for_here))
    return locked, problems


def differences(locked: list[Locked], installed: dict[str, str]) -> list[str]:
    """Returns a problem for each package whose installed version is not a locked one."""
    wanted = {one.name: one.version for one in locked if one.is_for_here}
    problems = [
        f"{name} {version} is locked, {installed.get(name, 'nothing')} is installed"
        for name, version in sorted(wanted.items())
        if installed.get(name) != version
    ]
    others = sorted(installed.keys() - wanted.keys() - VENV_PACKAGES)
    return problems + [f"{name} {installed[name]} is installed and not locked" for name in others]


def installed_here() -> dict[str, str]:
    """Returns the installed packages with their versions."""
    return {canonicalize_name(found.name): found.version for found in distributions()}


def disagreements() -> list[str]:
    """Returns `pip check`'s lines on packages that require other versions than those installed."""
    command = [sys.executable, "-m", "pip", "check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return checked.stdout.splitlines() if checked.returncode else []


def ask(database: str, requirements: list[Path]) -> list[dict[str, Any]] | None:
    """Returns pip-audit's entry for each package, or None if the database did not answer."""
    command = [
        sys.executable, "-m", "pip_audit", "--vulnerability-service", database, "--format", "json",
        "--progress-spinner", "off", "--disable-pip", "--no-deps", "--timeout", "15",
    ]  # fmt: skip
    command += [part for file in requirements for part in ("--requirement", str(file))]
    command += [part for name in IGNORED for part in ("--ignore-vuln", name)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        entries: list[dict[str, Any]] = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return entries


def has_vulnerabilities(database: str) -> bool:
    """Returns whether the database knows a vulnerability of KNOWN_BAD; a mirror may serve packages alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(KNOWN_BAD + "\n")
        return any(entry.get("vulns") for entry in ask(database, [file]) or [])


def vulnerabilities(groups: Sequence[list[Path]] = ()) -> list[str]:
    """Returns a problem for each known vulnerability, or one if there is no database.

    The files of a group agree in their versions.  Without groups these are the locks.
    """
    database = next(filter(has_vulnerabilities, DATABASES), None)
    if database is None:
        return [
            "known vulnerabilities were NOT checked, as no database could be used: neither "
            f"{' nor '.join(DATABASES)} reports the one of {KNOWN_BAD}; allow access to pypi.org or "
            "api.osv.dev, set PIP_AUDIT_OSV_URL to a mirror, or skip this check with `make audit OFFLINE=1`"
        ]
    problems: list[str] = []
    for files in groups or (LOCKS, [CLIENTS], [SITE]):
        entries = ask(database, files)
        if entries is None:
            return [f"the vulnerability database {database} stopped answering; run the audit again"]
        problems += [problem for entry in entries for problem in _problems_of(entry)]
    return problems


def _problems_of(entry: dict[str, Any]) -> list[str]:
    if "skip_reason" in entry:
        return [f"{entry['name']} was not looked up: {entry['skip_reason']}"]
    return [
        f"{entry['name']} {entry['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for vulnerability in entry["vulns"]
    ]


def check_locks() -> list[str]:
    """Returns what is wrong with the locks and with the installed packages."""
    problems = []
    for lock in (CLIENTS, SITE, *LOCKS):
        locked, found = read_lock(lock.read_text())
        problems += [f"{lock.name}: {problem}" for problem in found]
        if not found:
            print(f"{lock.name}: {len(locked)} requirements, each pinned with a sha256")
    wrong = differences(locked, installed_here()) + disagreements()
    if not wrong:
        print("the installed packages are the locked ones")
    return problems + wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--offline", action="store_true", help="skip known vulnerabilities")
    parser.add_argument("--lists", nargs="+", default=[], type=Path, metavar="FILE", help="files to look up")
    given = parser.parse_args()
    problems = [] if given.lists else check_locks()
    if not given.offline:
        problems += vulnerabilities([[file] for file in given.lists])
    if problems:
        sys.exit("\n".join(problems))
    print("known vulnerabilities were not checked" if given.offline else "no known vulnerability")


if __name__ == "__main__":
    main()
