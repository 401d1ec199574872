"""A moved alias, over a stand-in registry: what is loaded, what is refused, and what answers meanwhile."""

import asyncio
import errno
import logging
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from digits.errors import DigitsError, ModelRejected, NotReady, NotRegistered, TrackingUnavailable, Wedged
from digits.inference import classifier, live_model
from digits.inference.live_model import LiveModel
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT, FolderSource, ModelSource
from digits.models.manifest import ONNX_FILE, read_manifest
from digits.models.runtime import DigitModel
from digits.task import CLASSES, Images, ModelVersion

STARTER = PROJECT / "models" / "starter"
SHA256 = read_manifest(STARTER).files[ONNX_FILE].sha256


class Registry:
    """A ModelSource of which every version is the starter model, except those in `bad`."""

    can_change = True

    def __init__(self) -> None:
        self.champion = 1
        self.asked = 0
        self.is_up = True
        self.bad: set[int] = set()
        self.good: ModelVersion | None = None

    def resolve(self) -> ModelVersion:
        self.asked += 1
        if not self.is_up:
            raise TrackingUnavailable("nothing answers at http://mlflow")
        return ModelVersion("digits", str(self.champion), SHA256)

    def fetch(self, version: ModelVersion) -> Path:
        if int(version.version) in self.bad:
            raise ModelRejected("its sha256 is another")
        return STARTER

    def remember_good(self, version: ModelVersion) -> None:
        self.good = version

    def last_good(self) -> ModelVersion | None:
        return self.good


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def settings(tmp_path: Path) -> ServeSettings:
    return ServeSettings(
        model_uri="models:/digits@champion", model_cache=str(tmp_path), alias_poll_s=0.1, max_batch_size=2
    )


class Loads:
    """A live model, and the outcomes of its loads."""

    def __init__(self, source: ModelSource | None = None) -> None:
        self.outcomes: list[str] = []
        self.live = LiveModel(
            lambda settings: source or FolderSource(settings.model_uri),
            1,
            logging.getLogger("digits"),
            self.outcomes.append,
        )

    @property
    def version(self) -> str | None:
        return self.live.classifier.version.version if self.live.classifier else None


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_moved_alias_is_followed_and_followed_back(
    registry: Registry, settings: ServeSettings
) -> None:
    loads = Loads(registry)
    await loads.live.configure(settings)
    assert loads.version == "1"
    for version in (2, 1):
        registry.champion = version
        await until(lambda: loads.version == str(version))  # noqa: B023
    assert loads.outcomes == ["loaded"] * 3
    assert loads.live.warning is None


async def test_an_unchanged_alias_loads_nothing_again(registry: Registry, settings: ServeSettings) -> None:
    loads = Loads(registry)
    await loads.live.configure(settings)
    before = loads.live.classifier
    await until(lambda: registry.asked > 4)
    assert loads.live.classifier is before
    assert loads.outcomes == ["loaded"]


async def test_a_bad_version_is_rejected_once_with_its_reason(
    registry: Registry, settings: ServeSettings
) -> None:
    """The live model goes on; the version is tried again only after the alias has moved."""
    loads = Loads(registry)
    await loads.live.configure(settings)
    registry.champion, registry.bad = 2, {2}
    await until(lambda: loads.live.warning is not None)
    asked = registry.asked
    await until(lambda: registry.asked > asked + 3)
    assert loads.version == "1"
    assert loads.live.warning == "version 2 was rejected: its sha256 is another"
    assert loads.outcomes == ["loaded", "rejected"]
    registry.champion = 1  # rolled back
    await until(lambda: loads.live.warning is None)
    registry.champion = 3
    await until(lambda: loads.version == "3")


async def test_a_rejection_is_still_reported_after_an_outage(
    registry: Registry, settings: ServeSettings
) -> None:
    """Of MLflow, whose own warning replaces it meanwhile; the version is not loaded a second time."""
    loads = Loads(registry)
    await loads.live.configure(settings.model_copy(update={"alias_poll_s": 3600}))
    registry.champion, registry.bad = 2, {2}
    await loads.live.reload()
    registry.is_up = False
    await loads.live.reload()
    assert "nothing answers at http://mlflow" in str(loads.live.warning)
    registry.is_up = True
    await loads.live.reload()
    assert loads.live.warning == "version 2 was rejected: its sha256 is another"
    assert loads.outcomes == ["loaded", "rejected", "unreachable"]


