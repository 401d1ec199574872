"""The threshold of `is_digit`, and how well it tells digits from what is none."""

import numpy as np
import pytest

from digits.corpus.handwriting import writings
from digits.models.manifest import REJECT_BELOW
from digits.task import CLASSES, LABELS, Images, Scores
from digits.training.rejection import auroc, choose_threshold, crops, rejection_metrics


def test_the_threshold_refuses_as_few_digits_as_allowed() -> None:
    """0.1 % of MNIST's and 1 % of other hands' digits; the stricter of the two decides."""
    mnist, hands = np.linspace(0.5, 1, 1001), np.linspace(0.2, 1, 101)
    threshold = choose_threshold(mnist, hands)
    assert (hands < threshold).sum() == 1
    assert (mnist < threshold).sum() == 0
    threshold = choose_threshold(np.linspace(0.1, 1, 1001), hands)
    assert threshold == pytest.approx(0.1009)


@pytest.mark.parametrize(
    ("digits", "others", "expected"),
    [
        ([0.9, 0.8], [0.1, 0.2, 0.3], 1.0),
        ([0.1], [0.9], 0.0),
        ([0.5, 0.5], [0.5], 0.5),  # a tie counts half
        ([0.9, 0.2], [0.1, 0.3], 0.75),
    ],
)
def test_auroc_is_the_share_of_pairs_in_order(
    digits: list[float], others: list[float], expected: float
) -> None:
    assert auroc(np.array(digits), np.array(others)) == pytest.approx(expected)


def test_figures_of_a_model_that_knows_all_digits() -> None:
    """It recognises each judging digit by its crop, and takes nothing else for one."""
    digits = writings()["judge"]["digits"]
    known = {
        image.tobytes(): LABELS.index(int(each.label))
        for image, each in zip(crops(digits), digits, strict=True)
    }

    def predict(images: Images) -> Scores:
        scores = np.zeros((len(images), CLASSES + 1), np.float32)
        for row, image in zip(scores, images, strict=True):
            label = known.get(image.tobytes())
            row[label or 0], row[CLASSES] = 1, 0.01 if label is None else 0.99
        return scores

    metrics = rejection_metrics(predict, np.array([0.01, 0.99, 0.99, 0.99]), 0.5)
    assert metrics == {
        REJECT_BELOW: 0.5,
        "test_accuracy_hands": pytest.approx(1, abs=0.002),  # the same crop of two labels
        "test_auroc_letters": pytest.approx(1, abs=0.002),
        "test_auroc_symbols": pytest.approx(1, abs=0.002),
        "test_refused": 0.25,
        "test_refused_hands": 0,
        "test_refused_letters": pytest.approx(1, abs=0.002),
        "test_refused_symbols": 1,
    }
