"""A signal that Python drops the first time still ends a training."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, time
from digits import interrupts
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


DEFERRING = """
import os, signal
from digits import interrupts
interrupts.interrupt_on_signals()
try:
    with interrupts.deferred():
        os.kill(os.getpid(), signal.{name})
        print("written", flush=True)
    print("not interrupted", flush=True)
except KeyboardInterrupt:
    interrupts.caught()
    print("caught", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("script", "said"), [(SCRIPT, ["dropped", "caught"]), (DEFERRING, ["written", "caught"])],
    ids=["dropped", "deferred"],
)  # fmt: skip
def test_an_interrupt_is_caught_in_the_end(number: signal.Signals, script: str, said: list[str]) -> None:
    """One that Python drops is raised again; one that is deferred is raised right after the block."""
    done = subprocess.run(
        [sys.executable, "-c", script.format(name=number.name)],
        capture_output=True, text=True, timeout=25, check=False, env=os.environ,
    )  # fmt: skip
    assert done.stdout.split() == said, done.stderr
    assert done.returncode == 0
