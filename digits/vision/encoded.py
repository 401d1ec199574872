"""Image files that are sent as text: base64 and data: URLs."""

import base64
import re

from digits.errors import BadInput
from digits.vision.formats import is_image_file

DATA_URL = re.compile(rb"data:[^,]{0,100};base64,", re.ASCII | re.IGNORECASE)
WHITE_SPACE = b" \t\n\r\v\f"
# No two repeated parts take the same bytes: at a long run of spaces a search would try every way to share it.
BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+(?:={1,2}\s*)?")


def image_in(text: bytes) -> bytes | None:
    """Returns the image file that the bytes are or encode (base64 or data: URL), else None."""
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
    """Returns decoded standard base64, with or without a data: URL prefix; line breaks are allowed."""
    start = match.end() if (match := DATA_URL.match(text)) else 0
    try:
        return base64.b64decode(text[start:].translate(None, WHITE_SPACE), validate=True)
    except ValueError as error:
        raise BadInput(
            "image_unreadable",
            "The image is not valid base64; use the standard alphabet (not base64url) with padding",
        ) from error
