"""multipart/form-data and application/x-www-form-urlencoded: the images among a form's fields."""

from collections.abc import Callable
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from digits.errors import BadInput

MALFORMED = BadInput(
    "body_malformed",
    "The form is incomplete, or its boundary is not the one in the Content-Type header; send it again",
)


def files_of(content_type: str, body: bytes, as_image: Callable[[bytes], bytes | None]) -> list[bytes]:
    """The images of a multipart form in their order: every file, and every other field that is an image.

    `as_image` returns the image file that a text field holds, or None: then the field is ignored, as is its
    name.  Raises BadInput for a broken form.
    """
    files: list[bytes] = []
    ends: list[None] = []

    def keep_file(file: File) -> None:
        file.file_object.seek(0)
        files.append(file.file_object.read())

    def keep_field(field: Field) -> None:
        # A part with filename*= but without filename= comes as a field, too.
        if (image := as_image(field.value or b"")) is not None:
            files.append(image)

    try:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        # The body is in memory already and its size is bounded: nothing is written to disk.
        config = {"MAX_MEMORY_FILE_SIZE": len(body) + 1}
        parser = FormParser(
            "multipart/form-data", keep_field, keep_file, lambda: ends.append(None), boundary, config=config
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise MALFORMED from error
    if not ends:
        raise MALFORMED
    return files


def values_of(body: bytes) -> list[bytes]:
    """The values of an urlencoded form; empty if it is none."""
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=64)
    except ValueError:
        return []
    # In a data URL that was not encoded, + is a base64 letter and not a space.
    return [value.replace(" ", "+").encode() for _, value in pairs]
