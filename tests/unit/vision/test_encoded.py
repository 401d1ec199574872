"""Image files that are sent as text, and text that is no image."""

import tracemalloc

import pytest

from digits.errors import BadInput
from digits.vision.encoded import BASE64, from_base64, image_in
from tests.cpu import within_cpu_s


@pytest.mark.parametrize("end", [b"!", b"=!", b" =!", b"=== "])
def test_text_of_spaces_is_refused_in_time_of_its_size(end: bytes) -> None:
    """The interpreter waits for the search: one that tries every way to share them takes many seconds."""
    text = b"A" + b" \n" * 20_000 + end
    assert within_cpu_s(0.1, lambda: image_in(text)) is None


def test_white_space_in_base64_costs_no_object_for_each_piece() -> None:
    """16 MB of pairs of letters took 700 MB and, with the interpreter held, most of a second."""
    text = b"AA \tAA\r\n" * 50_000
    tracemalloc.start()
    try:
        assert len(from_base64(text)) == 50_000 * 3
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", [b"iVBO", b"iVBO=\n", b"iVB\r\nO==", b" iV BO== \n", b"iVBO \n", b" "])
def test_text_of_base64_may_have_line_breaks(text: bytes) -> None:
    assert BASE64.fullmatch(text)


@pytest.mark.parametrize("text", [b"", b"=", b"iVBO===", b"iVBO= =", b"iV=BO", b"iV-BO", b"iVBO!"])
def test_other_text_is_no_base64(text: bytes) -> None:
    assert not BASE64.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"data:image/png,%89PNG", "The data: URL is not base64; send data:image/png;base64,"),
        (b"data:image/png;base64,%%", "not valid base64"),
        (b"https://example.org/seven.png", "fetches no addresses"),
        (b"blob:https://example.org/1-2", "fetches no addresses"),
        (b"/home/me/seven.PNG\n", "reads no files by their names"),
        (b"b'iVBOR='", "send base64.b64encode(data).decode()"),
        (b"a-_b", "use the standard alphabet (not base64url)"),
    ],
)
def test_what_is_no_base64_is_named(text: bytes, said: str) -> None:
    """With what to send."""
    with pytest.raises(BadInput) as error:
        from_base64(text)
    assert said in error.value.detail
