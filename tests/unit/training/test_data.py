"""Where training images come from, and what is said when they cannot."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.training.data import load, located

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
    "float images": ({"x_train": np.zeros((3, 28, 28))}, r"x_train of FILE is float64 \(3, 28, 28\); uint8"),
    "other size": ({"x_test": np.zeros((2, 32, 32), np.uint8)}, r"x_test of FILE is uint8 \(2, 32, 32\)"),
    "one image": ({"x_test": np.zeros((28, 28), np.uint8)}, r"x_test of FILE is uint8 \(28, 28\)"),
    "a number": ({"x_test": np.array(3, np.uint8)}, r"x_test of FILE is uint8 \(\)"),
    "no images": ({"x_test": np.zeros((0, 28, 28), np.uint8)}, "x_test of FILE .* n at least 1"),
    "missing labels": ({"y_train": np.array([1, 2])}, r"y_train of FILE is int64 \(2,\); one digit, 0 to 9"),
    "label of 10": ({"y_test": np.array([4, 10])}, "y_test of FILE holds 10; only the digits 0 to 9"),
    "label of -1": ({"y_test": np.array([-1, 4])}, "y_test of FILE holds -1; only the digits 0 to 9"),
    "half a label": ({"y_test": np.array([0.5, 4])}, "y_test of FILE holds 0.5; only the digits 0 to 9"),
    "no number": ({"y_test": np.array([np.nan, 4])}, "y_test of FILE holds nan; only the digits 0 to 9"),
    "words": ({"y_test": np.array(["4", "5"])}, r"y_test of FILE is <U1 \(2,\); one digit"),
    "one-hot labels": ({"y_test": np.eye(10)[:2]}, r"y_test of FILE is float64 \(2, 10\); one digit"),
    "pickled labels": ({"y_test": np.array([{}, 5], object)}, "FILE is damaged or .*allow_pickle=False"),
}


@pytest.mark.parametrize("name", BAD)
def test_arrays_that_do_not_fit_are_refused_by_name_with_what_is_allowed(tmp_path: Path, name: str) -> None:
    changes, message = BAD[name]
    file = npz(tmp_path, **changes)
    with pytest.raises(DataUnavailable, match=message.replace("FILE", re.escape(file))):
        load(file)


def alone(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def promising(shape: str) -> bytes:
    """An .npz file with a header of so many images, and none of them."""
    honest = alone(np.zeros((3, 28, 28), np.uint8)).replace(b"(3, 28, 28), }", f"{shape}, }}".encode())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x_train.npy", honest)
    return file.getvalue()


NO_NPZ = {
    "empty": b"",
    "text": b"label,pixel0,pixel1\n7,0,0\n",
    "a lone array": alone(GOOD["x_train"]),
    "a pickle": pickle.dumps(GOOD),
    "a zip file of something else": promising("(3, 28, 28)").replace(b"x_train", b"readmes"),
    "a header without its array": promising("(4, 28, 28)"),
    "a header of more than any machine has": promising("(9999999999, 28, 28)"),
}


@pytest.mark.parametrize("name", NO_NPZ)
def test_a_file_that_is_no_npz_file_is_named_with_what_would_be_one(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.npz"
    file.write_bytes(NO_NPZ[name])
    with pytest.raises(DataUnavailable, match=rf"{file} is damaged or not an \.npz file with x_train.*: ."):
        load(str(file))


def test_an_object_array_in_a_data_file_is_not_unpickled(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "was run",))

    payload = np.array([Payload(), 5], object)
    pickle.loads(pickle.dumps(payload))
    assert (tmp_path / "was run").exists(), "a payload that does not work proves nothing"
    (tmp_path / "was run").unlink()
    with pytest.raises(DataUnavailable):
        load(npz(tmp_path, y_test=payload))
    assert not (tmp_path / "was run").exists()


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    """Cut off, or with bytes of the middle overwritten: it loads with its own content or not at all."""
    whole = Path(npz(tmp_path))
    np.savez_compressed(whole, **GOOD)  # type: ignore[arg-type]
    digest, content, random = load(str(whole)).sha256, whole.read_bytes(), np.random.default_rng(1)
    refused = 0
    for turn in range(400):
        damaged = bytearray(content)
        place = int(random.integers(len(content)))
        if turn % 2:
            del damaged[place:]
        else:
            damaged[place : place + 4] = random.bytes(len(damaged[place : place + 4]))
        whole.write_bytes(damaged)
        try:
            assert load(str(whole)).sha256 == digest
        except DataUnavailable:
            refused += 1
    assert refused > 200


def test_a_missing_file_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="there is no file"):
        load(str(tmp_path / "none.npz"))


def test_a_relative_path_is_made_whole_for_workers() -> None:
    assert located("some.npz") == str(Path.cwd() / "some.npz")
    assert located("mnist") == "mnist"
