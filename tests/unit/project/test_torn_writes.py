"""A killed writer or a full disk leaves the old files or none, never half of new ones."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from digits.errors import ModelRejected
from digits.inference.source import PROJECT
from digits.models.folders import copy_for_serving
from digits.models.manifest import MANIFEST, ONNX_FILE, read_manifest, read_verified
from digits.registry import cache as registry_cache
from digits.registry.cache import fetch, last_good, remember_good
from digits.streaming.plan import Stretch
from digits.task import ModelVersion
from digits.training import checkpoints
from digits.training.checkpoints import (
    LIST,
    PROGRESS,
    STATE,
    read_arrays,
    read_begun,
    read_progress,
    repair_run_folder,
    write_checkpoint,
)
from testkit.models import load_model

STARTER = PROJECT / "models" / "starter"
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class FullDisk:
    """Lets this many files be written, then half of one, then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self.left = writes
        for name in ("write_bytes", "write_text"):
            monkeypatch.setattr(Path, name, self._failing(getattr(Path, name)))

    def _failing(self, write: Callable[..., int]) -> Callable[..., int]:
        def fail(file: Path, data: bytes | str) -> int:
            self.left -= 1
            if self.left >= 0:
                return write(file, data)
            write(file, data[: len(data) // 2])
            raise FULL

        return fail


@pytest.mark.parametrize("writes", [0, 1])
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "in the place of another"])
def test_a_model_folder_is_copied_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int, is_there: bool
) -> None:
    target = tmp_path / "model"
    if is_there:
        target.mkdir()
        (target / MANIFEST).write_text("the one before")
    before = content(tmp_path)
    with monkeypatch.context() as patched:
        FullDisk(patched, writes)
        with pytest.raises(OSError, match="No space left"):
            copy_for_serving(STARTER, target)
    assert content(tmp_path) == before
    assert target.exists() == is_there
    copy_for_serving(STARTER, target)
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    read_verified(target, read_manifest(target), ONNX_FILE)


KILLED = """
import os, signal, sys
from pathlib import Path
from digits.models import folders
calls = iter(range(100))
for name in ("write_bytes", "write_text", "rename"):
    def dying(*arguments, do=getattr(Path, name)):
        if next(calls) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*arguments)
    setattr(Path, name, dying)
folders.copy_for_serving(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("call", range(4))
def test_a_killed_writer_leaves_the_old_model_folder_or_none(tmp_path: Path, call: int) -> None:
    """Killed before each call: write the model, write the manifest, move the old folder, move the new one."""
    target = tmp_path / "model"
    copy_for_serving(STARTER, target)
    before = content(target)
    command = [sys.executable, "-c", KILLED, str(STARTER), str(target), str(call)]
    assert subprocess.run(command, cwd=PROJECT, check=False).returncode == -signal.SIGKILL
    assert not target.exists() if call == 3 else content(target) == before
    copy_for_serving(STARTER, target)
    load_model(target)


def test_what_a_killed_writer_left_does_not_stop_another(tmp_path: Path) -> None:
    """In a container, another writer has the same process id."""
    target, old = tmp_path / "model", tmp_path / f"model.old-{os.getpid()}"
    for folder in (target, old):
        copy_for_serving(STARTER, folder)
    copy_for_serving(STARTER, target)
    assert list(tmp_path.iterdir()) == [target]


def test_half_a_manifest_or_half_a_model_is_never_served(tmp_path: Path) -> None:
    """A power failure may leave them, as no write waits for the disk."""
    for name in (MANIFEST, ONNX_FILE):
        copy_for_serving(STARTER, tmp_path)
        whole = (tmp_path / name).read_bytes()
        for half in (b"", whole[: len(whole) // 2]):
            (tmp_path / name).write_bytes(half)
            with pytest.raises(ModelRejected):
                load_model(tmp_path)


CHAMPION = "models:/digits@champion"
VERSION = ModelVersion("digits", "7", read_manifest(STARTER).files[ONNX_FILE].sha256)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "digits").mkdir()
    return tmp_path


@pytest.mark.parametrize("before", [None, ModelVersion("digits", "6", "0" * 64)])
def test_a_full_disk_keeps_the_last_good_version(
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    before: ModelVersion | None,
) -> None:
    """The new version is used all the same, with a warning in the log."""
    if before:
        remember_good(CHAMPION, before, cache)
    there = content(cache)
    with monkeypatch.context() as patched:
        FullDisk(patched, writes=0)
        remember_good(CHAMPION, VERSION, cache)
    assert "last good version not recorded version=7 error=[Errno 28] No space left" in caplog.text
    assert content(cache) == there
    assert last_good(CHAMPION, cache) == before
    remember_good(CHAMPION, VERSION, cache)
    assert last_good(CHAMPION, cache) == VERSION


def test_a_remembered_version_is_not_written_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remember_good(CHAMPION, VERSION, cache)
    FullDisk(monkeypatch, writes=0)
    remember_good(CHAMPION, VERSION, cache)
    assert caplog.text == ""


@pytest.mark.parametrize("left", ["", '{"name": "digits", "ver', "[]", '{"name": "digits"}', "\x00" * 100])
def test_a_torn_last_good_version_is_none(cache: Path, left: str) -> None:
    (cache / "digits" / "last-good-champion.json").write_text(left)
    assert last_good(CHAMPION, cache) is None


class Store:
    """MLflow's files: downloads the starter, or a part of it unless `whole`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.whole = 0, True
        monkeypatch.setattr(registry_cache, "download", self.download)

    def download(self, uri: str, artifact: str, folder: Path) -> Path:
        self.asked += 1
        copy_for_serving(STARTER, folder / "serving")
        if not self.whole:
            file = folder / "serving" / ONNX_FILE
            file.write_bytes(file.read_bytes()[:1000])
            raise FULL
        return folder / "serving"


