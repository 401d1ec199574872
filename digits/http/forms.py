"""multipart/form-data and application/x-www-form-urlencoded: the images among a form's fields."""

import logging
from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from digits.errors import BadInput

MOST_FIELDS = 4096  # that are no images; the parser needs 13 us for each part
MOST_VALUES = 64  # of an urlencoded form
SIGNS = b"+/=:;, \r\n"  # what base64 and data: URLs hold beside letters and digits
MALFORMED = BadInput(
    "body_malformed",
    "The form is incomplete, or its boundary is not the one in the Content-Type header; send it again",
)


def files_of(
    content_type: str, body: bytes, as_image: Callable[[bytes], bytes | None], max_images: int
) -> list[bytes]:
    """Returns the images of a multipart form in order: every file, and every other field that is an image.

    `as_image` returns the image file in a text field, or None; then the field is ignored. Field names are
    ignored too. Raises BadInput for a malformed form, and at the first image above `max_images`.
    """
    files: list[bytes] = []
    others: list[None] = []
    ends: list[None] = []

    def keep(image: bytes) -> None:
        files.append(image)
        if len(files) > max_images:
            raise BadInput(
                "too_many_images", f"The form holds more than {max_images} images; send at most {max_images}"
            )

    def keep_file(file: File) -> None:
        file.file_object.seek(0)
        keep(file.file_object.read())

    def keep_field(field: Field) -> None:
        # A part with filename*= but without filename= comes as a field, too.
        if (image := as_image(field.value or b"")) is not None:
            keep(image)
            return
        others.append(None)
        if len(others) > MOST_FIELDS:
            raise BadInput(
                "body_invalid",
                f"The form has more than {MOST_FIELDS:,} fields that are no image; leave them out",
            )

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


def silence_parser() -> None:
    """Disables the parser's warnings: they hold what clients send, up to 16 kB for each part of a form."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def values_of(body: bytes) -> list[bytes]:
    """Returns the values of an urlencoded form with decoded SIGNS; an empty list if it has MOST_VALUES.

    urllib makes an object of each escape: 16 MB of them took 2 s and 300 MB. `+` stays: in a data: URL that
    was not encoded it is a letter of base64.
    """
    if body.count(b"&") >= MOST_VALUES:
        return []
    values = [pair.partition(b"=")[2] for pair in body.split(b"&")]
    for sign in SIGNS if b"%" in body else b"":
        for code in (b"%%%02X" % sign, b"%%%02x" % sign):
            values = [value.replace(code, bytes([sign])) for value in values]
    return values
