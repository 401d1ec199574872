"""The batches of a training whose images are in memory."""

from pathlib import Path

from tests.train.conftest import Workplace

GRAPHS = """
from digits.training.data import load
from digits.training.feeds import MemoryFeed
from digits.training.settings import TrainSettings

dataset = load("sklearn-digits")
feed = MemoryFeed(TrainSettings(batch_size=32, drawn=0), dataset, worker=0, workers=1)
datasets = [feed.batches(0, ())]
for dataset in datasets:
    datasets += dataset._inputs()
graphs = [each.function.graph.as_graph_def() for dataset in datasets for each in dataset._functions()]
print(len(graphs), max(graph.ByteSize() for graph in graphs))
"""


def test_the_images_are_in_no_graph(tmp_path: Path) -> None:
    """TensorFlow takes seconds to build a graph with all images of MNIST in it, in every epoch."""
    count, largest = map(int, Workplace(tmp_path).run_python(GRAPHS).split()[-2:])
    assert count >= 1
    assert largest < 100_000  # the images: 1 MB
