"""Where training images come from, and what is said when they cannot."""

from pathlib import Path

import numpy as np
import pytest

from digits.datasets import load, located
from digits.errors import DataUnavailable

GOOD = {
    "x_train": np.arange(3 * 784, dtype=np.uint8).reshape(3, 28, 28),
    "y_train": np.array([1, 2, 3]),
    "x_test": np.zeros((2, 28, 28), np.uint8),
    "y_test": np.array([4, 5]),
}


def npz(folder: Path, **changes: object) -> str:
    np.savez(folder / "mine.npz", **(GOOD | changes))  # type: ignore[arg-type]
    return str(folder / "mine.npz")


def test_a_file_laid_out_as_keras_mnist_is_read(tmp_path: Path) -> None:
    dataset = load(npz(tmp_path))
    assert dataset.name == "mine"
    assert np.array_equal(dataset.train_images, GOOD["x_train"])
    assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([1, 2, 3], [4, 5])


def test_the_digest_is_of_the_content_not_of_the_file(tmp_path: Path) -> None:
    first = load(npz(tmp_path)).sha256
    np.savez_compressed(tmp_path / "again.npz", **GOOD)  # type: ignore[arg-type]
    assert load(str(tmp_path / "again.npz")).sha256 == first
    assert load(npz(tmp_path, y_test=np.array([4, 6]))).sha256 != first


BAD: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "float images": ({"x_train": np.zeros((3, 28, 28))}, r"x_train of mine is float64 \(3, 28, 28\); uint8"),
    "other size": ({"x_test": np.zeros((2, 32, 32), np.uint8)}, r"x_test of mine is uint8 \(2, 32, 32\)"),
    "no images": ({"x_test": np.zeros((0, 28, 28), np.uint8)}, "x_test of mine"),
    "missing labels": (
        {"y_train": np.array([1, 2])},
        "y_train of mine must hold one digit, 0 to 9, for each of 3",
    ),
    "label of 10": ({"y_test": np.array([4, 10])}, "y_test of mine must hold one digit"),
    "pickled labels": ({"y_test": np.array([{}, 5], object)}, "damaged or not an .npz file"),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path: Path, name: str) -> None:
    changes, message = BAD[name]
    with pytest.raises(DataUnavailable, match=message):
        load(npz(tmp_path, **changes))


def test_a_damaged_file_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    file = Path(npz(tmp_path))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataUnavailable, match="damaged"):
        load(str(file))
    with pytest.raises(DataUnavailable, match="there is no file"):
        load(str(tmp_path / "none.npz"))


def test_a_relative_path_is_made_whole_for_workers() -> None:
    assert located("some.npz") == str(Path.cwd() / "some.npz")
    assert located("mnist") == "mnist"
