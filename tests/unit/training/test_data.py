"""Training data is read, checked and, if it is unusable, named with the data that can be used instead."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.task import LEVELS, SIDE
from digits.training import data
from digits.training.data import absolute_source, load

GOOD = {
    "x_train": np.arange(3 * LEVELS, dtype=np.uint8).reshape(3, SIDE, SIDE),
    "y_train": np.array([1, 2, 3]),
    "x_test": np.zeros((2, SIDE, SIDE), np.uint8),
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


def test_the_sha256_depends_on_the_arrays_alone(tmp_path: Path) -> None:
    """Two files with the same arrays, one compressed, have the same sha256."""
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
    "missing labels": (
        {"y_train": np.array([1, 2])},
        r"y_train of FILE is int64 \(2,\); one label for each of 3 .* 0, 1, .* 9",
    ),
    "label of 10": (
        {"y_test": np.array([4, 10])},
        "y_test of FILE holds 10; allowed labels are 0, 1, .* 8, 9",
    ),
    "label of -1": (
        {"y_test": np.array([-1, 4])},
        "y_test of FILE holds -1; allowed labels are 0, 1, .* 8, 9",
    ),
    "half a label": (
        {"y_test": np.array([0.5, 4])},
        "y_test of FILE holds 0.5; allowed labels are 0, 1, .* 8, 9",
    ),
    "no number": (
        {"y_test": np.array([np.nan, 4])},
        "y_test of FILE holds nan; allowed labels are 0, 1, .* 8, 9",
    ),
    "words": (
        {"y_test": np.array(["4", "five"])},
        "y_test of FILE holds five; allowed labels are 0, 1, .* 8, 9",
    ),
    "one-hot labels": ({"y_test": np.eye(10)[:2]}, r"y_test of FILE is float64 \(2, 10\); one label"),
    "pickled labels": ({"y_test": np.array([{}, 5], object)}, "FILE is damaged or .*allow_pickle=False"),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid_arrays_are_rejected_by_name(tmp_path: Path, name: str) -> None:
    """The message names the array, what it is and what is allowed."""
    changes, message = BAD[name]
    file = npz(tmp_path, **changes)
    with pytest.raises(DataUnavailable, match=message.replace("FILE", re.escape(file))):
        load(file)


@pytest.mark.parametrize("source", ["FOLDER", "s3://bucket/digits", "https://host/mine.npz"])
def test_data_that_only_a_training_streams_is_named(tmp_path: Path, source: str) -> None:
    """Other commands need the arrays in memory; the message does not call the data damaged or missing."""
    given = absolute_source(source.replace("FOLDER", str(tmp_path)))
    with pytest.raises(DataUnavailable) as raised:
        load(given)
    what = "a folder" if source == "FOLDER" else "an address"
    assert str(raised.value).startswith(f"{given} is {what}, but arrays in a file are needed here; ")
    assert "FILE.npz" in str(raised.value)


def npy(array: np.ndarray) -> bytes:
    """Returns the content of an .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz_with_header(shape: str) -> bytes:
    """Returns an .npz file of 3 images whose header announces another shape."""
    header = npy(np.zeros((3, 28, 28), np.uint8)).replace(b"(3, 28, 28), }", f"{shape}, }}".encode())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x_train.npy", header)
    return file.getvalue()


NOT_NPZ = {
    "empty": b"",
    "text": b"label,pixel0,pixel1\n7,0,0\n",
    "a lone array": npy(GOOD["x_train"]),
    "a pickle": pickle.dumps(GOOD),
    "a zip file with another entry": npz_with_header("(3, 28, 28)").replace(b"x_train", b"readmes"),
    "a header without its array": npz_with_header("(4, 28, 28)"),
    "a header of more than any machine has": npz_with_header("(9999999999, 28, 28)"),
}


@pytest.mark.parametrize("name", NOT_NPZ)
def test_a_file_that_is_not_npz_is_rejected(tmp_path: Path, name: str) -> None:
    """The message names the file and the arrays that an .npz file must hold."""
    file = tmp_path / "mine.npz"
    file.write_bytes(NOT_NPZ[name])
    with pytest.raises(DataUnavailable, match=rf"{file} is damaged or not an \.npz file with x_train.*: ."):
        load(str(file))


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "was run",))

    payload = np.array([Payload(), 5], object)
    pickle.loads(pickle.dumps(payload))
    assert (tmp_path / "was run").exists(), "the payload must work, or the test proves nothing"
    (tmp_path / "was run").unlink()
    with pytest.raises(DataUnavailable):
        load(npz(tmp_path, y_test=payload))
    assert not (tmp_path / "was run").exists()


def test_a_file_damaged_anywhere_is_rejected(tmp_path: Path) -> None:
    """Truncated, or with overwritten bytes, a file loads with its original content or not at all."""
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


def test_a_missing_file_has_its_own_message(tmp_path: Path) -> None:
    """It is not reported as a damaged file."""
    with pytest.raises(DataUnavailable, match="there is no file"):
        load(str(tmp_path / "none.npz"))


def test_a_relative_path_becomes_absolute() -> None:
    """Workers run in another folder than the driver."""
    assert absolute_source("some.npz") == str(Path.cwd() / "some.npz")
    assert absolute_source("mnist") == "mnist"


def test_labels_become_positions_in_the_label_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another label set, not sorted and not from 0: the network has one output for each position."""
    monkeypatch.setattr(data, "NUMBERS", (30, 10, 20))
    dataset = load(npz(tmp_path, y_train=np.array([10, 20, 30]), y_test=np.array([20, 10])))
    assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([1, 2, 0], [2, 1])
    monkeypatch.setattr(data, "LABELS", ("shoe", "coat", "bag"))
    named = load(npz(tmp_path, y_train=np.array(["coat", "bag", "shoe"]), y_test=np.array(["bag", "coat"])))
    assert (named.train_labels.tolist(), named.test_labels.tolist()) == ([1, 2, 0], [2, 1])
