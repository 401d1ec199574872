"""The model cache does not grow without end; test_torn_writes.py has full disks and kills."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from digits.inference.source import PROJECT
from digits.models.folders import copy_for_serving
from digits.models.manifest import ONNX_FILE, read_manifest
from digits.registry import cache as registry_cache
from digits.registry.cache import KEPT, fetch, remember_good
from digits.task import ModelVersion

STARTER = PROJECT / "models" / "starter"
FIRST = ModelVersion("digits", "1", read_manifest(STARTER).files[ONNX_FILE].sha256)


@pytest.fixture(autouse=True)
def downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version that MLflow has is the starter."""

    def download(uri: str, artifact: str, folder: Path) -> Path:
        copy_for_serving(STARTER, folder / "serving")
        return folder / "serving"

    monkeypatch.setattr(registry_cache, "download", download)


def fetched(number: int, cache: Path, second: int) -> Path:
    """Fetches a version as if it were this second."""
    folder = fetch(replace(FIRST, version=str(number)), cache)
    os.utime(folder, (second, second))
    return folder


def test_the_versions_that_were_used_last_are_kept(tmp_path: Path) -> None:
    """One that is used again counts as new."""
    folders = [fetched(number, tmp_path, second=number) for number in range(1, KEPT + 1)]
    fetch(FIRST, tmp_path)
    newest = [fetched(KEPT + number, tmp_path, second=KEPT + number) for number in (1, 2)]
    assert set((tmp_path / "digits").iterdir()) == {folders[0], *folders[3:], *newest}


def test_the_last_good_version_is_kept_however_old(tmp_path: Path) -> None:
    """A replica that starts without MLflow needs it."""
    good = fetched(1, tmp_path, second=1)
    remember_good("models:/digits@champion", FIRST, tmp_path)
    for number in range(2, KEPT + 4):
        fetched(number, tmp_path, second=number)
    assert good.is_dir()
    assert len([folder for folder in good.parent.iterdir() if folder.is_dir()]) == KEPT + 1


def test_the_version_just_fetched_is_kept_by_a_wrong_clock(tmp_path: Path) -> None:
    """A clock set back makes all others seem newer."""
    later = int(time.time()) + 3600
    for number in range(2, KEPT + 3):
        fetched(number, tmp_path, second=later + number)
    folder = fetch(FIRST, tmp_path)
    assert folder.is_dir()
    assert len(list(folder.parent.iterdir())) == KEPT


def test_what_a_killed_download_left_is_deleted(tmp_path: Path) -> None:
    left = tmp_path / "digits" / "tmp1234"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    for number in range(KEPT):
        fetched(number, tmp_path, second=number + 1)
    assert not left.exists()
