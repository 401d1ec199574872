"""Tensors of the Open Inference Protocol <-> images and arrays, in JSON and as bytes.

The bytes follow the protocol's binary extension: numbers are little-endian, row by row; each element of BYTES
follows its length in 4 bytes.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import BadInput
from digits.inference.items import Item, item_in_text
from digits.protocols.v2_schemas import IMAGE, PIXELS, InputTensor
from digits.task import SHAPE
from digits.vision import levels
from digits.vision.encoded import image_in

# By numpy's kind of an output array: the protocol's name for it, and the type of its bytes.
DATATYPES = {"i": ("INT64", "<i8"), "f": ("FP32", "<f4"), "O": ("BYTES", "")}
# Input -> its datatype, and its shape without the number of images.
WANTED: dict[str, tuple[str, list[list[int]]]] = {
    PIXELS: ("UINT8", [[*SHAPE]]),
    IMAGE: ("BYTES", [[], [1]]),
}
LENGTH = struct.Struct("<I")


def items_of(tensor: InputTensor, data: bytes | memoryview | None) -> Sequence[Item]:
    """Returns the images of an input. Its bytes are `data`, or None if they are in its JSON.

    Raises BadInput for an input other than `pixels` and `image`, and for an inconsistent tensor.
    """
    count = _count(tensor)
    if data is not None and tensor.data is not None:
        raise _invalid(tensor, "has both `data` and `binary_data_size`; send one of them")
    if data is None and tensor.data is None:
        raise _invalid(tensor, "has no data; send `data`, or bytes and their `binary_data_size`")
    if tensor.name == PIXELS:
        return _pixels(tensor, data)
    return _files_in_json(tensor, count) if data is None else _files_in_bytes(tensor, data, count)


def _count(tensor: InputTensor) -> int:
    """Returns the number of images in an input's shape."""
    if tensor.name not in WANTED:
        raise BadInput("body_invalid", f"No input is called {tensor.name[:40]!r}; send {' or '.join(WANTED)}")
    datatype, rests = WANTED[tensor.name]
    if tensor.datatype != datatype or not tensor.shape or tensor.shape[1:] not in rests:
        shapes = " or ".join(str(["n", *rest]).replace("'", "") for rest in rests)
        raise _invalid(
            tensor, f"is {tensor.datatype[:20]} with the shape {tensor.shape}; send {datatype} with {shapes}"
        )
    if not tensor.shape[0]:
        raise _invalid(tensor, "holds no image; send at least one")
    return tensor.shape[0]


def _pixels(tensor: InputTensor, data: bytes | memoryview | None) -> list[Item]:
    size = math.prod(tensor.shape)
    if data is None:
        shape, numbers = levels.flattened(tensor.data)
        if shape is None or len(numbers) != size:
            found = "rows of different lengths or other values" if shape is None else f"{len(numbers)}"
            raise _invalid(tensor, f"needs {size} numbers for the shape {tensor.shape}, and holds {found}")
        return [*levels.from_numbers(numbers)]
    if len(data) != size:
        raise _invalid(tensor, f"needs {size} bytes for the shape {tensor.shape}, and has {len(data)}")
    return [*levels.from_uint8(data)]


def _files_in_json(tensor: InputTensor, count: int) -> list[Item]:
    values = tensor.data if isinstance(tensor.data, list) else [tensor.data]
    texts = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if len(texts) != count or not all(isinstance(text, str) for text in texts):
        raise _invalid(tensor, f"needs {count} texts for the shape {tensor.shape}: image files as base64")
    return [item_in_text(text) for text in texts]


def _files_in_bytes(tensor: InputTensor, data: bytes | memoryview, count: int) -> list[Item]:
    elements = _elements(data, count + 1)
    if len(elements) != count:
        found = "more" if len(elements) > count else len(elements)
        raise _invalid(tensor, f"has {found} elements; send {count} for the shape {tensor.shape}")
    return [image_in(element) or element for element in elements]  # clients send base64 here, too


def _elements(data: bytes | memoryview, most: int) -> list[bytes]:
    """Returns the first `most` elements: a body could contain millions of empty ones."""
    found: list[bytes] = []
    start = 0
    while start < len(data) and len(found) < most:
        end = start + LENGTH.size
        if end <= len(data):
            start, end = end, end + LENGTH.unpack_from(data, start)[0]
        if end > len(data):
            raise BadInput("body_invalid", "An element is cut off; send 4 bytes of length, then its bytes")
        found.append(bytes(data[start:end]))
        start = end
    return found


def in_json(name: str, array: NDArray[Any]) -> dict[str, Any]:
    """Returns an output as JSON; an array of objects holds texts."""
    return {**_described(name, array), "data": array.ravel().tolist()}


def in_bytes(name: str, array: NDArray[Any]) -> tuple[dict[str, Any], bytes]:
    """Returns an output, and its bytes that follow the JSON."""
    if array.dtype == object:
        texts = [text.encode() for text in array.ravel()]
        data = b"".join(LENGTH.pack(len(text)) + text for text in texts)
    else:
        data = array.astype(DATATYPES[array.dtype.kind][1]).tobytes()
    return {**_described(name, array), "parameters": {"binary_data_size": len(data)}}, data


def top_classes(probabilities: NDArray[np.float64], most: int, labels: Sequence[str]) -> NDArray[np.object_]:
    """Returns the `most` most probable labels of each row, as `PROBABILITY:INDEX:LABEL`, (n, most)."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :most]
    texts = [
        [f"{row[index]:.6f}:{index}:{labels[index]}" for index in best]
        for row, best in zip(probabilities, order, strict=True)
    ]
    return np.array(texts, object)


def _described(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": DATATYPES[array.dtype.kind][0], "shape": list(array.shape)}


def _invalid(tensor: InputTensor, fault: str) -> BadInput:
    return BadInput("body_invalid", f"The input `{tensor.name}` {fault}")
