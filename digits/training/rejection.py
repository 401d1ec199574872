"""How well `is_digit` separates digits from other images, and the threshold for rejecting a picture."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from digits.corpus.examples import Example, sample
from digits.corpus.handwriting import Writing, writings
from digits.corpus.kinds import KINDS, make_picture
from digits.corpus.threads import in_threads
from digits.models.manifest import REJECT_BELOW, TEST_REJECTED
from digits.training.evaluation import Predict
from digits.training.pictures import Judged, judge_pictures

Floats = NDArray[np.floating]

# Shares of validation digits that the threshold may reject: MNIST's, and other writers'.  The second share is
# below the allowed 1 %, because only fifteen writers choose the threshold, and other writers vary more.
MOST_REJECTED, MOST_REJECTED_OF_HANDS = 0.001, 0.008
PER_KIND = 16  # pictures of each kind used to choose the threshold
SEED = 8
CANVAS = "canvas_white_on_black"  # the kind of picture that the drawing page sends


def choose_threshold(predict: Predict, of_mnist: Floats) -> float:
    """Returns the highest `reject_below` that rejects few enough digits of the validation images.

    `of_mnist` is the is_digit of MNIST's images, (n,).
    """
    judged = judge_pictures(predict, sample("validation", SEED, PER_KIND, tuple(KINDS)), 0)
    return min(
        lowest_kept(of_mnist, MOST_REJECTED),
        lowest_kept(judged.is_digit[judged.right], MOST_REJECTED_OF_HANDS),
    )


def lowest_kept(is_digit: Floats, rejected: float) -> float:
    """Returns the highest threshold that rejects at most this share."""
    return float(np.sort(is_digit)[int(rejected * len(is_digit))])


def auroc(digits: Floats, others: Floats) -> float:
    """Returns the share of (digit, other image) pairs in which the digit has the higher is_digit."""
    ranked = np.sort(others)
    below, up_to = (np.searchsorted(ranked, digits, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(others))


def rejection_metrics(predict: Predict, of_test: Floats, threshold: float) -> dict[str, float]:
    """Returns the metrics on writings of the judge split, drawn as on the page; none is trained on.

    `of_test` is the is_digit of MNIST's test images.
    """
    judged = writings()["judge"]
    unlike = [writing for writing in judged["letters"] if not writing.is_like_a_digit]

    def asked(group: Sequence[Writing]) -> Judged:
        return judge_pictures(predict, _canvases(group), threshold)

    digits, letters, symbols = asked(judged["digits"]), asked(unlike), asked(judged["symbols"])
    return {
        REJECT_BELOW: threshold,
        "test_accuracy_hands": float(digits.right.mean()),
        "test_auroc_letters": auroc(digits.is_digit, letters.is_digit),
        "test_auroc_symbols": auroc(digits.is_digit, symbols.is_digit),
        TEST_REJECTED: float((of_test < threshold).mean()),
        f"{TEST_REJECTED}_hands": float((digits.is_digit < threshold).mean()),
        f"{TEST_REJECTED}_letters": float((letters.is_digit < threshold).mean()),
        f"{TEST_REJECTED}_symbols": float((symbols.is_digit < threshold).mean()),
    }


def _canvases(group: Sequence[Writing]) -> Iterator[Example]:
    def drawn(number: int) -> Example:
        data = make_picture(CANVAS, group[number], np.random.default_rng([SEED, number]))
        label = int(group[number].label) if group[number].label.isdigit() else None
        return Example(CANVAS, CANVAS, data, label, ())

    return in_threads(drawn, range(len(group)))
