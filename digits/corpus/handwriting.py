"""People's handwriting: pen strokes of digits and letters, and drawn symbols that are neither.

`handwriting.npz` holds 5,634 digits and 12,572 letters from UniPen train_r01_v07 (International Unipen
Foundation, published on Zenodo, doi 10.5281/zenodo.1195803, CC BY 4.0; simplified to 1.3 of 255 units), and
1,720 symbols from Omniglot's background set small1 (Brenden Lake, MIT licence).
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from digits.corpus.mislabelled import DIGITS, LETTERS
from digits.errors import DataUnavailable

Split = Literal["train", "validation", "judge"]
Points = NDArray[np.float32]  # (k, 2): x, y; y downwards

SHA256 = "90282af40b1501b94aa09caf45f352add2c2824850fc367d15e9ebe97041906c"
SPLIT_SEED = 20
SHARES = {"judge": 0.17, "validation": 0.1}  # of the writers, and of the symbols
DRAWERS = 20  # of each symbol, one after another in the file
BITS = 105  # pixels a side of a symbol
# Letters that some hand writes exactly as another writes a digit: never taken for no digit.
LIKE_DIGITS = frozenset("OoQDIlijJzZSsqgGbBTyYaCt")
# Symbols that are written as a digit is, such as Korean's for ng (0), i (1) and g (7); by their character.
SYMBOLS_LIKE_DIGITS = frozenset({4, 26, 27, 29, 33, 35, 39, 40, 43, 55, 57, 66, 67, 72, 78})


@dataclass(frozen=True, slots=True)
class Writing:
    """One character: strokes in units of its longer side, 0 to 1, or the ink of a symbol."""

    label: str  # the character, or the alphabet of a symbol
    writer: int  # of strokes; the number of the character of a symbol
    strokes: tuple[Points, ...] = ()
    ink: NDArray[np.uint8] | None = None  # (BITS, BITS), 255 is ink; None if it has strokes

    @property
    def is_like_a_digit(self) -> bool:
        return self.label in LIKE_DIGITS


@cache
def writings() -> dict[Split, dict[str, list[Writing]]]:
    """Returns the digits, letters and symbols of each split; no writer and no symbol is in two of them.

    Raises DataUnavailable if the file that the package ships is missing or damaged.
    """
    content = files("digits.corpus").joinpath("handwriting.npz").read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise DataUnavailable(
            f"digits/corpus/handwriting.npz has sha256 {digest}, expected {SHA256}; "
            "restore it from the repository"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return _split(_of_strokes(arrays) + _of_symbols(arrays))


def _of_strokes(arrays: Any) -> list[tuple[str, int, Writing]]:
    """Returns the writings with their group and the number by which they are split: the writer.

    What no person reads as its label is left out.
    """
    points = arrays["points"].astype(np.float32) / 255
    strokes = np.split(points, arrays["stroke_ends"][:-1])
    samples = zip(
        np.concatenate([[0], arrays["sample_ends"][:-1]]).tolist(),
        arrays["sample_ends"].tolist(),
        arrays["label"].tolist(),
        arrays["writer"].tolist(),
        strict=True,
    )
    return [
        (
            "digits" if chr(code).isdigit() else "letters",
            writer,
            Writing(chr(code), writer, tuple(strokes[start:end])),
        )
        for number, (start, end, code, writer) in enumerate(samples)
        if number not in DIGITS and number not in LETTERS
    ]


def _of_symbols(arrays: Any) -> list[tuple[str, int, Writing]]:
    inks = np.unpackbits(arrays["symbols"], axis=2)[:, :, :BITS] * np.uint8(255)
    return [
        ("symbols", number // DRAWERS, Writing(str(alphabet), number // DRAWERS, ink=ink))
        for number, (ink, alphabet) in enumerate(zip(inks, arrays["alphabet"], strict=True))
        if number // DRAWERS not in SYMBOLS_LIKE_DIGITS
    ]


def _split(numbered: list[tuple[str, int, Writing]]) -> dict[Split, dict[str, list[Writing]]]:
    """Splits writers and symbols at random, always the same way."""
    found: dict[Split, dict[str, list[Writing]]] = {}
    for names in (("digits", "letters"), ("symbols",)):
        chosen = [entry for entry in numbered if entry[0] in names]
        numbers = sorted({number for _, number, _ in chosen})
        order = np.random.default_rng(SPLIT_SEED).permutation(numbers).tolist()
        judges = round(SHARES["judge"] * len(order))
        validators = judges + round(SHARES["validation"] * len(order))
        splits: dict[Split, set[int]] = {
            "judge": set(order[:judges]),
            "validation": set(order[judges:validators]),
            "train": set(order[validators:]),
        }
        for split, members in splits.items():
            for name in names:
                found.setdefault(split, {})[name] = [
                    writing for group, number, writing in chosen if group == name and number in members
                ]
    return found
