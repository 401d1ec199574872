"""The batches of a training whose images are in memory: what makes an epoch begin and end at once."""

import json

import pytest

from tests.train.conftest import Workplace

FOUND = """
import json
from digits.training.data import load
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

settings = TrainSettings(data="sklearn-digits", batch_size=32, drawn=0)
batches = Trainer(settings, load("sklearn-digits"), worker=0, workers=1).batches(0)
datasets = [batches]
for dataset in datasets:
    datasets += dataset._inputs()
graphs = [each.function.graph.as_graph_def() for dataset in datasets for each in dataset._functions()]
print(json.dumps([[graph.ByteSize() for graph in graphs], batches.options().autotune.enabled]))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[int], bool]:
    """The sizes of the graphs of an epoch's batches, and whether TensorFlow tunes their pipeline."""
    output = Workplace(tmp_path_factory.mktemp("batches")).run_python(FOUND)
    sizes, is_tuned = json.loads(output.splitlines()[-1])
    return sizes, is_tuned


def test_the_images_are_in_no_graph(found: tuple[list[int], bool]) -> None:
    """TensorFlow takes seconds to build a graph with all images of MNIST in it, in every epoch."""
    sizes, _ = found
    assert len(sizes) >= 1
    assert max(sizes) < 100_000  # the images: 1 MB


def test_no_thread_tunes_the_pipeline(found: tuple[list[int], bool]) -> None:
    """The end of an epoch would wait for that thread, which may sleep for as long as the epoch took."""
    _, is_tuned = found
    assert is_tuned is False
