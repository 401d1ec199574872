"""The runbook has every alert, every problem code and every drill, each with what to do."""

import re

from benchmarks.drill import DRILLS
from digits.problems import PROBLEMS
from project.documents import DOCS
from tests.rules.monitoring import alerts

PAGE = (DOCS / "runbook.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROWS = re.findall(r"^\| `(\w+)` \|(.+)\|(.+)\|$", PAGE, re.MULTILINE)
CODES = [name for name in SECTIONS if name in PROBLEMS]


def test_every_alert_has_a_section_with_its_severity() -> None:
    listed = [(name, text.split("**")[1]) for name, text in SECTIONS.items() if name.startswith("Digits")]
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in alerts()]


def test_every_alert_has_causes_a_look_and_a_fix() -> None:
    for rule in alerts():
        text = SECTIONS[rule["alert"]].lower()
        assert [word for word in ("- cause", "- look at:", "fix:") if word not in text] == [], rule["alert"]


def test_every_problem_code_is_there_once() -> None:
    """The service's own in a section with a fix, the clients' in a row of the table."""
    in_rows = [name for name, *_ in ROWS if name in PROBLEMS]
    assert sorted(CODES + in_rows) == sorted(PROBLEMS)
    assert {code for code, one in PROBLEMS.items() if one.status >= 500} | {"overloaded"} == set(CODES)
    assert [code for code in CODES if "ix:" not in SECTIONS[code]] == []


def test_every_drill_is_listed_and_no_other_is_named() -> None:
    listed = [name for name, *_ in ROWS if name in DRILLS]
    assert listed == list(DRILLS)
    named = set(re.findall(r"Drill: `(\w+)`", PAGE)) | set(re.findall(r"make drill NAME=(\w+)", PAGE))
    assert named <= DRILLS.keys()
    assert len(named) > 4