async def test_a_rejected_version_is_tried_again_when_promoted(
    registry: Registry, settings: ServeSettings
) -> None:
    """After a rollback: it may have been too slow on a busy node only."""
    loads = Loads(registry)
    await loads.live.configure(settings.model_copy(update={"alias_poll_s": 3600}))
    for registry.champion, registry.bad in ((2, {2}), (1, {2}), (2, set())):
        await loads.live.reload()
    assert loads.version == "2"


async def test_without_mlflow_a_running_model_goes_on_and_says_so(
    registry: Registry, settings: ServeSettings
) -> None:
    loads = Loads(registry)
    await loads.live.configure(settings)
    registry.is_up = False
    await until(lambda: loads.live.warning is not None)
    assert loads.version == "1"
    assert "cannot be resolved: nothing answers at http://mlflow" in str(loads.live.warning)
    registry.is_up = True
    await until(lambda: loads.live.warning is None)


async def test_without_mlflow_a_replica_starts_with_the_last_good(
    registry: Registry, settings: ServeSettings
) -> None:
    """The last good version on its disk."""
    registry.champion = 4
    await Loads(registry).live.configure(settings)
    registry.is_up = False
    loads = Loads(registry)
    await loads.live.configure(settings)
    assert loads.version == "4"
    assert "serving version 4, the last good one on this disk, because " in str(loads.live.warning)


@pytest.mark.parametrize(
    ("method", "error", "outcome"),
    [
        ("resolve", TrackingUnavailable("nothing answers"), "unreachable"),
        ("resolve", NotRegistered("digits has no alias champion"), "unavailable"),
        ("resolve", ModelRejected("version 2 has no tag onnx_sha256"), "unavailable"),
        ("fetch", TrackingUnavailable("nothing answers"), "unreachable"),
        ("fetch", OSError(errno.ENOSPC, "No space left on device"), "unavailable"),
        ("fetch", ModelRejected("its sha256 is another"), "rejected"),
    ],
)
async def test_the_outcome_of_a_load_says_whether_mlflow_answered(
    method: str,
    error: Exception,
    outcome: str,
    registry: Registry,
    settings: ServeSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Following the alias, and for a new user_config."""

    def fails(*_: object) -> None:
        raise error

    loads = Loads(registry)
    user_config = settings.model_dump() | {"alias_poll_s": 3600}
    await loads.live.reconfigure(user_config)
    registry.champion, registry.good = 2, None
    monkeypatch.setattr(registry, method, fails)
    await loads.live.reload()
    assert str(error) in str(loads.live.warning)
    assert loads.outcomes == ["loaded", outcome]
    await loads.live.reconfigure(user_config)
    of_config = "rejected" if isinstance(error, ModelRejected) else outcome
    assert loads.outcomes == ["loaded", outcome, of_config]


async def test_with_a_full_disk_a_replica_starts_with_the_last_good(
    registry: Registry, settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion cannot be fetched; with nothing on the disk the replica does not start."""

    def fetch(version: ModelVersion) -> Path:
        if version.version == "2":
            raise OSError(errno.ENOSPC, "No space left on device")
        return STARTER

    monkeypatch.setattr(registry, "fetch", fetch)
    registry.champion = 2
    with pytest.raises(OSError, match="No space left on device"):
        await Loads(registry).live.configure(settings)
    registry.good = ModelVersion("digits", "1", SHA256)
    loads = Loads(registry)
    await loads.live.configure(settings)
    assert loads.version == "1"
    assert loads.live.warning == (
        "serving version 1, the last good one on this disk, because the model cannot be fetched: "
        "[Errno 28] No space left on device"
    )


async def test_without_mlflow_and_cache_a_replica_does_not_start(
    registry: Registry, settings: ServeSettings
) -> None:
    registry.is_up = False
    with pytest.raises(TrackingUnavailable):
        await Loads(registry).live.configure(settings)


async def test_a_model_slower_than_its_budget_is_refused(registry: Registry, settings: ServeSettings) -> None:
    loads = Loads(registry)
    with pytest.raises(ModelRejected, match=r"a batch of 2 takes .* ms; batch_budget_ms allows 0.0001"):
        await loads.live.configure(settings.model_copy(update={"batch_budget_ms": 0.0001}))
    assert loads.live.classifier is None


async def test_a_bad_configuration_leaves_what_answers(registry: Registry, settings: ServeSettings) -> None:
    loads = Loads(registry)
    await loads.live.configure(settings)
    registry.champion, registry.bad = 2, {2}
    with pytest.raises(ModelRejected):
        await loads.live.configure(settings)
    assert loads.version == "1"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"max_batchsize": 8}, "unknown setting 'max_batchsize'; the nearest known one is 'max_batch_size'"),
        ({"max_batch_size": 0}, "max_batch_size: Input should be greater than or equal to 1, not 0"),
        ({}, "model_uri is missing"),
        ("models/starter", "settings are keys with values, not 'models/starter'"),
        ({"model_uri": "models/none"}, "no manifest.json in "),
    ],
)
async def test_a_wrong_user_config_is_reported_and_changes_nothing(wrong: Any, reason: str) -> None:
    """The first one raises instead: nothing answers yet."""
    user_config = wrong
    if isinstance(wrong, dict) and wrong:
        user_config = {"model_uri": "models/starter"} | wrong
    with pytest.raises(DigitsError, match=re.escape(reason)):
        await Loads().live.reconfigure(user_config)
    loads = Loads()
    await loads.live.reconfigure({"model_uri": "models/starter"})
    before = loads.live.classifier
    await loads.live.reconfigure(user_config)
    assert loads.live.classifier is before
    assert loads.live.config_is_rejected
    assert reason in str(loads.live.warning)
    await loads.live.reconfigure({"model_uri": "models/starter", "max_batch_size": 2})
    assert loads.live.warning is None
    assert loads.live.ready().settings.max_batch_size == 2


