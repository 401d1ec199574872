"""Images that are sent as grey levels: arrays of numbers in JSON, or bytes."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput
from digits.task import PIXELS, SIDE, Pixels

ONE = f"{SIDE} rows of {SIDE} numbers, or {PIXELS} numbers row by row"
MOST_DIMENSIONS = 4  # (1, SIDE, SIDE, 1), as Keras and ONNX have one grey image
# Above 1 by less than this, levels were resampled in 0 to 1 and overshoot.
OVERSHOOT = 1.5
HUGE = 1e300
SCALED = BadInput("body_invalid", "The grey levels run from 0 to 1; multiply them by 255")
# Types wider than a byte that numpy users send by mistake: their bytes would read as several images.
WIDER = ("<f4", "<f8", "<i4", "<i8", "<i2")


def one_or_many(pixels: Any) -> tuple[list[Pixels | BadInput], bool]:
    """The images of the JSON value of `pixels`, (SIDE, SIDE) uint8 each, and whether a list was sent.

    In a list an invalid image is an item; one invalid image, and an array of another shape, raise BadInput.
    """
    shape, numbers = flattened(pixels)
    if shape == (1, SIDE, SIDE, 1) or _is_one(shape):
        return [_only(numbers)], False
    if shape is not None and _is_one(shape[1:]):
        return from_numbers(numbers), True
    if shape is None and isinstance(pixels, list) and any(_is_one(flattened(one)[0]) for one in pixels):
        return [from_array(value) for value in pixels], True  # a list with an image, not one ragged image
    raise _invalid(shape, "`pixels`")


def from_arrays(values: list[Any]) -> list[Pixels | BadInput]:
    """The image of each value, as `from_array` reads it; faster if all have the same shape."""
    shape, numbers = flattened(values)
    if shape is not None and _is_one(shape[1:]):
        return from_numbers(numbers)
    return [from_array(value) for value in values]


def from_array(value: Any) -> Pixels | BadInput:
    """The image whose grey levels are nested lists: (SIDE, SIDE), (PIXELS,) or (SIDE, SIDE, 1)."""
    shape, numbers = flattened(value)
    return from_numbers(numbers)[0] if _is_one(shape) else _invalid(shape, "The image")


def from_bytes(body: bytes) -> list[Pixels | BadInput]:
    """Images one after another, PIXELS bytes each; raises BadInput for bytes that cannot be that."""
    if len(body) % PIXELS:
        raise BadInput(
            "body_invalid",
            f"The body has {len(body)} bytes; send an image file, or {PIXELS} bytes for each image",
        )
    if wider := _wider_type(body):
        raise BadInput(
            "body_invalid",
            f"The body looks like {wider} numbers; send a byte for each grey level (uint8)",
        )
    return from_uint8(body)


def from_uint8(data: bytes | memoryview) -> list[Pixels | BadInput]:
    """Images one after another, n * PIXELS bytes that are known to be grey levels."""
    images = np.frombuffer(data, np.uint8).reshape(-1, SIDE, SIDE)
    return [SCALED if top == 1 else image for image, top in zip(images, images.max((1, 2)), strict=True)]


def flattened(value: Any) -> tuple[tuple[int, ...] | None, list[Any]]:
    """The shape of nested lists of numbers, and the numbers; None if they are ragged or hold other types."""
    shape: list[int] = []
    level: list[Any] = [value]
    while len(shape) <= MOST_DIMENSIONS:
        kinds = set(map(type, level))
        if kinds <= {int, float}:
            return tuple(shape), level
        lengths = set(map(len, level)) if kinds == {list} else set()
        if len(lengths) != 1 or 0 in lengths:
            break
        shape += lengths
        level = list(chain.from_iterable(level))
    return None, []


def _is_one(shape: tuple[int, ...] | None) -> bool:
    return shape in ((SIDE, SIDE), (PIXELS,), (SIDE, SIDE, 1))


def _only(numbers: list[Any]) -> Pixels:
    (image,) = from_numbers(numbers)
    if isinstance(image, BadInput):
        raise image
    return image


def from_numbers(numbers: list[Any]) -> list[Pixels | BadInput]:
    """The images whose n * PIXELS grey levels stand one after another, or what is wrong with each."""
    try:
        levels: NDArray[np.float64] = np.array(numbers, np.float64).reshape(-1, SIDE, SIDE)
    except OverflowError:  # an integer of hundreds of digits
        numbers = [number if abs(number) <= HUGE else HUGE for number in numbers]
        levels = np.array(numbers, np.float64).reshape(-1, SIDE, SIDE)
    inside: NDArray[np.bool_] = (levels >= 0) & (levels <= 255)  # NaN is not
    valid = np.all(inside, axis=(1, 2)).tolist()
    tops = levels.max((1, 2))
    small = np.flatnonzero((tops > 0) & (tops < OVERSHOOT))
    scaled = {index for index in small.tolist() if tops[index] <= 1 or (levels[index] % 1).any()}
    images = np.rint(np.where(inside, levels, 0)).astype(np.uint8)
    return [
        _outside(levels[index]) if not valid[index] else SCALED if index in scaled else image
        for index, image in enumerate(images)
    ]


def _outside(levels: NDArray[np.float64]) -> BadInput:
    row, column = np.argwhere(~((levels >= 0) & (levels <= 255)))[0].tolist()
    return BadInput(
        "body_invalid",
        f"The grey level in row {row}, column {column} is {levels[row, column]:g}; levels are 0 to 255",
    )


def _invalid(shape: tuple[int, ...] | None, what: str) -> BadInput:
    found = (
        f"has the shape {shape}"
        if shape
        else "has rows of different lengths, is empty, or holds a value that is not a number"
    )
    return BadInput("body_invalid", f"{what} {found}; send {ONE}, or a list of such images")


def _wider_type(body: bytes) -> str | None:
    """The type of numbers that the bytes look like, if it is wider than a byte.

    As floats, the bytes of real images have absurd exponents somewhere; as integers, real images have levels
    in the high bytes.  So all numbers being levels from 0 to 255 means that they were sent as such.
    """
    for name in WIDER:
        kind = np.dtype(name)
        if len(body) % (kind.itemsize * PIXELS):
            continue
        numbers = np.frombuffer(body, kind)
        with np.errstate(invalid="ignore"):
            sane = (numbers == 0) | ((numbers >= 1e-6) & (numbers <= 255))
        if sane.all() and numbers.any():
            return str(np.dtype(name))
    return None
