"""Accuracy on pictures as people send them."""

import numpy as np
import pytest

from digits.corpus.examples import Example, sample
from digits.corpus.kinds import GROUPS
from digits.task import CLASSES, Images, Scores
from digits.training import pictures
from digits.training.pictures import judge_pictures, picture_metrics
from testkit.models import load_model


def always(label: int, is_digit: float = 0.9) -> Scores:
    row = np.zeros(CLASSES + 1, np.float32)
    row[label], row[CLASSES] = 1, is_digit
    return row


def test_rejected_wrong_or_unreadable_pictures_are_not_right() -> None:
    examples = list(sample("judge", 1, 4, ("canvas_black_on_white",)))
    examples.append(Example("canvas_black_on_white", "canvas_black_on_white", b"no image", 0, (0,)))
    answers = [always(0), always(1, 0.0001), always(7), always(3)]

    def predict(images: Images) -> Scores:
        return np.array(answers[: len(images)])

    assert judge_pictures(predict, examples, 0.1).right.tolist() == [True, False, False, True, False]


def test_each_group_of_kinds_has_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PER_KIND", 1)
    metrics = picture_metrics(load_model(max_batch_size=64).predict, 0)
    assert metrics.keys() == {f"test_accuracy_{group}" for group in GROUPS}
    assert all(0.5 < value <= 1 for value in metrics.values()), metrics
