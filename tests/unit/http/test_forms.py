"""Urlencoded forms: the images among their values."""

import base64
import tracemalloc
from urllib.parse import urlencode

import pytest

from digits.http.forms import MOST_VALUES, values_of

TEXT = base64.encodebytes(bytes(range(256)) * 3).decode()  # with line breaks


@pytest.mark.parametrize("value", ["data:image/png;base64," + TEXT.replace("\n", ""), TEXT])
def test_values_of_a_form_are_decoded(value: str) -> None:
    form = urlencode({"a": "x", "b": value})
    assert values_of(form.encode())[1] == value.encode()
    assert values_of(form.replace("%2B", "%2b").replace("%2F", "%2f").encode()) == values_of(form.encode())


def test_a_plus_that_was_not_encoded_is_a_letter_of_base64() -> None:
    assert values_of(b"a=ab+/&b") == [b"ab+/", b""]


def test_a_form_of_many_values_holds_none() -> None:
    assert values_of(b"&".join([b"a=b"] * MOST_VALUES)) != []
    assert values_of(b"&".join([b"a=b"] * (MOST_VALUES + 1))) == []


def test_escapes_cost_no_object_each() -> None:
    body = b"a=" + b"%41%2B" * 50_000
    tracemalloc.start()
    try:
        assert len(values_of(body)[0]) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()
