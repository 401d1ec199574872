"""JSON bodies that a pydantic type describes; what is wrong with one is a problem that says where."""

from codecs import BOM_UTF8
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from digits.errors import BadInput

Content = TypeVar("Content")


def validated(kind: TypeAdapter[Content], body: bytes, skipped: int = 0) -> Content:
    """The content of a JSON body.  Raises BadInput for the first fault; `skipped` is that of `explain`."""
    try:
        return kind.validate_json(body.removeprefix(BOM_UTF8))  # Windows writes it
    except ValidationError as error:
        raise explain(error, skipped) from None


def explain(error: ValidationError, skipped: int = 0) -> BadInput:
    """The problem that names the first fault and where it is, without the first `skipped` steps to it."""
    first, *more = error.errors(include_url=False, include_input=False, include_context=False)
    if first["type"] == "json_invalid":
        return BadInput("body_malformed", first["msg"])
    place = ".".join(str(step) for step in first["loc"][skipped:])
    others = f" (and {len(more)} more errors)" if more else ""
    return BadInput("body_invalid", f"{place + ': ' if place else ''}{first['msg']}{others}")
