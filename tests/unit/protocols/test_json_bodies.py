"""JSON bodies: what is refused before it is parsed."""

from collections.abc import Callable

import numpy as np
import pytest

from digits.errors import BadInput
from digits.http.bodies import parse_body
from digits.protocols import v2
from digits.protocols.instances import from_instances, from_invocation
from digits.task import SHAPE
from tests.cpu import within_cpu_s

MOST = 256
Parse = Callable[[bytes], object]
PARSERS: dict[str, tuple[bytes, Parse]] = {
    "images": (b'{"images": [', lambda body: parse_body("application/json", body, MOST)),
    "pixels": (b'{"pixels": [', lambda body: parse_body("application/json", body, MOST)),
    "V2": (b'{"parameters": {"a": [', lambda body: v2.parse(body, None, MOST)),
    "instances": (b'{"instances": [', lambda body: from_instances(body, MOST)),
    "another key": (b'{"other": [', lambda body: from_invocation(body, MOST)),
}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("value", [b"[]", b'{"":0}', b"1", b"[[[[]]]]"])
def test_more_values_than_images_have_are_not_parsed(name: str, value: bytes) -> None:
    """The parser does not release the interpreter: it took 0.1 to 0.2 s for each megabyte of lists."""
    start, parse = PARSERS[name]
    body = start + b",".join([value] * (3_000_000 // len(value)))

    def refused() -> str:
        with pytest.raises(BadInput) as caught:
            parse(body)
        return caught.value.code

    assert within_cpu_s(0.15, refused) == "too_many_images"


def test_a_list_for_each_pixel_is_no_value_too_many() -> None:
    """The largest form of as many images as are allowed, with the names of a table's columns."""
    rows = np.ones((MOST, *SHAPE, 1), int).tolist()
    body = f'{{"columns": {["pixel"] * 784}, "instances": {rows}}}'.replace("'", '"').encode()
    assert len(from_instances(body, MOST)) == MOST
