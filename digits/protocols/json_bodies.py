"""JSON bodies described by a pydantic type; an error names the place of the mistake."""

from codecs import BOM_UTF8
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from digits.errors import BadInput
from digits.task import LEVELS, SIDE

PUNCTUATION = (b"[", b"{", b",", b":")  # one of them stands in front of each value and key
# For an image: a list for each row and each pixel, a comma for each level, and what a protocol adds.
MOST_OF_IMAGE = SIDE * (SIDE + 1) + LEVELS + 16
MOST_BESIDE_IMAGES = 10_000  # for parameters, and for the names of a table's columns
Content = TypeVar("Content")


def validated(kind: TypeAdapter[Content], body: bytes, max_images: int, skipped: int = 0) -> Content:
    """Returns the content of a JSON body. Raises BadInput for the first mistake.

    A body with more values than `max_images` images have is not parsed. The parser does not release the
    interpreter: millions of empty lists would stop the event loop for seconds. An error names its place in
    the body without the first `skipped` steps of the path.
    """
    most = max_images * MOST_OF_IMAGE + MOST_BESIDE_IMAGES
    if len(body) > most and sum(map(body.count, PUNCTUATION)) > most:
        raise BadInput(
            "too_many_images",
            f"The body holds more values than {max_images} images have; send at most {max_images} images",
        )
    try:
        return kind.validate_json(body.removeprefix(BOM_UTF8))  # Windows writes it
    except ValidationError as error:
        raise _explained(error, skipped) from None


def _explained(error: ValidationError, skipped: int) -> BadInput:
    """Returns a problem with the first mistake and its place."""
    first, *more = error.errors(include_url=False, include_input=False, include_context=False)
    if first["type"] == "json_invalid":
        return BadInput("body_malformed", first["msg"])
    place = ".".join(str(step) for step in first["loc"][skipped:])
    others = f" (and {len(more)} more errors)" if more else ""
    return BadInput("body_invalid", f"{place + ': ' if place else ''}{first['msg']}{others}")
