"""The preprocessing's identity follows what comes out, and nothing else."""

import numpy as np
import pytest

from digits.task import Pixels
from digits.vision import identity
from digits.vision.identity import preprocessing_sha256

uncached = preprocessing_sha256.__wrapped__


def test_other_pixels_give_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: everything one pixel to the right."""
    read = identity.decode_image

    def moved(data: bytes) -> Pixels:
        return np.roll(read(data), 1, axis=1)

    monkeypatch.setattr(identity, "decode_image", moved)
    assert uncached() != preprocessing_sha256()


def test_one_grey_level_of_noise_keeps_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As another processor's rounding may give it."""
    read = identity.decode_image

    def noisy(data: bytes) -> Pixels:
        pixels = read(data).copy()
        pixels[14, 14] ^= 1
        return pixels

    monkeypatch.setattr(identity, "decode_image", noisy)
    assert uncached() == preprocessing_sha256()
