"""Labelled images from MNIST, scikit-learn or a file, checked before training."""

import hashlib
import logging
import os
import tempfile
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable
from digits.task import LABELS, NUMBERS, SHAPE, SIDE, Images

log = logging.getLogger(__name__)

# The file that Keras downloads, and its digest there (keras/src/datasets/mnist.py).
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
DOWNLOAD_TIMEOUT_S = 60.0  # seconds without data on the connection
NAMED = ("mnist", "sklearn-digits")
KEYS = ("x_train", "y_train", "x_test", "y_test")
# Raised by NumPy, and by the zip and deflate readers below it, for a file that is damaged or no .npz file.
# MemoryError: a damaged header may announce more data than fits in memory.
UNREADABLE = (
    KeyError, ValueError, OSError, EOFError, MemoryError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
ALTERNATIVES = f"--data FILE.npz ({', '.join(KEYS)}, as in Keras' mnist.npz) or --data sklearn-digits"
SKLEARN_MARGIN = 4  # blank pixels on each side, as in MNIST


class TrainingData(Protocol):
    """The data of any training; the training images may be in memory or streamed."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def train_count(self) -> int: ...

    @property
    def test_count(self) -> int: ...

    @property
    def test_images(self) -> Images: ...

    @property
    def test_labels(self) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data in memory: images (n, *SHAPE) uint8; labels (n,) uint8, positions in `task.LABELS`."""

    name: str
    sha256: str  # hash of the arrays, so the same for every file that contains them
    train_images: Images
    train_labels: NDArray[np.uint8]
    test_images: Images
    test_labels: NDArray[np.uint8]

    @property
    def train_count(self) -> int:
        return len(self.train_images)

    @property
    def test_count(self) -> int:
        return len(self.test_images)


def absolute_source(source: str) -> str:
    """Returns the source with its path made absolute: workers run in another folder than the driver."""
    return source if source in NAMED or "://" in source else str(Path(source).resolve())


def source_address(source: str) -> str:
    """Returns the origin of an absolute source: a web address, a package or a file."""
    return {"mnist": MNIST_URL, "sklearn-digits": "pkg:scikit-learn/load_digits"}.get(
        source, source if "://" in source else f"file://{source}"
    )


def load(source: str) -> Dataset:
    """Returns `mnist`, `sklearn-digits`, or the data of an .npz file.  Raises DataUnavailable."""
    if source == "mnist":
        return _from_npz("mnist", _download_mnist())
    if source == "sklearn-digits":
        return _sklearn_digits()
    if "://" in source or Path(source).is_dir():
        raise DataUnavailable(
            f"{source} is {'an address' if '://' in source else 'a folder'}, but arrays in a file are needed "
            f"here; use --data mnist, {ALTERNATIVES}"
        )
    return _from_npz(Path(source).stem, Path(source))


def _download_mnist() -> Path:
    """Returns mnist.npz in Keras' cache folder; downloads it if it is missing or its SHA-256 differs."""
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"
    try:
        if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == MNIST_SHA256:
            return file
        file.parent.mkdir(parents=True, exist_ok=True)
        log.info("downloading url=%s file=%s", MNIST_URL, file)
        with urllib.request.urlopen(MNIST_URL, timeout=DOWNLOAD_TIMEOUT_S) as response:
            content = response.read()
        digest = hashlib.sha256(content).hexdigest()
        if digest != MNIST_SHA256:
            raise ValueError(f"the content has sha256 {digest}, expected {MNIST_SHA256}")
        with tempfile.TemporaryDirectory(dir=file.parent) as partial:  # several workers may download at once
            (Path(partial) / file.name).write_bytes(content)
            (Path(partial) / file.name).replace(file)
    except (OSError, HTTPException, ValueError) as error:
        raise DataUnavailable(
            f"MNIST cannot be downloaded from {MNIST_URL} ({error}); use {ALTERNATIVES}"
        ) from error
    return file


def _from_npz(name: str, file: Path) -> Dataset:
    try:
        with file.open("rb") as content:
            if not zipfile.is_zipfile(content):  # np.load would call any other file a pickle
                raise zipfile.BadZipFile("not a zip file")
            content.seek(0)
            with np.load(content, allow_pickle=False) as arrays:
                parts = [arrays[key] for key in KEYS]
    except FileNotFoundError:
        raise DataUnavailable(f"there is no file {file}; use --data mnist, {ALTERNATIVES}") from None
    except UNREADABLE as error:
        raise DataUnavailable(
            f"{file} is damaged or not an .npz file with {', '.join(KEYS)}: {error or type(error).__name__}; "
            f"use --data mnist, {ALTERNATIVES}"
        ) from error
    return _checked(name, str(file), *parts)


def _sklearn_digits() -> Dataset:
    """Returns scikit-learn's 1,797 digits (8x8, 0 to 16) enlarged to SIDE; every fifth is a test image."""
    from PIL import Image
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    images = np.zeros((len(small), SIDE, SIDE), np.uint8)
    inner = slice(SKLEARN_MARGIN, SIDE - SKLEARN_MARGIN)
    size = (SIDE - 2 * SKLEARN_MARGIN,) * 2
    for image, levels in zip(images, small.reshape(-1, 8, 8), strict=True):
        scaled = Image.fromarray((levels * 255 / 16).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        image[inner, inner] = np.asarray(scaled)
    test = np.arange(len(images)) % 5 == 0
    labels = labels.astype(np.uint8)
    return _checked(
        "sklearn-digits", "scikit-learn", images[~test], labels[~test], images[test], labels[test]
    )


def _checked(name: str, source: str, *parts: NDArray[Any]) -> Dataset:
    """Returns the dataset of these arrays: training images and labels, test images and labels."""
    train_images, train_labels, test_images, test_labels = parts
    arrays = (
        _checked_images(source, "train", train_images),
        _label_positions(source, "train", train_labels, len(train_images)),
        _checked_images(source, "test", test_images),
        _label_positions(source, "test", test_labels, len(test_images)),
    )
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return Dataset(name, digest.hexdigest(), *arrays)


def _checked_images(source: str, part: str, images: NDArray[Any]) -> Images:
    if images.dtype != np.uint8 or images.shape[1:] != SHAPE or not len(images):
        raise DataUnavailable(
            f"x_{part} of {source} is {images.dtype} {images.shape}; "
            f"uint8 (n, {', '.join(map(str, SHAPE))}) is needed, n at least 1"
        )
    return images


def _label_positions(source: str, part: str, labels: NDArray[Any], count: int) -> NDArray[np.uint8]:
    """Returns for each label its position in LABELS, which is also the network's output for it."""
    allowed: NDArray[Any] = np.array(LABELS if labels.dtype.kind == "U" else NUMBERS)
    choices = ", ".join(map(str, allowed))
    if labels.shape != (count,) or labels.dtype.kind not in "iufU":
        raise DataUnavailable(
            f"y_{part} of {source} is {labels.dtype} {labels.shape}; one label for each of {count} images "
            f"is needed, each one of {choices}"
        )
    others = np.setdiff1d(labels, allowed)
    if len(others):
        raise DataUnavailable(f"y_{part} of {source} holds {others[0]}; allowed labels are {choices}")
    order = np.argsort(allowed)
    return order[np.searchsorted(allowed, labels, sorter=order)].astype(np.uint8)
