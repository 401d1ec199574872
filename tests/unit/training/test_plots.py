"""The pictures of a training can be read."""

import numpy as np
from numpy.typing import ArrayLike

from digits.task import CLASSES
from digits.training.plots import confusion_matrix

LEAST_CONTRAST = 4.5  # of WCAG 2.2 for small text


def luminance(colour: ArrayLike) -> float:
    """The relative luminance of sRGB, as WCAG defines it."""
    channels = np.asarray(colour)[:3]
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_cell_of_the_confusion_matrix_is_readable() -> None:
    """Every share of the most frequent mistake, from 0 to 1 in hundredths."""
    from matplotlib.colors import to_rgb

    confusion = np.arange(CLASSES**2).reshape(CLASSES, CLASSES)
    (axes,) = confusion_matrix(confusion).axes
    (picture,) = axes.images
    cells = picture.to_rgba(picture.get_array())
    assert len(axes.texts) == CLASSES**2
    for text in axes.texts[1:]:
        column, row = text.get_position()
        darker, lighter = sorted((luminance(to_rgb(text.get_color())), luminance(cells[row, column])))
        assert (lighter + 0.05) / (darker + 0.05) >= LEAST_CONTRAST, text.get_text()
