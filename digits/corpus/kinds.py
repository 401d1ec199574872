"""Every kind of picture by name."""

from collections.abc import Callable, Mapping

from digits.corpus import drawings, formats, framed, marked, pages, pens, photos, strokes
from digits.corpus.canvas import Rng
from digits.corpus.handwriting import Writing

Kind = Callable[[Writing, Rng], bytes]  # returns the bytes of an image file

GROUPS: dict[str, Mapping[str, Kind]] = {
    "drawings": drawings.KINDS,
    "pens": pens.KINDS,
    "strokes": strokes.KINDS,
    "pages": pages.KINDS,
    "framed": framed.KINDS,
    "marked": marked.KINDS,
    "photos": photos.KINDS,
    "formats": formats.KINDS,
}
KINDS: dict[str, Kind] = {name: kind for group in GROUPS.values() for name, kind in group.items()}


def make_picture(kind: str, writing: Writing, rng: Rng) -> bytes:
    """Returns the bytes of an image file of this kind that shows the writing."""
    return KINDS[kind](writing, rng)
