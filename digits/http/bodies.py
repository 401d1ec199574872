"""Request bodies -> pixels.  All that can fail for one request fails here, before the queue."""

import base64
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from digits.errors import BadInput
from digits.http.schemas import PREDICT_BODY, ImageBody, ImagesBody, PixelsBody, PixelsListBody, explain
from digits.task import PIXELS, SIDE, Pixels
from digits.vision.decoding import MAX_PIXELS, decode_image, is_image_file
from digits.vision.normalising import are_surely_mnist_like, normalise

DATA_URL = re.compile(r"data:[^,]{0,100};base64,", re.ASCII | re.IGNORECASE)
BYTES = "application/octet-stream"
# Content types that say nothing about the body: none, what curl --data-binary sends, "bytes".
UNSPECIFIC = {"", "application/x-www-form-urlencoded", BYTES}
# A request may hold this many images of MAX_PIXELS, or more of fewer pixels: 256 of that size would take 15 s
# of CPU to decode, and deflate packs them into 4 MB.
LARGE_IMAGES = 8
READABLE = f"an image (image/png, image/jpeg, ...), multipart/form-data, application/json or {BYTES}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The images of a request, or why one cannot be read.  `many`: a list was sent, so a list is answered."""

    items: Sequence[Pixels | BadInput]
    many: bool


def parse_body(content_type: str, body: bytes, max_images: int) -> Parsed:
    """Raises BadInput if the request as a whole cannot be answered.

    In a list an image that cannot be read is an item; a request for one image fails as a whole.
    """
    if not body:
        raise BadInput("image_empty", f"The body is empty; send {READABLE}")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == BYTES and not is_image_file(body):
        return _parse_levels(body, max_images)
    if media_type.startswith("image/") or media_type in UNSPECIFIC:
        return Parsed([decode_image(body)], many=False)
    if media_type == "application/json":
        return _parse_json(body, max_images)
    if media_type == "multipart/form-data":
        return _parse_form(content_type, body, max_images)
    raise BadInput(
        "content_type_unsupported", f"The content type {media_type[:80]!r} is not supported; send {READABLE}"
    )


def _parse_json(body: bytes, max_images: int) -> Parsed:
    try:
        content = PREDICT_BODY.validate_json(body.removeprefix(BOM_UTF8)).root  # Windows writes it
    except ValidationError as error:
        raise explain(error) from None
    match content:
        case ImageBody(image=encoded):
            return Parsed([_read_base64(encoded)], many=False)
        case ImagesBody(images=encoded_images):
            read = partial(_read_base64, max_pixels=_share(encoded_images))
            return Parsed(_each(read, encoded_images, max_images), many=True)
        case PixelsListBody(pixels=images):
            return Parsed(_each(_read_numbers, images, max_images), many=True)
        case PixelsBody(pixels=numbers):
            return Parsed([_read_numbers(numbers)], many=False)


def _parse_levels(body: bytes, max_images: int) -> Parsed:
    """Images one after another, PIXELS bytes each, one per grey level; always a list."""
    count, rest = divmod(len(body), PIXELS)
    if rest:
        raise BadInput(
            "body_invalid",
            f"The body has {len(body)} bytes; send an image file, or {PIXELS} bytes for each image",
        )
    images = np.frombuffer(body, np.uint8).reshape(count, SIDE, SIDE)
    _check_count(images, max_images)
    ready = are_surely_mnist_like(images).tolist()
    return Parsed(
        [
            image if done else _read_or_error(normalise, image)
            for image, done in zip(images, ready, strict=True)
        ],
        many=True,
    )


def _parse_form(content_type: str, body: bytes, max_images: int) -> Parsed:
    """Every file of the form is an image, under any field name."""
    malformed = BadInput(
        "body_malformed",
        "The form is incomplete, or its boundary is not the one in the Content-Type header; send it again",
    )
    files: list[bytes] = []
    ends: list[None] = []

    def keep(file: File) -> None:
        file.file_object.seek(0)
        files.append(file.file_object.read())

    def refuse(field: Field) -> None:
        name = (field.field_name or b"").decode(errors="replace")[:80]
        raise BadInput("body_invalid", f"The form field {name!r} is not a file; send images as files")

    try:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        # The body is in memory already and its size is bounded: nothing is written to disk.
        config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
        parser = FormParser(
            "multipart/form-data", refuse, keep, lambda: ends.append(None), boundary, config=config
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise malformed from error
    if not ends:
        raise malformed
    if not files:
        raise BadInput("body_invalid", "The form holds no file; send at least one image as a file")
    if len(files) == 1:
        return Parsed([decode_image(files[0])], many=False)
    return Parsed(_each(partial(decode_image, max_pixels=_share(files)), files, max_images), many=True)


def _each(read: Callable[[Any], Pixels], values: Sequence[Any], max_images: int) -> list[Pixels | BadInput]:
    _check_count(values, max_images)
    return [_read_or_error(read, value) for value in values]


def _share(images: Sized) -> int:
    """How many pixels each image of a list may have."""
    return min(MAX_PIXELS, LARGE_IMAGES * MAX_PIXELS // len(images))


def _check_count(images: Sized, max_images: int) -> None:
    if len(images) > max_images:
        raise BadInput(
            "too_many_images", f"The request holds {len(images)} images; send at most {max_images}"
        )


def _read_or_error(read: Callable[[Any], Pixels], value: Any) -> Pixels | BadInput:
    if isinstance(value, BadInput):
        return value
    try:
        return read(value)
    except BadInput as error:
        return error


def _read_base64(text: str, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Standard base64 with or without a data: URL prefix; line breaks are allowed."""
    start = match.end() if (match := DATA_URL.match(text)) else 0
    try:
        data = base64.b64decode("".join(text[start:].split()), validate=True)
    except ValueError as error:
        raise BadInput(
            "image_unreadable", "The image is not valid base64; encode it as RFC 4648 says, with padding"
        ) from error
    return decode_image(data, max_pixels)


def _read_numbers(numbers: list[float] | list[list[float]]) -> Pixels:
    """PIXELS grey levels, flat or in rows, which the schema has validated."""
    levels: NDArray[np.float64] = np.array(numbers, np.float64).reshape(SIDE, SIDE)
    if 0 < levels.max() <= 1 and (levels % 1).any():
        raise BadInput("body_invalid", "The grey levels run from 0 to 1; send them as 0 to 255")
    return normalise(np.rint(levels).astype(np.uint8))
