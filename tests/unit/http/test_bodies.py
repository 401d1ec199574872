"""What a request's problem says of the mistakes that people make with a picture."""

from urllib.parse import urlencode

import pytest

from digits.errors import BadInput
from digits.http.bodies import parse_body
from testkit.encodings import Body, form, image_file
from tests.bad_inputs import PAGE, PNG

URLENCODED = "application/x-www-form-urlencoded"
UNTYPED = "content_type_unsupported"
FILES = {"png": PNG, **{kind: image_file(PAGE, kind) for kind in ("JPEG", "GIF", "BMP", "WEBP")}}


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        *(
            (Body(urlencode({"a": "b", "image": file}).encode(), URLENCODED), UNTYPED, said)
            for file in FILES.values()
            for said in ("curl -F image=@FILE", "files={'image': file}")
        ),
        (Body(b"docs/seven.png", URLENCODED), "image_unsupported", "--data-binary @FILE"),
        (Body(b"docs/seven.png", None), "image_unsupported", "The body is the name of a file"),
        (Body(b"seven.JPG\n", "text/plain"), "image_unsupported", "--data-binary @FILE"),
        (form(text_field="docs/seven.png"), "body_invalid", "curl -F image=@FILE"),
        *((Body(file, "application/json"), "body_malformed", "not JSON") for file in FILES.values()),
    ],
)
def test_a_common_mistake_gets_what_to_send(body: Body, code: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_body(body.content_type or "", body.content, max_images=8)
    assert (error.value.code, said in error.value.detail) == (code, True), error.value.detail
