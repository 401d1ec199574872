"""Every kind of picture by name."""

from collections.abc import Callable

from digits.corpus import drawings, formats, framed, pages, pens, photos
from digits.corpus.canvas import Rng
from digits.corpus.handwriting import Writing

Kind = Callable[[Writing, Rng], bytes]  # returns the bytes of an image file

KINDS: dict[str, Kind] = {
    **drawings.KINDS,
    **pens.KINDS,
    **pages.KINDS,
    **framed.KINDS,
    **photos.KINDS,
    **formats.KINDS,
}


def make_picture(kind: str, writing: Writing, rng: Rng) -> bytes:
    """Returns the bytes of an image file of a kind, in which the writing stands."""
    return KINDS[kind](writing, rng)
