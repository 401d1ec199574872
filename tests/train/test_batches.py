"""The batches of a training whose images are in memory: what makes an epoch begin and end at once."""

from pathlib import Path

from tests.train.conftest import Workplace

MAKES_BATCHES = """
from digits.training.data import load
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

settings = TrainSettings(data="sklearn-digits", batch_size=32, drawn=0)
batches = Trainer(settings, load("sklearn-digits"), worker=0, workers=1).batches(0)
"""
MEASURES_GRAPHS = """
datasets = [batches]
for dataset in datasets:
    datasets += dataset._inputs()
graphs = [each.function.graph.as_graph_def() for dataset in datasets for each in dataset._functions()]
print(len(graphs), max(graph.ByteSize() for graph in graphs))
"""


def test_the_images_are_in_no_graph(tmp_path: Path) -> None:
    """TensorFlow takes seconds to build a graph with all images of MNIST in it, in every epoch."""
    found = Workplace(tmp_path).run_python(MAKES_BATCHES + MEASURES_GRAPHS)
    count, largest = map(int, found.split()[-2:])
    assert count >= 1
    assert largest < 100_000  # the images: 1 MB


def test_no_thread_tunes_the_pipeline(tmp_path: Path) -> None:
    """The end of an epoch would wait for that thread, which may sleep for as long as the epoch took."""
    found = Workplace(tmp_path).run_python(MAKES_BATCHES + "print(batches.options().autotune.enabled)")
    assert found.split()[-1] == "False"
