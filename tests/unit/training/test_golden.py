"""The golden images of a task are chosen from its test images."""

from pathlib import Path

import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.task import CLASSES, SIDE
from digits.training.data import Dataset
from digits.training.golden import choose_golden, write_golden
from digits.vision import golden
from digits.vision.golden import golden_digits

IMAGES, LABELS = golden_digits()


def dataset(images: np.ndarray, labels: np.ndarray) -> Dataset:
    return Dataset("mine", "ab" * 32, images, labels, images, labels)


def test_the_most_typical_image_of_each_label_is_chosen() -> None:
    """Faint ones may be typical too; one that is shifted or covered is not."""
    faint, shifted = IMAGES // 2, np.roll(IMAGES, 5, axis=2)
    images = np.concatenate([shifted, IMAGES, faint])
    chosen, labels = choose_golden(dataset(images, np.tile(LABELS, 3)))
    assert labels.tolist() == list(range(CLASSES))
    for image, label in zip(chosen, labels, strict=True):
        assert any(np.array_equal(image, wanted[label]) for wanted in (IMAGES, faint))


def test_a_label_without_a_test_image_is_named() -> None:
    with pytest.raises(DataUnavailable, match="no test image of mine shows 4; each label needs one"):
        choose_golden(dataset(IMAGES[:4], LABELS[:4]))


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.npz")
    write_golden(255 - IMAGES, LABELS)
    assert np.array_equal(golden_digits()[0], 255 - IMAGES)


def test_a_killed_writer_leaves_the_golden_images_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that runs reads them in each health check."""
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.npz")
    write_golden(IMAGES, LABELS)

    def torn(file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", torn)
    with pytest.raises(KeyboardInterrupt):
        write_golden(255 - IMAGES, LABELS)
    assert np.array_equal(golden_digits()[0], IMAGES)


def test_golden_images_of_another_task_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "FILE", tmp_path / "golden.npz")
    write_golden(np.zeros((5, 32, 32, 3), np.uint8), np.arange(5, dtype=np.uint8))
    wanted = (
        rf"are \(5, 32, 32, 3\), and the task needs \(10, {SIDE}, {SIDE}\).*digits golden --data FILE.npz"
    )
    with pytest.raises(DataUnavailable, match=wanted):
        golden_digits()
