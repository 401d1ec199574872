"""What `python -m digits score` prints at its end; a stand-in replaces the scoring."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PLAYED = """
import os, signal, sys, time, types
from types import SimpleNamespace as Played

def interrupted():
    os.kill(os.getpid(), signal.{signal})
    time.sleep(30)

played = types.ModuleType("digits.scoring.run")  # the real one loads Ray
played.score = lambda *_: {summary}
sys.modules["digits.scoring.run"] = played
from digits.cli.main import main
main(["score", "docs", "--out", "out/scores"])
"""


def score(summary: str, sent: signal.Signals = signal.SIGINT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PLAYED.format(summary=summary, signal=sent.name)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_scoring_says_how_to_continue(sent: signal.Signals) -> None:
    """With the status of an interrupted training."""
    done = score("interrupted()", sent)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; run the same command again to continue\n"


FINISHED = (
    'Played(parts={}, written={}, version=Played(name="digits", version="7"), '
    "pictures={}, digits=1, seconds=2)"
)


@pytest.mark.parametrize(
    ("parts", "written", "pictures", "said"),
    [
        (3, 2, 10, "10 pictures scored in 2 s (5/s), 1 of them digits; 3 parts in out/scores"),
        (1, 1, 1, "1 picture scored in 2 s (0/s), 1 of them digits; 1 part in out/scores"),
        (
            3,
            0,
            0,
            "nothing was left to do: out/scores holds all parts of these inputs (3), scored by digits 7",
        ),
    ],
)
def test_a_scoring_says_what_it_did_and_what_is_there(
    parts: int, written: int, pictures: int, said: str
) -> None:
    assert score(FINISHED.format(parts, written, pictures)).stdout == f"{said}\n"
