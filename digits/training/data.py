"""Labelled digits, from where they are to be had, checked before anything is trained on them."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import DataUnavailable

# The file that keras.datasets.mnist downloads, and its digest there (keras/src/datasets/mnist.py).
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
NAMED = ("mnist", "sklearn-digits")
KEYS = ("x_train", "y_train", "x_test", "y_test")
# What NumPy and the zip and deflate readers below it raise for bytes that are no .npz file, or one no more.
# MemoryError: a header may promise more than any machine has.
UNREADABLE = (
    KeyError, ValueError, OSError, EOFError, MemoryError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
OTHERS = "--data FILE.npz (x_train, y_train, x_test, y_test as Keras has them) or --data sklearn-digits"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Images are (n, 28, 28) uint8, light digits on black; labels are (n,) uint8 from 0 to 9."""

    name: str
    sha256: str  # of the arrays, whatever file they came in
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def located(source: str) -> str:
    """The source as workers understand it, whose current folder is not the driver's."""
    return source if source in NAMED else str(Path(source).resolve())


def load(source: str) -> Dataset:
    """`mnist`, `sklearn-digits`, or the path of an .npz file.  Raises DataUnavailable."""
    if source == "mnist":
        return _from_npz("mnist", _download_mnist())
    if source == "sklearn-digits":
        return _sklearn_digits()
    return _from_npz(Path(source).stem, Path(source))


def _download_mnist() -> Path:
    """Fetched once into Keras' cache, ~/.keras/datasets; a file with another digest is fetched again."""
    import keras

    try:
        return Path(keras.utils.get_file("mnist.npz", MNIST_URL, file_hash=MNIST_SHA256))
    except Exception as error:  # urllib's errors, and ValueError for a wrong digest
        raise DataUnavailable(
            f"MNIST cannot be downloaded from {MNIST_URL} ({error}); use {OTHERS}"
        ) from error


def _from_npz(name: str, file: Path) -> Dataset:
    try:
        with file.open("rb") as content:
            if not zipfile.is_zipfile(content):  # of a text np.load would say that it is a pickle
                raise zipfile.BadZipFile("it is no zip file")
            content.seek(0)
            with np.load(content, allow_pickle=False) as arrays:
                parts = [arrays[key] for key in KEYS]
    except FileNotFoundError:
        raise DataUnavailable(f"there is no file {file}; use --data mnist, {OTHERS}") from None
    except UNREADABLE as error:
        raise DataUnavailable(
            f"{file} is damaged or not an .npz file with {', '.join(KEYS)}: {error or type(error).__name__}; "
            f"use --data mnist, {OTHERS}"
        ) from error
    return _checked(name, str(file), *parts)


def _sklearn_digits() -> Dataset:
    """scikit-learn's 1,797 digits (8x8, 0 to 16) at MNIST's size; every fifth is for testing."""
    from PIL import Image
    from sklearn.datasets import load_digits

    small, labels = load_digits(return_X_y=True)
    images = np.zeros((len(small), 28, 28), np.uint8)
    for image, levels in zip(images, small.reshape(-1, 8, 8), strict=True):
        scaled = Image.fromarray((levels * 255 / 16).astype(np.uint8)).resize(
            (20, 20), Image.Resampling.BICUBIC
        )
        image[4:24, 4:24] = np.asarray(scaled)
    test = np.arange(len(images)) % 5 == 0
    labels = labels.astype(np.uint8)
    return _checked(
        "sklearn-digits", "scikit-learn", images[~test], labels[~test], images[test], labels[test]
    )


def _checked(name: str, source: str, *parts: NDArray[Any]) -> Dataset:
    """Training images and labels, test images and labels, if they are what they should be."""
    train_images, train_labels, test_images, test_labels = parts
    _check(source, "train", train_images, train_labels)
    _check(source, "test", test_images, test_labels)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part.astype(np.uint8)).tobytes())
    return Dataset(
        name=name,
        sha256=digest.hexdigest(),
        train_images=train_images,
        train_labels=train_labels.astype(np.uint8),
        test_images=test_images,
        test_labels=test_labels.astype(np.uint8),
    )


def _check(source: str, part: str, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise DataUnavailable(
            f"x_{part} of {source} is {images.dtype} {images.shape}; "
            "uint8 (n, 28, 28) is needed, n at least 1"
        )
    if labels.shape != (len(images),) or labels.dtype.kind not in "iuf":
        raise DataUnavailable(
            f"y_{part} of {source} is {labels.dtype} {labels.shape}; one digit, 0 to 9, "
            f"is needed for each of {len(images)} images"
        )
    others = np.setdiff1d(labels, range(10))
    if len(others):
        raise DataUnavailable(f"y_{part} of {source} holds {others[0]}; only the digits 0 to 9 are allowed")
