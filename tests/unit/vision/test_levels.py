"""Levels in JSON: no more of a list is looked at than a request may have images."""

from typing import Any

import pytest

from digits.errors import BadInput
from digits.task import SHAPE
from digits.vision import levels
from digits.vision.golden import golden_digits
from digits.vision.levels import MOST_IMAGES, one_or_many

IMAGE = golden_digits()[0][7].tolist()


@pytest.mark.parametrize("has_image", [True, False])
def test_a_list_is_read_as_far_as_images_are_allowed(
    has_image: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 MB hold five million lists; each that is read as an image costs some microseconds."""
    asked: list[Any] = []
    flattened = levels.flattened

    def counted(value: Any) -> Any:
        asked.append(value)
        return flattened(value)

    monkeypatch.setattr(levels, "flattened", counted)
    sent = [*([IMAGE] if has_image else [[1, 2]]), *([[1]] * 50_000)]
    if has_image:
        items, many = one_or_many(sent)
        assert many
        assert len(items) == MOST_IMAGES + 1  # too many of them, whatever the setting
        assert items[0].shape == SHAPE  # type: ignore[union-attr]
        assert isinstance(items[1], BadInput)
    else:
        with pytest.raises(BadInput, match="rows of different lengths"):
            one_or_many(sent)
    assert len(asked) <= 2 * MOST_IMAGES + 4
