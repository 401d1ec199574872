"""Request bodies -> image files and grey levels.

Nothing is decoded here: an image file is still the bytes that were sent. An invalid request fails here or
when its images are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from digits.errors import BadInput
from digits.http import forms
from digits.http.schemas import PREDICT_BODY, ImageBody, ImagesBody, PixelsBody
from digits.inference.items import Item, check_count, item_in_text
from digits.protocols.json_bodies import validated
from digits.vision import levels
from digits.vision.encoded import from_base64, image_in, is_file_name
from digits.vision.formats import is_image_file, is_other_file

BYTES, FORM, TEXT = "application/octet-stream", "application/x-www-form-urlencoded", "text/plain"
# Content types that say nothing about the body: none, what curl --data-binary sends, "bytes".
UNSPECIFIC = {"", FORM, BYTES, TEXT}
# A whole file that begins so has zero bytes.
FILE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8")
ESCAPED_START = 64  # bytes of a percent-encoded file, enough for the signature of each format
READABLE = f"an image (image/png, image/jpeg, ...), multipart/form-data, application/json or {BYTES}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The images of a request. `many`: a list was sent, so a list is answered."""

    items: Sequence[Item]
    many: bool


def parse_body(content_type: str, body: bytes, max_images: int) -> Parsed:
    """Returns the images of a body. Raises BadInput if the request as a whole cannot be answered.

    In a list an invalid image becomes an error item; a request for one image fails as a whole.
    """
    if not body:
        raise BadInput("image_empty", f"The body is empty; send {READABLE}")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == FORM and body.startswith(FILE_STARTS) and b"\0" not in body:
        raise BadInput(
            "image_unreadable",
            "The file has lost its line breaks and zero bytes, as by `curl -d`; send it with --data-binary",
        )
    if is_image_file(body) and (media_type.startswith("image/") or media_type in UNSPECIFIC - {TEXT}):
        return Parsed([body], many=False)
    if media_type == BYTES and not is_other_file(body):
        return _list(levels.from_bytes(body), max_images)
    if media_type == BYTES or media_type.startswith("image/"):
        return Parsed([body], many=False)  # another kind: reading it gives an error with the allowed kinds
    if media_type in UNSPECIFIC:
        return Parsed([_from_text(media_type, body)], many=False)
    if media_type == "application/json":
        return _parse_json(body, max_images)
    if media_type == "multipart/form-data":
        files: list[Item] = [*forms.files_of(content_type, body, image_in, max_images)]
        if not files:
            raise BadInput(
                "body_invalid",
                "The form holds no image; send at least one image as a file, as with `curl -F image=@FILE`",
            )
        return Parsed(files, many=False) if len(files) == 1 else _list(files, max_images)
    raise BadInput(
        "content_type_unsupported", f"The content type {media_type[:80]!r} is not supported; send {READABLE}"
    )


def _from_text(media_type: str, body: bytes) -> bytes:
    """Returns the image of a body without a specific type: text, urlencoded form, or JSON by mistake."""
    if (image := image_in(body)) is not None:
        return image
    values = forms.values_of(body)
    if media_type == FORM and any(is_image_file(unquote_to_bytes(value[:ESCAPED_START])) for value in values):
        raise BadInput(
            "content_type_unsupported",
            "The form holds an image file as text; send it as multipart/form-data, as with "
            "`curl -F image=@FILE` or `requests.post(url, files={'image': file})`",
        )
    found = [image for value in values if (image := image_in(value)) is not None]
    if media_type == FORM and found:
        return found[0]
    if is_file_name(body):
        raise BadInput(
            "image_unsupported",
            "The body is the name of a file; send the bytes of the file, as with `curl --data-binary @FILE`",
        )
    if body.lstrip()[:1] in (b"{", b"["):
        raise BadInput(
            "content_type_unsupported",
            "The body looks like JSON; send it with the header `Content-Type: application/json`",
        )
    if media_type == TEXT:
        raise BadInput(
            "content_type_unsupported",
            f"The text is neither a data: URL nor base64 of an image; send {READABLE}",
        )
    return body  # reading it gives an error with the allowed kinds


def _parse_json(body: bytes, max_images: int) -> Parsed:
    if is_image_file(body):
        raise BadInput(
            "body_malformed",
            "The body is an image file, not JSON; send it with its own Content-Type, such as image/png",
        )
    # An error's place begins with the union's branch.
    match validated(PREDICT_BODY, body, max_images, skipped=1).root:
        case ImageBody(image=encoded):
            return Parsed([from_base64(encoded.encode())], many=False)
        case ImagesBody(images=encoded_images):
            check_count(len(encoded_images), max_images)
            return Parsed([_decoded(value) for value in encoded_images], many=True)
        case PixelsBody(pixels=numbers):
            items, many = levels.one_or_many(numbers)
            return _list(items, max_images) if many else Parsed(items, many=False)


def _decoded(value: Any) -> Item:
    if not isinstance(value, str):
        return BadInput("body_invalid", "Input should be a valid string")
    return item_in_text(value)


def _list(items: Sequence[Item], max_images: int) -> Parsed:
    check_count(len(items), max_images)
    return Parsed(items, many=True)
