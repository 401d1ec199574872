"""What the machine does to a replica: its clock is set, its disk is full."""

import asyncio
import logging
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from digits.errors import DeadlineExceeded
from digits.inference.batcher import Batcher
from digits.inference.live_model import LiveModel
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE, read_manifest
from digits.registry import cache, versions
from digits.registry.source import RegistrySource
from digits.task import Images, ModelVersion, Scores
from tests.loop_clock import LoopClock

IMAGE = np.zeros((1, 28, 28), np.uint8)
STARTER = PROJECT / "models" / "starter"


@pytest.mark.parametrize("jump_s", [-60, 60])
async def test_setting_the_clock_changes_no_batch_and_no_deadline(
    monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    clock, gate = LoopClock(monkeypatch), asyncio.Event()

    async def model(batch: Images) -> Scores:
        await gate.wait()
        return np.zeros((len(batch), 10))

    def set_clock() -> None:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + jump_s)

    queue = Batcher(model, max_batch_size=1, max_queued_images=10, timeout_s=0.5)
    running, waiting = (asyncio.ensure_future(queue.submit(IMAGE)) for _ in range(2))
    await clock.turns()
    set_clock()
    gate.set()
    await asyncio.gather(running, waiting)
    gate.clear()
    running, late = (asyncio.ensure_future(queue.submit(IMAGE)) for _ in range(2))
    await clock.turns()
    set_clock()
    clock.now += 0.6
    gate.set()
    await running
    with pytest.raises(DeadlineExceeded):
        await late


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """One that holds a model, and not two."""
    size = 3 * (STARTER / ONNX_FILE).stat().st_size // 2
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_model_that_does_not_fit_the_disk_keeps_the_live_one(
    monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    """The warning names the reason; with space again the version is loaded."""
    champion = 1

    def resolve(_: str) -> ModelVersion:
        return ModelVersion("digits", str(champion), read_manifest(STARTER).onnx_sha256)

    def download(_: str, __: str, folder: Path) -> Path:
        return Path(shutil.copytree(STARTER, folder / "serving"))

    monkeypatch.setattr(versions, "resolve", resolve)
    monkeypatch.setattr(cache, "download", download)
    settings = ServeSettings(
        model_uri="models:/digits@champion", model_cache=str(small_disk), alias_poll_s=3600, max_batch_size=2
    )
    source = RegistrySource(settings.model_uri, settings.model_cache)
    live = LiveModel(lambda _: source, 1, logging.getLogger("digits"), on_load=lambda outcome: None)
    await live.configure(settings)
    champion = 2
    assert not await live.reload()
    assert live.classifier
    assert live.classifier.version.version == "1"
    assert live.warning is not None
    assert "No space left on device" in live.warning
    assert len((await live.classifier.classify(IMAGE)).scores) == 1
    # What was fetched in part is gone, and with room again the next look brings the version.
    shutil.rmtree(next((small_disk / "digits").glob("1-*")))
    assert await live.reload()
    assert (live.classifier.version.version, live.warning or "") == ("2", "")
