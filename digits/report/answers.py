"""A model's answers to the test images of a data set and to pictures of the corpus."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from digits.corpus.examples import Example
from digits.corpus.kinds import GROUPS
from digits.errors import NoDigit
from digits.inference.offline import OfflineModel
from digits.inference.source import FolderSource, ModelSource
from digits.models.manifest import Manifest, read_manifest
from digits.task import ModelVersion, Pixels, Prediction
from digits.training.data import Dataset
from digits.training.evaluation import Evaluation, evaluate
from digits.training.judging import predict_with

TOGETHER = 64  # pictures in one call of the model


class Wrong(NamedTuple):
    """A picture of one digit that was misread or rejected."""

    example: Example
    answer: str  # the digit, or the reason for none
    confidence: float  # of the best guess
    pixels: Pixels | None  # what the model saw


@dataclass(frozen=True, slots=True)
class Answers:
    version: ModelVersion
    manifest: Manifest  # the manifest that its training wrote
    evaluation: Evaluation  # the evaluation on the report's test images
    kinds: dict[str, float]  # kind of picture -> accuracy
    wrong: tuple[Wrong, ...]  # the worst kinds first

    @property
    def groups(self) -> dict[str, float]:
        """Returns the accuracy of each group of kinds that has pictures."""
        shares_of = {
            name: [self.kinds[kind] for kind in kinds if kind in self.kinds] for name, kinds in GROUPS.items()
        }
        return {name: sum(shares) / len(shares) for name, shares in shares_of.items() if shares}

    def measured(self, data: str) -> Manifest:
        """Returns the manifest with the report's metrics, on this data, in place of the training's."""
        of_pictures = {f"test_accuracy_{name}": share for name, share in self.groups.items()}
        metrics = self.manifest.metrics | self.evaluation.metrics() | of_pictures
        return self.manifest.model_copy(update={"metrics": metrics, "data": data})


def answers_of(source: ModelSource, dataset: Dataset, examples: Sequence[Example]) -> Answers:
    """Returns the answers of one model.  Raises ModelRejected, NotRegistered or TrackingUnavailable."""
    version = source.resolve()
    folder = source.fetch(version)
    evaluation = evaluate(predict_with(folder, version.sha256), dataset.test_images, dataset.test_labels)
    right: dict[str, list[bool]] = defaultdict(list)
    wrong = []
    # Of the same folder: an alias may have moved meanwhile.
    model = OfflineModel(FolderSource(str(folder)), TOGETHER, must_read_golden=False) if examples else None
    for start in range(0, len(examples), TOGETHER):
        assert model is not None
        batch = examples[start : start + TOGETHER]
        for example, answer in zip(batch, model.predict([one.data for one in batch]), strict=True):
            is_right = isinstance(answer, Prediction) and answer.label == str(example.label)
            right[example.kind].append(is_right)
            if not is_right:
                wrong.append(_wrong(example, answer))
    kinds = {kind: sum(each) / len(each) for kind, each in right.items()}
    wrong.sort(key=lambda one: (kinds[one.example.kind], -one.confidence))
    return Answers(version, read_manifest(folder), evaluation, kinds, tuple(wrong))


def _wrong(example: Example, answer: object) -> Wrong:
    guess = answer.guess if isinstance(answer, NoDigit) else answer
    if not isinstance(guess, Prediction):
        return Wrong(example, getattr(answer, "code", "no answer"), 0.0, None)
    shown = answer.code if isinstance(answer, NoDigit) else str(guess.label)
    return Wrong(example, shown, guess.confidence, guess.pixels)


def worst_kinds(answers: Iterable[Answers]) -> list[str]:
    """Returns all kinds of pictures, sorted by the first model's accuracy, the worst first."""
    first, *_ = answers
    return sorted(first.kinds, key=lambda kind: first.kinds[kind])
