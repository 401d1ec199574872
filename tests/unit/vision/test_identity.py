"""The preprocessing's identity follows what comes out, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from digits.task import Pixels
from digits.vision import identity, reading
from digits.vision.candidates import Candidates

identify = identity.preprocessing_sha256.__wrapped__
KNOWN = identify()


def changed(pixels: Pixels) -> Pixels:
    """Everything one pixel to the right."""
    return np.roll(pixels, 1, axis=1)


def rounded_otherwise(pixels: Pixels) -> Pixels:
    """One grey level off in one place, as another processor may compute it."""
    copy = pixels.copy()
    copy[14, 14] ^= 1
    return copy


@pytest.mark.parametrize(("change", "is_same"), [(changed, False), (rounded_otherwise, True)])
def test_the_identity_follows_the_pixels(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Pixels], Pixels], is_same: bool
) -> None:
    def read(data: bytes, max_pixels: int) -> Candidates:
        found = reading.read_file(data, max_pixels)
        return Candidates([replace(item, pixels=change(item.pixels)) for item in found.items])

    monkeypatch.setattr(identity, "read_file", read)
    assert (identify() == KNOWN) is is_same
