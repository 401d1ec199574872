"""`make audit` on wrong locks and packages, and with a vulnerability database of the tests."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from requirements import audit
from requirements.audit import (
    CLIENTS,
    KNOWN_BAD,
    LOCKS,
    SITE,
    Locked,
    differences,
    installed_here,
    read_lock,
    vulnerabilities,
)

HASH = "    --hash=sha256:" + "0a" * 32


def test_every_requirement_of_every_lock_is_pinned_and_hashed() -> None:
    assert [lock.stem for lock in LOCKS] == ["serve", "train", "dev"]
    for lock in (*LOCKS, CLIENTS, SITE):
        locked, problems = read_lock(lock.read_text())
        assert problems == []
        assert len(locked) == len(re.findall(r"(?m)^[^\s#]", lock.read_text())) > 25


def test_a_lock_is_read_with_its_markers_and_comments() -> None:
    text = f"""Some_Name==1.2 ; python_full_version < '9' \\
{HASH} \\
{HASH}
    # via
    #   another
other==3 ; sys_platform == 'win32' \\
{HASH}
"""
    assert read_lock(text) == ([Locked("some-name", "1.2", True), Locked("other", "3", False)], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"a>=1 \\\n{HASH}", "a is not pinned to one version"),
        (f"a \\\n{HASH}", "a is not pinned to one version"),
        (f"a==1.* \\\n{HASH}", "a is not pinned to one version"),
        (f"a==1,<2 \\\n{HASH}", "a is not pinned to one version"),
        (f"a @ https://example.org/a.whl \\\n{HASH}", "a is not pinned to one version"),
        ("a==1", "a has no sha256"),
        ("a==1 \\\n    --hash=md5:" + "0a" * 16, "a has no sha256"),
        (f"a==1\nb==2 \\\n{HASH}", "a has no sha256"),
        ("--index-url https://example.org", "is not a requirement"),
        ("-e .", "is not a requirement"),
        ("", "is not a requirement"),
    ],
)
def test_an_unpinned_or_unhashed_requirement_is_named(text: str, expected: str) -> None:
    _, problems = read_lock(text)
    assert [expected in problem for problem in problems] == [True]


def test_a_package_that_differs_from_its_lock_is_named() -> None:
    locked = [Locked("a", "1", True), Locked("b", "2", True), Locked("c", "3", False)]
    assert differences(locked, {"a": "1", "b": "2", "pip": "26"}) == []
    assert differences(locked, {"a": "1.1", "d": "4"}) == [
        "a 1 is locked, 1.1 is installed",
        "b 2 is locked, nothing is installed",
        "d 4 is installed and not locked",
    ]


def test_the_installed_packages_are_found() -> None:
    assert installed_here().items() >= {"pytest": pytest.__version__}.items()


class Database(BaseHTTPRequestHandler):
    """OSV's API; `bad` are the vulnerable packages, `asked` all that were looked up, as NAME==VERSION."""

    bad: set[str]
    asked: list[str]

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = f"{query['package']['name']}=={query['version']}"
        self.asked.append(package)
        body = json.dumps(self.known(query["package"]["name"]) if package in self.bad else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def known(self, name: str) -> dict[str, Any]:
        events = [{"introduced": "0"}, {"fixed": "99"}]
        affected = {
            "package": {"name": name, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        return {"vulns": [{"id": f"OSV-{name}", "affected": [affected]}]}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Database]]:
    Database.bad, Database.asked = {KNOWN_BAD}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setattr(audit, "DATABASES", ("osv",))
        yield Database
        server.shutdown()


def test_every_locked_package_is_looked_up(database: type[Database]) -> None:
    assert vulnerabilities() == []
    locked = {
        f"{one.name}=={one.version}"
        for lock in (*LOCKS, CLIENTS, SITE)
        for one in read_lock(lock.read_text())[0]
        if one.is_for_here
    }
    assert {*database.asked} == locked | {KNOWN_BAD}


@pytest.fixture
def small_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.txt").write_text(f"good==1 \\\n{HASH}\nbad==2 \\\n{HASH}\n")
    monkeypatch.setattr(audit, "LOCKS", [tmp_path / "small.txt"])


def test_a_known_vulnerability_is_named_with_its_fix(
    database: type[Database], small_lock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it is accepted with a reason."""
    database.bad.add("bad==2")
    assert vulnerabilities() == ["bad 2: OSV-bad, fixed in 99"]
    monkeypatch.setattr(audit, "IGNORED", {"OSV-bad": "a reason"})
    assert vulnerabilities() == []


def test_the_packages_of_an_image_are_looked_up_alone(
    database: type[Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `make image-scan` does with what `make sbom` lists."""
    (tmp_path / "image.txt").write_text("good==1\nbad==2\n")
    monkeypatch.setattr("sys.argv", ["audit", "--lists", str(tmp_path / "image.txt")])
    audit.main()
    assert database.asked == [KNOWN_BAD, "good==1", "bad==2"]
    database.bad.add("bad==2")
    with pytest.raises(SystemExit, match="bad 2: OSV-bad"):
        audit.main()


def test_a_database_without_vulnerabilities_is_not_trusted(
    database: type[Database], small_lock: None
) -> None:
    """A mirror may answer for every package, without its vulnerabilities."""
    database.bad.clear()
    (problem,) = vulnerabilities()
    assert "known vulnerabilities were NOT checked" in problem
    assert database.asked == [KNOWN_BAD]


def test_an_unreachable_database_is_reported(small_lock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/")
    monkeypatch.setattr(audit, "DATABASES", ("osv",))
    (problem,) = vulnerabilities()
    assert "make audit OFFLINE=1" in problem


def test_a_skipped_package_is_a_problem() -> None:
    assert audit._problems_of({"name": "a", "skip_reason": "not found"}) == ["a was not looked up: not found"]


def test_every_ignored_vulnerability_has_a_reason() -> None:
    assert [name for name, reason in audit.IGNORED.items() if len(reason) < 20] == []
