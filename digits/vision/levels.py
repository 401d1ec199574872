"""Images that are sent as levels: arrays of numbers in JSON, or bytes."""

from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput
from digits.task import CHANNELS, LEVELS, SHAPE, SIDE, Pixels

_LEVEL, _NUMBER = ("grey level", "numbers") if CHANNELS == 1 else ("level", "lists of red, green and blue")
ONE = f"{SIDE} rows of {SIDE} {_NUMBER}, or {LEVELS} numbers row by row"
MOST_IMAGES = 4096  # in a request, whatever max_images_per_request is
MOST_DIMENSIONS = 4  # (1, SIDE, SIDE, CHANNELS), as Keras and ONNX have one image
ONES = {SHAPE, (LEVELS,), (SIDE, SIDE, CHANNELS)}  # the shapes of an image
AXES = tuple(range(1, 1 + len(SHAPE)))  # of images in an array
# Above 1 by less than this, levels were resampled in 0 to 1 and overshoot.
OVERSHOOT = 1.5
HUGE = 1e300
SCALED = BadInput("body_invalid", "The grey levels run from 0 to 1; multiply them by 255")
# Types wider than a byte that numpy users send by mistake: their bytes would read as several images.
WIDER = ("<f4", "<f8", "<i4", "<i8", "<i2")


def one_or_many(pixels: Any) -> tuple[list[Pixels | BadInput], bool]:
    """Returns the images in the JSON value of `pixels`, SHAPE uint8 each, and whether it was a list.

    In a list an invalid image is an item. A single invalid image, and an array of another shape, raise
    BadInput. Of a list of different shapes, at most one image more than is allowed is read.
    """
    shape, numbers = flattened(pixels)
    if shape == (1, SIDE, SIDE, CHANNELS) or _is_one(shape):
        return [_only(numbers)], False
    if shape is not None and _is_one(shape[1:]):
        return from_numbers(numbers), True
    some = pixels[: MOST_IMAGES + 1] if shape is None and isinstance(pixels, list) else []
    if any(_is_one(flattened(one)[0]) for one in some):
        return [from_array(value) for value in some], True  # a list with an image, not one ragged image
    raise _invalid(shape, "`pixels`")


def from_arrays(values: list[Any]) -> list[Pixels | BadInput]:
    """Returns the image of each value, as `from_array` does; faster if all have the same shape."""
    shape, numbers = flattened(values)
    if shape is not None and _is_one(shape[1:]):
        return from_numbers(numbers)
    return [from_array(value) for value in values]


def from_array(value: Any) -> Pixels | BadInput:
    """Returns the image whose levels are nested lists in one of the shapes ONES."""
    shape, numbers = flattened(value)
    return from_numbers(numbers)[0] if _is_one(shape) else _invalid(shape, "The image")


def from_bytes(body: bytes) -> list[Pixels | BadInput]:
    """Returns images from consecutive LEVELS bytes each. Raises BadInput for bytes that cannot be levels."""
    if len(body) % LEVELS:
        raise BadInput(
            "body_invalid",
            f"The body has {len(body)} bytes; send an image file, or {LEVELS} bytes for each image",
        )
    if wider := _wider_type(body):
        raise BadInput(
            "body_invalid",
            f"The body looks like {wider} numbers; send a byte for each grey level (uint8)",
        )
    return from_uint8(body)


def from_uint8(data: bytes | memoryview) -> list[Pixels | BadInput]:
    """Returns images from n * LEVELS bytes that are known to be levels."""
    images = np.frombuffer(data, np.uint8).reshape(-1, *SHAPE)
    return [SCALED if top == 1 else image for image, top in zip(images, images.max(AXES), strict=True)]


def flattened(value: Any) -> tuple[tuple[int, ...] | None, list[Any]]:
    """Returns the shape of nested lists, and their numbers; None if they are ragged or have other types."""
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
    return shape in ONES


def _only(numbers: list[Any]) -> Pixels:
    (image,) = from_numbers(numbers)
    if isinstance(image, BadInput):
        raise image
    return image


def from_numbers(numbers: list[Any]) -> list[Pixels | BadInput]:
    """Returns the images of n * LEVELS consecutive levels, or what is wrong with each."""
    try:
        levels: NDArray[np.float64] = np.array(numbers, np.float64).reshape(-1, *SHAPE)
    except OverflowError:  # an integer of hundreds of digits
        numbers = [number if abs(number) <= HUGE else HUGE for number in numbers]
        levels = np.array(numbers, np.float64).reshape(-1, *SHAPE)
    inside: NDArray[np.bool_] = (levels >= 0) & (levels <= 255)  # NaN is not
    valid = np.all(inside, axis=AXES).tolist()
    tops = levels.max(AXES)
    small = np.flatnonzero((tops > 0) & (tops < OVERSHOOT))
    scaled = {index for index in small.tolist() if tops[index] <= 1 or (levels[index] % 1).any()}
    images = np.rint(np.where(inside, levels, 0)).astype(np.uint8)
    return [
        _outside(levels[index]) if not valid[index] else SCALED if index in scaled else image
        for index, image in enumerate(images)
    ]


def _outside(levels: NDArray[np.float64]) -> BadInput:
    place = tuple(np.argwhere(~((levels >= 0) & (levels <= 255)))[0].tolist())
    where = ", ".join(f"{name} {at}" for name, at in zip(("row", "column", "channel"), place, strict=False))
    return BadInput(
        "body_invalid",
        f"The {_LEVEL} in {where} is {levels[place]:g}; levels are 0 to 255",
    )


def _invalid(shape: tuple[int, ...] | None, what: str) -> BadInput:
    found = (
        f"has the shape {shape}"
        if shape
        else "has rows of different lengths, is empty, or holds a value that is not a number"
    )
    return BadInput("body_invalid", f"{what} {found}; send {ONE}, or a list of such images")


def _wider_type(body: bytes) -> str | None:
    """Returns the type of numbers that the bytes look like, if it is wider than a byte.

    As floats, the bytes of real images have absurd exponents somewhere; as integers, they have levels in the
    high bytes. So if all numbers are levels from 0 to 255, they were sent as that type.
    """
    for name in WIDER:
        kind = np.dtype(name)
        if len(body) % (kind.itemsize * LEVELS):
            continue
        numbers = np.frombuffer(body, kind)
        with np.errstate(invalid="ignore"):
            sane = (numbers == 0) | ((numbers >= 1e-6) & (numbers <= 255))
        if sane.all() and numbers.any():
            return str(np.dtype(name))
    return None
