"""Image files that are sent as text: base64 and data: URLs."""

import base64
import re

from digits.errors import BadInput
from digits.vision.formats import SUFFIXES, is_image_file

DATA_URL = re.compile(rb"data:[^,]{0,100};base64,", re.ASCII | re.IGNORECASE)
WHITE_SPACE = b" \t\n\r\v\f"
# No two repeated parts take the same bytes: at a long run of spaces a search would try every way to share it.
BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+(?:={1,2}\s*)?")

ADDRESS = re.compile(rb"[a-z][a-z0-9+.-]{0,20}:", re.IGNORECASE)
NOT_BASE64 = "The image is not valid base64; use the standard alphabet (not base64url) with padding"
MOST_NAME_BYTES = 4096  # PATH_MAX of Linux
FILE_ENDS = tuple(suffix.encode() for suffix in SUFFIXES)


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


def is_file_name(text: bytes) -> bool:
    """Returns whether the text ends like the name of an image file, and is as short as a name."""
    return len(text) < MOST_NAME_BYTES and text.strip().lower().endswith(FILE_ENDS)


def from_base64(text: bytes) -> bytes:
    """Returns decoded standard base64, with or without a data: URL prefix; line breaks are allowed."""
    start = match.end() if (match := DATA_URL.match(text)) else 0
    try:
        return base64.b64decode(text[start:].translate(None, WHITE_SPACE), validate=True)
    except ValueError as error:
        raise BadInput("image_unreadable", _why_not_base64(text)) from error


def _why_not_base64(text: bytes) -> str:
    """Returns what is probably wrong with a text that is not base64, and what to send."""
    start = text[:MOST_NAME_BYTES].strip()
    if start[:5].lower() == b"data:":
        if DATA_URL.match(text):
            return NOT_BASE64
        return "The data: URL is not base64; send data:image/png;base64, followed by the base64 of the file"
    if ADDRESS.match(start):
        return "The service fetches no addresses; send the base64 of the image file itself"
    if start[:2] in (b"b'", b'b"'):
        return "The text is Python's notation for bytes; send base64.b64encode(data).decode() instead"
    if is_file_name(text):
        return "The service reads no files by their names; send the base64 of the image file itself"
    return NOT_BASE64
