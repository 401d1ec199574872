"""Is what is locked pinned and hashed, what is installed what is locked, and none of it known to be bad?

    python -m requirements.audit [--offline]

Offline it does the first two.  Known vulnerabilities are pip-audit's job, which takes a package that its
database does not answer for to be a good one; so a version that is known to be bad is asked for first.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LOCKS = [Path(__file__).with_name(f"{name}.txt") for name in ("serve", "train", "dev")]
# Each id with the reason why it may stay, and until when: {"GHSA-...": "only on Windows; until 1.2 is out"}.
IGNORED: dict[str, str] = {}
KNOWN_BAD = "pillow==9.0.0"  # CVE-2022-22817: runs what is in an expression
DATABASES = ("pypi", "osv")
OF_VENV = {"pip", "setuptools", "wheel"}  # what `python -m venv` may bring itself


@dataclass(frozen=True, slots=True)
class Locked:
    name: str
    version: str
    is_for_here: bool  # its marker holds for this interpreter and platform


def read_lock(text: str) -> tuple[list[Locked], list[str]]:
    """The requirements, and a sentence for each line that is not pinned to one version and a sha256."""
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
    """A sentence for each package that is not installed as it is locked, or not locked at all."""
    wanted = {one.name: one.version for one in locked if one.is_for_here}
    problems = [
        f"{name} {version} is locked, {installed.get(name, 'nothing')} is installed"
        for name, version in sorted(wanted.items())
        if installed.get(name) != version
    ]
    others = sorted(installed.keys() - wanted.keys() - OF_VENV)
    return problems + [f"{name} {installed[name]} is installed and not locked" for name in others]


def installed_here() -> dict[str, str]:
    return {canonicalize_name(found.name): found.version for found in distributions()}


def disagreements() -> list[str]:
    """What `pip check` says of packages that ask for other versions than are installed."""
    command = [sys.executable, "-m", "pip", "check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    return checked.stdout.splitlines() if checked.returncode else []


def ask(database: str, requirements: list[Path]) -> list[dict[str, Any]] | None:
    """pip-audit's entry for each package; None if the database did not answer."""
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


def knows(database: str) -> bool:
    """Whether it says of a bad version that it is bad; a mirror may answer, or not, without saying so."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(KNOWN_BAD + "\n")
        return any(entry.get("vulns") for entry in ask(database, [file]) or [])


def vulnerabilities() -> list[str]:
    database = next(filter(knows, DATABASES), None)
    if database is None:
        return [
            f"no vulnerability database could be asked: neither {' nor '.join(DATABASES)} says that "
            f"{KNOWN_BAD} is bad, so known vulnerabilities were NOT looked for; ask where pypi.org or "
            "api.osv.dev can be reached, set PIP_AUDIT_OSV_URL to a mirror, or leave them out with "
            "`make audit OFFLINE=1`"
        ]
    entries = ask(database, LOCKS)
    if entries is None:
        return [f"the vulnerability database {database} stopped answering; ask again"]
    return [problem for entry in entries for problem in _problems_of(entry)]


def _problems_of(entry: dict[str, Any]) -> list[str]:
    if "skip_reason" in entry:
        return [f"{entry['name']} was not looked up: {entry['skip_reason']}"]
    return [
        f"{entry['name']} {entry['version']}: {vulnerability['id']}, "
        f"mended in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for vulnerability in entry["vulns"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--offline", action="store_true", help="ask no vulnerability database")
    is_offline = parser.parse_args().offline
    problems = []
    for lock in LOCKS:
        locked, found = read_lock(lock.read_text())
        problems += [f"{lock.name}: {problem}" for problem in found]
        print(
            f"{lock.name}: {len(locked)} requirements are pinned, each with a sha256" if not found else lock
        )
    problems += differences(locked, installed_here()) + disagreements()
    if not is_offline:
        problems += vulnerabilities()
    if problems:
        sys.exit("\n".join(problems))
    print("what is installed is what is locked")
    print("known vulnerabilities were not looked for" if is_offline else "no known vulnerability")


if __name__ == "__main__":
    main()