async def test_a_rejected_user_config_applies_once_its_model_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_model, "RETRY_S", 0.05)
    loads, folder = Loads(), tmp_path / "later"
    await loads.live.reconfigure({"model_uri": "models/starter"})
    await loads.live.reconfigure({"model_uri": str(folder)})
    assert loads.version == "starter"
    await until(lambda: loads.outcomes.count("rejected") > 2)
    shutil.copytree(STARTER, tmp_path / "copy")
    (tmp_path / "copy").rename(folder)
    await until(lambda: loads.version == "later")
    assert loads.live.warning is None
    assert not loads.live.config_is_rejected


async def test_a_folder_has_no_alias_to_follow() -> None:
    loads = Loads()
    with pytest.raises(NotReady):
        await loads.live.reload()
    await loads.live.configure(ServeSettings(model_uri="models/starter"))
    assert not await loads.live.reload()


async def test_a_model_that_misreads_or_hangs_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads, hang = Loads(), threading.Event()
    with pytest.raises(NotReady):
        await loads.live.check_health()
    await loads.live.configure(ServeSettings(model_uri="models/starter"))
    await loads.live.check_health()
    predict = DigitModel.predict
    monkeypatch.setattr(
        DigitModel, "predict", lambda self, images: predict(self, images)[:, CLASSES - 1 :: -1]
    )
    with pytest.raises(ModelRejected, match="the golden digit 0 is read as 9"):
        await loads.live.check_health()
    monkeypatch.setattr(classifier, "WEDGED_AFTER_S", 0.5)
    monkeypatch.setattr(classifier, "LONGEST_BATCH_S", 0.25)
    monkeypatch.setattr(DigitModel, "expected_seconds", lambda self, size: 1.0)
    monkeypatch.setattr(DigitModel, "predict", lambda self, images: hang.wait() and predict(self, images))
    with pytest.raises(Wedged, match=r"a golden digit was not answered in 0\.5 s"):
        await loads.live.check_health()
    with pytest.raises(Wedged, match="a batch has been running"):
        await loads.live.check_health()
    hang.set()


async def test_a_long_queue_that_moves_is_healthy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ending the replica would make the overload worse."""
    loads = Loads()
    await loads.live.configure(ServeSettings(model_uri="models/starter", max_batch_size=1))
    predict = DigitModel.predict

    def slowly(self: DigitModel, images: Images) -> Any:
        time.sleep(0.02)
        return predict(self, images)

    monkeypatch.setattr(classifier, "WEDGED_AFTER_S", 1.0)
    monkeypatch.setattr(DigitModel, "expected_seconds", lambda self, size: 1.0)
    monkeypatch.setattr(DigitModel, "predict", slowly)
    assert loads.live.classifier
    ahead = asyncio.ensure_future(loads.live.classifier.classify(np.zeros((100, 28, 28), np.uint8)))
    await asyncio.sleep(0)
    await loads.live.check_health()
    assert not ahead.done()
    await ahead
