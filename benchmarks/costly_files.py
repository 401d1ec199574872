"""The CPU time of the most costly files that are allowed: `python -m benchmarks.costly_files`

For each format, pictures of as many pixels as digits.vision.limits allows, with contents that
are hard to decompress or full of what may be a digit.  Decoding and reading are timed in one thread of this
process.  Takes two minutes; writes docs/benchmarks/costly_files.json, which docs/benchmarks.md shows.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.circumstances import circumstances
from benchmarks.tables import table
from digits.errors import BadInput
from digits.gateway.settings import EdgeSettings
from digits.inference.source import PROJECT
from digits.vision.limits import (
    COSTLY_BYTES,
    COSTLY_PIXELS,
    DRAFT_SIDE,
    MAX_PIXELS,
    MAX_PROGRESSIVE_BYTES,
    WEBP_PIXELS,
)
from digits.vision.reading import read_file
from testkit.encodings import image_file

OUTPUT = PROJECT / "docs" / "benchmarks" / "costly_files.json"
ROUNDS = 3
LONGEST_JPEG = 65_500  # pixels
QUALITIES = (90, 75, 50, 30, 10)

Levels = NDArray[np.uint8]
Content = Callable[[int, int, int], Levels]  # height, width, channels -> (height, width, channels)


def noise(height: int, width: int, channels: int) -> Levels:
    """Noise in each pixel: the longest file, and the most work for a decoder."""
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def cells(height: int, width: int, channels: int) -> Levels:
    """Squares of any colour: each edge is a candidate for ink."""
    side = max(2, min(height, width) // 60)
    small = noise(-(-height // side), -(-width // side), channels)
    return small.repeat(side, 0).repeat(side, 1)[:height, :width]


def spots(height: int, width: int, channels: int) -> Levels:
    """Some hundred dark spots of the size of handwriting."""
    rough = np.random.default_rng(1).random((60, 80), np.float32)
    ink = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC) > 0.62
    return np.where(ink, 30, 210).astype(np.uint8)[:, :, None].repeat(channels, 2)


def flat(height: int, width: int, channels: int) -> Levels:
    """One colour: the shortest file."""
    return np.full((height, width, channels), 200, np.uint8)


CONTENTS: dict[str, Content] = {"noise": noise, "cells": cells, "spots": spots, "flat": flat}


def files() -> Iterator[tuple[str, str, bytes]]:
    """Yields format, content and file: of the best quality or the most pixels that the limits allow."""
    most = EdgeSettings().max_body_bytes
    strip = 2 * DRAFT_SIDE - 1  # as wide as a JPEG can be that is decoded whole
    shapes = {
        "baseline JPEG": (MAX_PIXELS, 3 / 4, most, {}),
        "baseline JPEG, decoded whole": (COSTLY_PIXELS, strip**2 / COSTLY_PIXELS, most, {}),
        "baseline JPEG, a strip": (LONGEST_JPEG * 763, 763 / LONGEST_JPEG, most, {}),
        "progressive JPEG": (COSTLY_PIXELS, 1, MAX_PROGRESSIVE_BYTES, {"progressive": True}),
    }
    whole: dict[str, tuple[int, int, Callable[[Levels], bytes]]] = {
        "PNG, colour": (COSTLY_BYTES // 3, 3, _png),
        "PNG, colour and alpha": (COSTLY_BYTES // 4, 4, _png),
        "PNG, 16 bits": (COSTLY_BYTES // 8, 4, lambda levels: _png(levels.astype(np.uint16) * 257)),
        "PNG, grey": (COSTLY_PIXELS, 1, _png),
        "GIF": (COSTLY_PIXELS, 1, lambda levels: image_file(levels[:, :, 0], "GIF")),
        "BMP": (COSTLY_PIXELS, 3, lambda levels: image_file(levels, "BMP")),
        "WebP, colour": (WEBP_PIXELS, 3, _webp),
        "WebP, colour and alpha": (WEBP_PIXELS, 4, _webp),
        "lossless WebP, colour": (WEBP_PIXELS, 3, _lossless_webp),
        "lossless WebP, colour and alpha": (WEBP_PIXELS, 4, _lossless_webp),
    }
    for content, make in CONTENTS.items():
        for name, (pixels, aspect, limit, options) in shapes.items():
            yield name, content, _jpeg(make(*_sides(pixels, aspect), 3), limit, **options)
        for name, (pixels, channels, save) in whole.items():
            while len(file := save(make(*_sides(pixels), channels))) > most:
                pixels = int(0.98 * pixels * min(1, most / len(file)))
            yield name, content, file


def _sides(pixels: int, aspect: float = 1) -> tuple[int, int]:
    """Returns the height and width of a picture of at most this many pixels."""
    height = int((pixels / aspect) ** 0.5)
    return height, pixels // height


def _jpeg(levels: Levels, limit: int, **options: object) -> bytes:
    for quality in QUALITIES:
        file = image_file(levels, "JPEG", quality=quality, **options)
        if len(file) <= limit:
            break
    return file


def _png(levels: NDArray[Any]) -> bytes:
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(".png", levels[:, :, ::-1] if levels.shape[2] == 3 else levels, fast)[1].tobytes()


def _webp(levels: Levels) -> bytes:
    return image_file(levels, "WEBP", quality=60, method=0)


def _lossless_webp(levels: Levels) -> bytes:
    return image_file(levels, "WEBP", lossless=True, quality=0, method=0)


def seconds_of(file: bytes) -> float:
    """Returns the least CPU time of decoding and reading a file, of ROUNDS.  Raises BadInput."""
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        read_file(file, MAX_PIXELS)
        spent.append(time.thread_time() - began)
    return min(spent)


def main() -> None:
    costs: dict[str, dict[str, Any]] = {}
    for name, content, file in tqdm(files(), total=len(CONTENTS) * 14, unit="file"):
        try:
            seconds = seconds_of(file)
        except BadInput as error:
            raise SystemExit(f"{name} of {content} is refused: {error}") from error
        if seconds > costs.get(name, {"seconds": 0.0})["seconds"]:
            with Image.open(io.BytesIO(file)) as image:
                size = image.size
            costs[name] = {"content": content, "seconds": seconds, "size": size, "bytes": len(file)}
    figures = circumstances([]) | {"files": costs}
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(costly_table(figures), end="")


def costly_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/benchmarks.md, the most costly format first."""
    rows = [
        [
            name, "{} x {}".format(*row["size"]), f"{row['bytes'] / 2**20:.1f}", row["content"],
            f"{row['seconds']:.2f}",
        ]
        for name, row in sorted(figures["files"].items(), key=lambda item: -item[1]["seconds"])
    ]  # fmt: skip
    return table(["format", "pixels", "MiB", "content", "CPU seconds"], rows) + "\n"


if __name__ == "__main__":
    main()
