"""Grey levels -> pixels, the way MNIST was made: the one preprocessing, for training and serving.

Each digit of MNIST was cropped to its ink, fitted into 20x20 with its aspect kept, and placed with its centre
of mass in the middle of 28x28, white on black (LeCun, Cortes, Burges: The MNIST database).  This module does
the same to pictures of any size; an image that is MNIST-like already passes unchanged.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from digits.errors import BadInput
from digits.task import SIDE, Pixels

BOX = 20  # MNIST's digits fill this square in at least one direction
OFF_CENTRE = 0.53  # pixels between the middle and the centre of mass of an image of MNIST, at most
BRIGHT = 200  # the brightest grey level of an image of MNIST, at least

THUMBNAIL = 64  # up to this many pixels a side a picture is a crop of a digit, without light and shadow
FAINTEST = 12  # grey levels between ink and paper; paper's own texture reaches some 8
NOISE = 3 * 1.4826  # three standard deviations, of which the median deviation is 1/1.4826
THINNEST = 2.0  # of 20 pixels; a tenth of MNIST's strokes are thinner than 1.8, half than 2.5

Ink = NDArray[np.float32]  # (h, w), 0 paper to 1 full stroke

_ONES, _PLACES = np.ones(SIDE, np.float32), np.arange(SIDE, dtype=np.float32)


def normalise(grey: NDArray[np.uint8]) -> Pixels:
    """Grey levels of any size, (h, w), either polarity -> pixels.  Raises BadInput("image_blank")."""
    if grey.shape == (SIDE, SIDE):
        if _is_mnist_like(grey):
            return grey
        if _is_mnist_like(inverted := 255 - grey):
            return inverted
    return _centred(_fitted(_only_the_digit(_ink(grey))))


def are_surely_mnist_like(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n, 28, 28) -> (n,): which `normalise` certainly leaves as they are; it must be asked about the others.

    64 images together take a sixteenth of the time that 64 calls take.
    """
    levels = images.astype(np.float32)
    sums = np.stack([levels @ _ONES, _ONES @ levels])  # of rows and of columns: (2, n, 28)
    inked = sums > 0
    extents = SIDE - inked.argmax(2) - inked[:, :, ::-1].argmax(2)
    totals, moments = sums.sum(2), sums @ (_PLACES - SIDE / 2)
    fits = (extents <= BOX) & (np.abs(moments) < OFF_CENTRE * totals)
    blank_border = ~inked[:, :, (0, -1)].any((0, 2))
    return fits.all(0) & blank_border & (images.max((1, 2)) >= BRIGHT)  # type: ignore[no-any-return]


def _is_mnist_like(grey: NDArray[np.uint8]) -> bool:
    """Black border, ink within 20x20, centre of mass in the middle: so are all 70,000 of MNIST.

    It runs for every request, and costs a third of what numpy's reductions would: two products give the
    sums of rows and columns, exactly, and Python looks at those.
    """
    levels = grey.astype(np.float32)
    by_row, by_column = levels @ _ONES, _ONES @ levels
    rows, columns = by_row.tolist(), by_column.tolist()
    if rows[0] or rows[-1] or columns[0] or columns[-1]:
        border = _border(levels)
        if np.count_nonzero(border) > border.size // 10:
            return False
    if grey.max() < BRIGHT or max(_extent(rows), _extent(columns)) > BOX:
        return False
    total = sum(rows)
    centres = float(by_row @ _PLACES) / total, float(by_column @ _PLACES) / total
    return all(abs(centre - SIDE / 2) < OFF_CENTRE for centre in centres)


def _extent(sums: list[float]) -> int:
    """From the first to the last that is not 0; there is one."""
    first = next(place for place, value in enumerate(sums) if value)
    last = next(place for place, value in enumerate(reversed(sums)) if value)
    return len(sums) - last - first


def _centre_of_mass(levels: Ink) -> tuple[float, float]:
    total = levels.sum(dtype=np.float64)
    rows = (levels.sum(axis=1, dtype=np.float64) * np.arange(levels.shape[0])).sum() / total
    columns = (levels.sum(axis=0, dtype=np.float64) * np.arange(levels.shape[1])).sum() / total
    return rows, columns


def _ink(grey: NDArray[np.uint8]) -> Ink:
    """How much darker (or lighter, whichever is written) than the paper around it each pixel is."""
    levels = grey.astype(np.float32)
    if max(levels.shape) <= THUMBNAIL:
        paper = np.float32(np.median(_border(levels)))
        levels = _enlarged(np.pad(levels, 2, constant_values=paper))
        signed = levels - paper
    else:
        signed = levels - _paper(levels)
    dark, light = np.maximum(-signed, 0), np.maximum(signed, 0)
    noise = NOISE * float(np.median(np.abs(signed)))
    return _thresholded(dark if _strength(dark) >= _strength(light) else light, noise)


def _border(levels: Ink) -> Ink:
    return np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])


def _enlarged(levels: Ink) -> Ink:
    """Room for the steps that follow, which think in strokes several pixels wide."""
    scale = 100 / max(levels.shape)
    size = (max(1, round(levels.shape[1] * scale)), max(1, round(levels.shape[0] * scale)))
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC))