def test_a_download_that_fills_the_disk_leaves_no_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With free space the version is downloaded again."""
    store = Store(monkeypatch)
    store.whole = False
    with pytest.raises(OSError, match="No space left"):
        fetch(VERSION, cache)
    assert list((cache / "digits").iterdir()) == []
    store.whole = True
    load_model(fetch(VERSION, cache))


@pytest.mark.parametrize("name", [MANIFEST, ONNX_FILE])
def test_a_damaged_model_in_the_cache_is_fetched_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = Store(monkeypatch)
    folder = fetch(VERSION, cache)
    assert (fetch(VERSION, cache), store.asked) == (folder, 1)
    (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    load_model(fetch(VERSION, cache))
    assert store.asked == 2


def run_of(folder: Path, epochs: int) -> Path:
    """Makes a run as Ray Train leaves it: the last two checkpoints, and the list that names them."""
    history = []
    for epoch in range(1, epochs + 1):
        history.append({"val_accuracy": epoch / 10, "val_loss": 1.0})
        checkpoint = folder / f"checkpoint_2026-{epoch:02d}"
        if epoch > epochs - 2:
            checkpoint.mkdir(parents=True)
            write_checkpoint(checkpoint, history, {"a": np.arange(epoch)}, {"b": np.arange(1000) + epoch})
    whole = {file.name: read_progress(file) for file in folder.glob("checkpoint_*")}
    checkpoints._write_list(folder / LIST, whole)
    return folder


EPOCH = {"val_accuracy": 0.1, "val_loss": 1.0}


def names(run: Path) -> list[str]:
    return sorted(file.name for file in run.iterdir())


def test_a_whole_run_is_left_as_it_is(tmp_path: Path) -> None:
    run = run_of(tmp_path, epochs=3)
    before = content(run)
    repair_run_folder(run)
    assert content(run) == before


def test_the_folder_of_a_new_run_is_left_to_ray(tmp_path: Path) -> None:
    repair_run_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("left", ["", '{"ray_version": "2.60.0", "checkpoint_res', "[]", None])
def test_a_torn_list_is_rebuilt_from_the_whole_checkpoints(tmp_path: Path, left: str | None) -> None:
    run = run_of(tmp_path, epochs=3)
    before = content(run)
    if left is None:
        (run / LIST).unlink()
    else:
        (run / LIST).write_text(left)
    (run / "checkpoint_2026-04").mkdir()
    repair_run_folder(run)
    assert content(run) == before


def torn(run: Path) -> Path:
    """Adds a third checkpoint of which only half was written."""
    half = run / "checkpoint_2026-04"
    half.mkdir()
    whole = run / "checkpoint_2026-03"
    (half / STATE).write_bytes((whole / STATE).read_bytes()[:-500])
    return half


def test_half_a_checkpoint_is_deleted_and_the_last_one_loads(tmp_path: Path) -> None:
    run = run_of(tmp_path, epochs=3)
    before = content(run)
    torn(run)
    repair_run_folder(run)
    assert content(run) == before
    assert read_arrays(run / "checkpoint_2026-03" / STATE)["b"][0] == 3


@pytest.mark.parametrize("file", [STATE, PROGRESS])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, file: str) -> None:
    run = run_of(tmp_path, epochs=3)
    damaged = run / "checkpoint_2026-03" / file
    damaged.write_bytes(damaged.read_bytes()[:-20])
    repair_run_folder(run)
    assert names(run) == ["checkpoint_2026-02", LIST]
    assert checkpoints._listed(run / LIST) == {"checkpoint_2026-02"}


def test_a_checkpoint_within_an_epoch_is_a_whole_one(tmp_path: Path) -> None:
    """Also within the first one, when no epoch is done; Ray's list is in the order of writing."""
    for number, (history, begun) in enumerate(
        [([], [Stretch(2, 20, 600)]), ([], [Stretch(2, 20, 600), Stretch(1, 40, 900)]), ([EPOCH], [])]
    ):
        checkpoint = tmp_path / f"checkpoint_2026-0{number}"
        checkpoint.mkdir()
        write_checkpoint(checkpoint, history, {}, {"a": np.arange(3)}, begun)
        assert read_begun(checkpoint) == begun
    repair_run_folder(tmp_path)
    listed = json.loads((tmp_path / LIST).read_text())
    assert [entry["checkpoint_dir_name"] for entry in listed["checkpoint_results"]] == [
        f"checkpoint_2026-0{number}" for number in range(3)
    ]
    assert listed["current_report_index"] == 3


def test_without_a_whole_checkpoint_a_run_starts_over(tmp_path: Path) -> None:
    (tmp_path / LIST).write_text("")
    (tmp_path / "checkpoint_2026-01").mkdir()
    repair_run_folder(tmp_path)
    assert names(tmp_path) == []


def test_a_list_that_cannot_be_written_is_repaired_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the torn list, and with free space it is repaired."""
    run = run_of(tmp_path, epochs=3)
    before = content(run)
    (run / LIST).write_text("")
    with monkeypatch.context() as patched:
        FullDisk(patched, writes=0)
        with pytest.raises(OSError, match="No space left"):
            repair_run_folder(run)
    assert (run / LIST).read_text() == ""
    repair_run_folder(run)
    assert content(run) == before
