"""Items: the pictures of a request before they are read, and how one is read."""

from collections.abc import Sequence

import numpy as np

from digits.errors import BadInput
from digits.task import Pixels
from digits.vision.candidates import Candidates, exactly
from digits.vision.encoded import from_base64
from digits.vision.reader import are_ready, read_file, read_levels

Item = bytes | Pixels | BadInput  # an image file, levels of SHAPE, or why it is neither
Read = Candidates | BadInput


def check_count(count: int, max_images: int) -> None:
    """Raises BadInput for a request with more than `max_images` images."""
    if count > max_images:
        raise BadInput("too_many_images", f"The request holds {count} images; send at most {max_images}")


def item_in_text(text: str) -> Item:
    """Returns the image file that a text encodes as base64, or the error in its place in a list."""
    try:
        return from_base64(text.encode())
    except BadInput as error:
        return error


def read_item(item: Item, max_pixels: int) -> Read:
    """Returns the candidates of an item, or its error."""
    if isinstance(item, BadInput):
        return item
    try:
        return read_file(item, max_pixels) if isinstance(item, bytes) else read_levels(item)
    except BadInput as error:
        return error


def read_ready(items: Sequence[Item]) -> dict[int, Candidates]:
    """Returns the candidates of items that are already model images, by position, checked all at once."""
    places = [place for place, item in enumerate(items) if isinstance(item, np.ndarray)]
    if not places:
        return {}
    levels = np.array([items[place] for place in places])
    surely = are_ready(levels).tolist()
    return {
        place: exactly(image)
        for place, image, is_ready in zip(places, levels, surely, strict=True)
        if is_ready
    }