def _paper(levels: Ink) -> Ink:
    """Lighting of the page: a quadratic surface through its pixels, refitted without what sticks out.

    Ink is what sticks out, so each round drops the pixels more than twice the median deviation away.
    """
    step = max(1, max(levels.shape) // 64)
    rows, columns = np.mgrid[-1 : 1 : levels.shape[0] * 1j, -1 : 1 : levels.shape[1] * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], axis=-1)
    sample = terms[::step, ::step].reshape(-1, 6)
    values = levels[::step, ::step].ravel()
    border = _border(levels)
    kept = np.abs(values - np.median(border)) <= max(
        40.0, 2 * float(np.abs(border - np.median(border)).mean())
    )
    surface = np.full(6, 0, np.float32)
    surface[0] = np.median(border)
    for _ in range(6):
        if kept.sum() < 30:
            break
        surface = np.linalg.lstsq(sample[kept], values[kept], rcond=None)[0]
        off = np.abs(values - sample @ surface)
        kept = off <= max(4.0, 2.5 * float(np.median(off[kept])))
    return (terms @ surface).astype(np.float32)


def _strength(ink: Ink) -> float:
    """The level that the strongest hundredth reaches, away from the picture's edge."""
    margin = max(1, min(ink.shape) // 20)
    inner = ink[margin:-margin, margin:-margin]
    return float(np.percentile(inner, 98.5)) if inner.size else 0.0


def _thresholded(written: Ink, noise: float) -> Ink:
    """Noise to 0, strokes to 1; between, a ramp around half the strokes' own strength."""
    peak = float(np.percentile(written, 99.5))
    if peak < max(FAINTEST, 1.5 * noise):
        raise BadInput("image_blank", "the image holds no ink that stands out from its paper")
    stroke = float(np.median(written[written >= peak / 2]))
    floor = max(0.25 * stroke, noise)
    return _clipped((written - floor) / max(0.7 * stroke - floor, 1))


def _only_the_digit(ink: Ink) -> Ink:
    """The largest connected shape and what belongs to it; specks, shadows' edges and paper's rims go."""
    labels = _connected(ink > 0.5)
    sizes = np.bincount(labels.ravel(), weights=ink.ravel())
    sizes[0] = 0
    if not sizes.any():
        raise BadInput("image_blank", "the image holds no ink that stands out from its paper")
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    at_edge = np.zeros_like(sizes, dtype=bool)
    at_edge[edge] = True
    inner = np.where(at_edge, 0, sizes)
    largest = inner.max() if inner.max() > 0.05 * sizes.max() else sizes.max()
    chosen = (inner if inner.max() == largest else sizes) >= 0.08 * largest
    chosen[0] = False
    grown = _grown(chosen[labels])
    return np.where(grown, ink, 0).astype(np.float32)


def _connected(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Labels of the 8-connected shapes, (h, w), 0 where there is none: union-find over runs of each row."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, starts = np.nonzero(np.diff(padded, axis=1) == 1)
    ends = np.nonzero(np.diff(padded, axis=1) == -1)[1]
    parent = list(range(len(rows) + 1))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = run = parent[parent[run]]
        return run

    first_of_row = np.searchsorted(rows, np.arange(mask.shape[0] + 1))
    for row in range(1, mask.shape[0]):
        above: int = int(first_of_row[row - 1])
        for run in range(int(first_of_row[row]), int(first_of_row[row + 1])):
            while above < first_of_row[row] and ends[above] < starts[run]:
                above += 1
            touching = above
            while touching < first_of_row[row] and starts[touching] <= ends[run]:
                parent[root(touching + 1)] = root(run + 1)
                touching += 1
    labels = np.zeros(mask.shape, np.intp)
    for number, (line, start, end) in enumerate(zip(rows, starts, ends, strict=True), 1):
        labels[line, start:end] = root(number)
    return labels


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Three pixels wider: the soft rim of the strokes stays with them."""
    image = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(7))
    return np.asarray(image) > 0


def _fitted(ink: Ink) -> Ink:
    """Cropped to the ink and scaled into 20x20, its strokes as wide as MNIST's are."""
    rows, columns = np.flatnonzero((ink > 0.5).any(axis=1)), np.flatnonzero((ink > 0.5).any(axis=0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(cropped.shape)
    widening = (THINNEST - _stroke_width(cropped) * scale) / scale
    image = Image.fromarray((cropped * 255).astype(np.uint8))
    if widening >= 2:
        margin = int(widening / 2)
        image = ImageOps.expand(image, margin).filter(ImageFilter.MaxFilter(2 * margin + 1))
        scale = BOX / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resampling = Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC
    small = np.asarray(image.resize(size, resampling), np.float32)
    full = float(np.percentile(small[small > 25], 90)) if (small > 25).any() else 255.0
    return _clipped(small / full)


def _clipped(ink: Ink) -> Ink:
    return np.minimum(np.maximum(ink, 0), 1).astype(np.float32)


def _stroke_width(ink: Ink) -> float:
    """Twice the area over the perimeter; 0.8 corrects the perimeter of slanted lines on a grid."""
    mask = np.pad(ink > 0.5, 1)
    perimeter = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    return 2 * np.count_nonzero(mask) / (0.8 * perimeter)


def _centred(ink: Ink) -> Pixels:
    """Into 28x28 with the centre of mass at pixel (14, 14), where MNIST has it."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    (height, width), centre = ink.shape, _centre_of_mass(ink)
    top = min(max(round(SIDE / 2 - centre[0]), 0), SIDE - height)
    left = min(max(round(SIDE / 2 - centre[1]), 0), SIDE - width)
    pixels[top : top + height, left : left + width] = np.rint(ink * 255)
    return pixels
