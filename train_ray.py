"""Train a digit model with Ray Train, register it in MLflow, and promote it if it passes the gate."""

import argparse
import sys
from collections.abc import Sequence

from digits.errors import DigitsError
from digits.settings import add_flags, from_flags
from digits.training.settings import TrainSettings
from digits.training.train import train


def parse_args(argv: Sequence[str] | None = None) -> TrainSettings:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_flags(parser, TrainSettings)
    return from_flags(parser, TrainSettings, vars(parser.parse_args(argv)))


if __name__ == "__main__":
    settings = parse_args()
    try:
        result = train(settings)
    except DigitsError as error:
        sys.exit(f"no model was trained: {error}")
    accuracy = result.manifest.metrics["test_accuracy"]
    print(f"test accuracy {accuracy:.4f}, model in {result.folder}", result.outcome, sep="\n")
