"""Labelled digits, from where they are to be had, checked before anything is trained on them."""

import hashlib
import zipfile
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
    """Fetched once into Keras' cache, ~/.keras/datasets; a file with another digest is not kept."""
    import keras

    try:
        return Path(keras.utils.get_file("mnist.npz", MNIST_URL, file_hash=MNIST_SHA256))
    except Exception as error:  # urllib's errors, and ValueError for a wrong digest
        raise DataUnavailable(
            f"MNIST cannot be downloaded from {MNIST_URL} ({error}); use {OTHERS}"
        ) from error


def _from_npz(name: str, file: Path) -> Dataset:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            parts = [arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")]
    except FileNotFoundError:
        raise DataUnavailable(f"there is no file {file}; use --data mnist, {OTHERS}") from None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataUnavailable(
            f"{file} is damaged or not an .npz file with x_train, y_train, x_test, y_test: {error}"
        ) from error
    return _checked(name, *parts)


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
    return _checked("sklearn-digits", images[~test], labels[~test], images[test], labels[test])


def _checked(name: str, *parts: NDArray[Any]) -> Dataset:
    """Training images and labels, test images and labels, if they are what they should be."""
    train_images, train_labels, test_images, test_labels = parts
    _check(name, "train", train_images, train_labels)
    _check(name, "test", test_images, test_labels)
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


def _check(name: str, part: str, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise DataUnavailable(
            f"x_{part} of {name} is {images.dtype} {images.shape}; uint8 (n, 28, 28) is needed"
        )
    if labels.shape != (len(images),) or not np.isin(labels, range(10)).all():
        raise DataUnavailable(
            f"y_{part} of {name} must hold one digit, 0 to 9, for each of {len(images)} images"
        )
