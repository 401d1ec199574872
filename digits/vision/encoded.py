"""Image files that are sent as text: base64 and data: URLs."""

import base64
import re

from digits.errors import BadInput
from digits.vision.decoding import is_image_file

DATA_URL = re.compile(rb"data:[^,]{0,100};base64,", re.ASCII | re.IGNORECASE)
BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")


def image_in(text: bytes) -> bytes | None:
    """The image file that these bytes are, or that they encode as base64 or a data: URL; else None."""
    if is_image_file(text):
        return text
    if not (DATA_URL.match(text) or BASE64.fullmatch(text)):
        return None
    try:
        data = from_base64(text)
    except BadInput:
        return None
    return data if is_image_file(data) else None


def from_base64(text: bytes) -> bytes:
    """Standard base64 with or without a data: URL prefix; line breaks are allowed."""
    start = match.end() if (match := DATA_URL.match(text)) else 0
    try:
        return base64.b64decode(b"".join(text[start:].split()), validate=True)
    except ValueError as error:
        raise BadInput(
            "image_unreadable",
            "The image is not valid base64; use the standard alphabet (not base64url) with padding",
        ) from error
