"""How `python -m digits train` ends when it is interrupted; stand-ins replace training and search."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PLAYED = """
import os, sys, time, types

def interrupted(*_):
    os.kill(os.getpid(), {signal})
    time.sleep(30)

for name, function in (("digits.training.train", "train"), ("digits.search.search", "search")):
    sys.modules[name] = played = types.ModuleType(name)  # the real ones load Ray and MLflow
    setattr(played, function, interrupted)
from digits.cli.main import main
main(["train", *{flags}])
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("flags", [[], ["--trials=2"]], ids=["training", "search"])
def test_an_interrupt_before_the_training_is_one_line(sent: signal.Signals, flags: list[str]) -> None:
    """While data are read, or while Ray or MLflow starts; with the status of an interrupted training."""
    done = subprocess.run(
        [sys.executable, "-c", PLAYED.format(signal=int(sent), flags=flags)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; run the same command again\n"
