"""`python -m digits train`, and train_ray.py."""

from typing import TYPE_CHECKING

import click

from digits.cli.flags import settings_flags
from digits.errors import DigitsError, TrainingInterrupted
from digits.interrupts import interrupt_on_signals, leave
from digits.registry.gate import GateSettings
from digits.search.settings import SearchSettings
from digits.training.quiet import quiet_tensorflow
from digits.training.settings import TrainSettings

if TYPE_CHECKING:
    from digits.training.train import TrainResult


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@settings_flags(TrainSettings, "settings")
@settings_flags(SearchSettings, "asked")
@settings_flags(GateSettings, "gate")
def train(settings: TrainSettings, asked: SearchSettings, gate: GateSettings) -> None:
    """Train a digit model with Ray Train, register it in MLflow, and promote it if it passes the gate.

    With --trials it first searches for better settings, with Ray Tune.

    \b
    Examples:
      python -m digits train                          MNIST, about 10 minutes on two cores
      python -m digits train --data my.npz            the arrays of Keras' mnist.npz
      python -m digits train --data pictures/         folders named by labels; also Parquet and WebDataset
      python -m digits train --name digits-20260101-120000    continue an interrupted training
      python -m digits train --trials 20 --space space.toml    search, then train with the best settings
    """
    quiet_tensorflow()
    interrupt_on_signals()  # also SIGTERM, with which Kubernetes and `timeout` end a program
    try:
        message = _searched(settings, asked, gate) if asked.trials else _trained(settings, gate)
    except TrainingInterrupted as error:
        leave(str(error))
    except (KeyboardInterrupt, SystemExit):  # before the training began
        leave("interrupted; run the same command again")
    except DigitsError as error:
        raise click.ClickException(f"no model was trained: {error}") from error
    click.echo(message)


def _trained(settings: TrainSettings, gate: GateSettings) -> str:
    from digits.training.train import train as run

    return _outcome(run(settings, gate))


def _searched(settings: TrainSettings, asked: SearchSettings, gate: GateSettings) -> str:
    from digits.search.search import search

    found = search(settings, asked, gate)
    return (
        f"the best of {found.trials} trials is number {found.best.number}, validation accuracy "
        f"{found.best.best[0]:.4f}; the table is in {found.folder}\n{_outcome(found.trained)}"
    )


def _outcome(result: "TrainResult") -> str:
    accuracy = result.manifest.metrics["test_accuracy"]
    return f"test accuracy {accuracy:.4f}, model in {result.folder}\n{result.outcome}"
