"""A rollback that would change nothing says so; tests/train has promotions in a real MLflow."""

import pytest

from digits.errors import NotRegistered
from digits.registry import promotion
from digits.registry.promotion import rollback
from digits.task import ModelVersion


def test_a_rollback_to_the_champion_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion sets `previous` first: one that dies right after it leaves both aliases on one version."""
    moved: list[object] = []
    monkeypatch.setattr(promotion, "resolve", lambda address: ModelVersion("digits", "3", "0" * 64))
    monkeypatch.setattr(promotion, "_move_champion", lambda *arguments: moved.append(arguments))
    with pytest.raises(NotRegistered, match="version 3 of digits is the champion and the previous one, too"):
        rollback("digits")
    assert not moved
