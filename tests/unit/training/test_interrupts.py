"""A signal that Python drops the first time still ends a training."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, time
from digits.training import interrupts
interrupts.AGAIN_S = 0.2
interrupts.interrupt_on_signals()

class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.05)  # the handler runs here, and Python drops what it raises

one = Destroyed()
del one
print("dropped", flush=True)
try:
    time.sleep(30)
except KeyboardInterrupt:
    interrupts.caught()
    time.sleep(0.5)  # what follows is not interrupted
    print("caught", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_dropped_interrupt_is_raised_again(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(name=number.name)],
        capture_output=True, text=True, timeout=25, check=False, env=os.environ,
    )  # fmt: skip
    assert done.stdout.split() == ["dropped", "caught"], done.stderr
    assert done.returncode == 0
