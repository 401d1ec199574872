"""Evaluates the starter with the reader as it is now, and writes threshold and metrics into its manifest.

    python -m benchmarks.evaluate_starter --data mnist.npz

Run it after a change of digits/vision: the network stays as it was trained, but it sees other candidates.
"""

import argparse

from digits.models.manifest import read_manifest, write_manifest
from digits.task import CLASSES
from digits.training.data import load
from digits.training.feeds import held_back
from digits.training.judging import judge_on, predict_with
from digits.training.pictures import picture_metrics
from digits.training.rejection import choose_threshold, rejection_metrics
from digits.training.settings import TrainSettings
from digits.vision.identity import preprocessing_sha256
from testkit.models import STARTER


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="mnist", help="mnist or FILE.npz")
    dataset = load(parser.parse_args().data)
    manifest = read_manifest(STARTER)
    predict = predict_with(STARTER, manifest.onnx_sha256)
    threshold = choose_threshold(predict, predict(held_back(TrainSettings(), dataset).images)[:, CLASSES])
    metrics = judge_on(dataset)(STARTER, manifest.onnx_sha256)
    metrics |= rejection_metrics(predict, predict(dataset.test_images)[:, CLASSES], threshold)
    metrics |= picture_metrics(predict, threshold)
    changed = {"preprocessing_sha256": preprocessing_sha256(), "metrics": manifest.metrics | metrics}
    write_manifest(STARTER, manifest.model_copy(update=changed))
    for name, value in metrics.items():
        print(f"{name:28}{manifest.metrics.get(name, float('nan')):9.4f} -> {value:.4f}")


if __name__ == "__main__":
    main()
