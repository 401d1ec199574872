"""How well `is_digit` tells digits from what is none, and the threshold below which a picture is refused."""

import numpy as np
from numpy.typing import NDArray

from digits.corpus.drawing import draw
from digits.corpus.handwriting import Writing, writings
from digits.models.manifest import REJECT_BELOW
from digits.task import CLASSES, LABELS, Images
from digits.training.evaluation import Predict
from digits.vision.cropping import crop_to_pixels

Floats = NDArray[np.floating]

# Shares of digits that the threshold may refuse, of the validation images: MNIST's, and other hands'.
MOST_REFUSED, MOST_REFUSED_OF_HANDS = 0.001, 0.01
SIDE, PEN = 60.0, 6.0  # pixels: a writing as the drawing page would send it


def choose_threshold(of_mnist: Floats, of_hands: Floats) -> float:
    """Returns the highest `reject_below` that refuses few enough digits, of (n,) is_digit each."""
    return float(min(_lowest_kept(of_mnist, MOST_REFUSED), _lowest_kept(of_hands, MOST_REFUSED_OF_HANDS)))


def _lowest_kept(is_digit: Floats, refused: float) -> float:
    return float(np.sort(is_digit)[int(refused * len(is_digit))])


def auroc(digits: Floats, others: Floats) -> float:
    """Returns the share of pairs of a digit and another image in which the digit has the higher is_digit."""
    ranked = np.sort(others)
    below, up_to = (np.searchsorted(ranked, digits, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))


def rejection_metrics(predict: Predict, of_test: Floats, threshold: float) -> dict[str, float]:
    """Returns the figures on writings of the judge split, which no training sees.

    `of_test` is the is_digit of MNIST's test images.
    """
    judged = writings()["judge"]
    digits = predict(crops(judged["digits"]))
    labels = np.array([LABELS.index(int(writing.label)) for writing in judged["digits"]])
    of_hands = digits[:, CLASSES]
    unlike = [writing for writing in judged["letters"] if not writing.is_like_a_digit]
    of_letters, of_symbols = (predict(crops(others))[:, CLASSES] for others in (unlike, judged["symbols"]))
    return {
        REJECT_BELOW: threshold,
        "test_accuracy_hands": float((digits[:, :CLASSES].argmax(axis=1) == labels).mean()),
        "test_auroc_letters": auroc(of_hands, of_letters),
        "test_auroc_symbols": auroc(of_hands, of_symbols),
        "test_refused": float((of_test < threshold).mean()),
        "test_refused_hands": float((of_hands < threshold).mean()),
        "test_refused_letters": float((of_letters < threshold).mean()),
        "test_refused_symbols": float((of_symbols < threshold).mean()),
    }


def crops(drawn: list[Writing]) -> Images:
    """Returns (n, SIDE, SIDE) images of writings, cropped as the reader crops them."""
    return np.stack([crop_to_pixels(draw(writing, SIDE, PEN)) for writing in drawn])
