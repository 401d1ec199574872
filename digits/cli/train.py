"""`python -m digits train`, and train_ray.py."""

import os
import sys

import click

from digits.cli.flags import settings_flags
from digits.errors import DigitsError, TrainingInterrupted
from digits.registry.gate import GateSettings
from digits.training.interrupts import interrupt_on_signals
from digits.training.quiet import quiet_tensorflow
from digits.training.settings import TrainSettings

INTERRUPTED = 130  # the status of a program that Ctrl-C ended


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@settings_flags(TrainSettings, "settings")
@settings_flags(GateSettings, "gate")
def train(settings: TrainSettings, gate: GateSettings) -> None:
    """Train a digit model with Ray Train, register it in MLflow, and promote it if it passes the gate.

    \b
    Examples:
      python -m digits train                          MNIST, about 20 minutes on two cores
      python -m digits train --data my.npz            the arrays of Keras' mnist.npz
      python -m digits train --name digits-20260101-120000    continue an interrupted training
    """
    quiet_tensorflow()
    interrupt_on_signals()  # SIGTERM: as Kubernetes and `timeout` end a program
    from digits.training import train as training

    try:
        result = training.train(settings, gate)
    except TrainingInterrupted as error:
        click.echo(str(error), err=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # without Python's end, where an interrupted program has been seen to abort
    except DigitsError as error:
        raise click.ClickException(f"no model was trained: {error}") from error
    accuracy = result.manifest.metrics["test_accuracy"]
    click.echo(f"test accuracy {accuracy:.4f}, model in {result.folder}\n{result.outcome}")
