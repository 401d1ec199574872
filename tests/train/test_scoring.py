"""Offline scoring by a real Ray: the service's answers, and no picture twice after a kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from digits.corpus.examples import sample
from digits.inference.offline import OfflineModel
from digits.inference.source import FolderSource
from digits.local.processes import marked
from digits.task import Prediction
from testkit.cluster import ROOT, wait_until
from testkit.ports import free_port

PER_PART = 5_000  # as MOST_FILES of digits.scoring.run, which loads Ray
MARK = "DIGITS_TEST_SCORING"


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "digits", "score", str(folder), "--out", str(out), *more]


def score(folder: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, out, *more), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


def scorers_of(mark: Path) -> list[int]:
    """Returns the actors that score for the driver with this mark."""
    found = []
    for pid in marked(f"{MARK}={mark}"):
        with suppress(OSError):  # it has ended meanwhile
            if b"Scorer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts of drawings, one of them with a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    (drawing,) = sample("judge", 1, 1, ("canvas_white_on_black",))
    for number in range(2 * PER_PART + 100):
        (folder / f"{number:05}.png").write_bytes(drawing.data)
    (folder / "99999.png").write_bytes(b"no picture")
    return folder


def test_a_killed_scoring_goes_on_and_answers_as_the_service(pictures: Path, tmp_path: Path) -> None:
    """The driver is killed after its first part; no part is written twice, and none is missing."""
    out = tmp_path / "out"
    began = subprocess.Popen(
        command(pictures, out, "--workers", "1"),
        cwd=ROOT, env=os.environ | {MARK: str(tmp_path)}, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    parts = wait_until(lambda: sorted(out.glob("part-*.parquet")), timeout_s=300)
    os.kill(began.pid, signal.SIGKILL)
    began.wait()
    wait_until(lambda: not scorers_of(tmp_path), timeout_s=60)
    for pid in marked(f"{MARK}={tmp_path}"):  # Ray's agents outlive a killed driver
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not (out / "summary.json").exists()
    parts = sorted(out.glob("part-*.parquet"))
    written = {part.name: part.stat().st_mtime_ns for part in parts}
    assert len(written) < 3, "it was not interrupted in time"

    done = score(pictures, out)
    assert done.returncode == 0, done.stderr
    parts = sorted(out.glob("part-*.parquet"))
    assert len(parts) == 3
    assert {part.name: part.stat().st_mtime_ns for part in parts if part.name in written} == written
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert [row["path"] for row in rows] == sorted(map(str, pictures.iterdir()))
    assert rows[-1]["error"] == "image_unsupported"
    (expected,) = OfflineModel(FolderSource("models/starter"), 64).predict(
        [(pictures / "00000.png").read_bytes()]
    )
    assert isinstance(expected, Prediction)
    for row in rows[:-1]:
        assert (row["digit"], row["error"]) == (expected.position, None)
        assert row["probabilities"] == pytest.approx(expected.probabilities, abs=2e-6)
    assert json.loads((out / "summary.json").read_text())["parts"] == 3
    again = score(pictures, out)
    assert again.stdout.startswith(f"nothing was left to do: {out} holds all parts"), again.stderr


@pytest.mark.parametrize(("send", "sent"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_an_interrupted_scoring_ends_and_says_how_to_go_on(
    send: Callable[[int, int], None], sent: signal.Signals, pictures: Path, tmp_path: Path
) -> None:
    """Ctrl-C in a terminal reaches the whole group, SIGTERM the program alone; Ray ends with it."""
    out = tmp_path / "out"
    began = subprocess.Popen(
        command(pictures, out, "--workers", "1"), cwd=ROOT, env=os.environ | {MARK: str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: [*out.glob("part-*.parquet")], timeout_s=300)  # half of the pictures are left
    send(began.pid, sent)
    stdout, stderr = began.communicate(timeout=60)
    assert (began.returncode, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in stderr
    assert "SIGTERM" not in stderr
    wait_until(lambda: not marked(f"{MARK}={tmp_path}"), timeout_s=60)


@pytest.mark.parametrize(
    ("folder", "more", "message"),
    [("docs", ("--model", "models/none"), "models/none"), ("models", (), "models holds no picture")],
)
def test_a_wrong_scoring_is_one_line(
    tmp_path: Path, folder: str, more: tuple[str, ...], message: str
) -> None:
    done = score(ROOT / folder, tmp_path / "out", *more)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    done = score(ROOT / "docs", tmp_path / "out")
    assert done.returncode == 1
    assert "nothing answers at RAY_ADDRESS" in done.stderr
    assert "Traceback" not in done.stderr


DIES = """
import os, signal, sys
from digits.scoring import run
from digits.scoring.worker import Scorer

class Dying(Scorer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        predict = self._model.predict

        def dies(files):
            if b"killer" in files:
                with open(DEATHS, "a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
            return predict(files)

        self._model.predict = dies

run.Scorer = Dying
folder, out = sys.argv[1:]
print(run.score([folder], out, "parquet", "models/starter", "unused", 1))
"""


def test_a_picture_that_kills_its_process_is_left_out(tmp_path: Path) -> None:
    """Three processes die by SIGKILL, then the picture is listed; the others are scored, and it ends."""
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    (drawing,) = sample("judge", 1, 1, ("canvas_white_on_black",))
    for number in range(100):
        (folder / f"{number:03}.png").write_bytes(b"killer" if number == 70 else drawing.data)
    done = subprocess.run(
        [sys.executable, "-c", f"DEATHS = {str(tmp_path / 'deaths')!r}\n{DIES}", str(folder), str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "deaths").read_text() == "xxx"
    (part,) = out.glob("part-*.parquet")
    rows = pq.read_table(part).to_pylist()
    assert [row["path"] for row in rows] == sorted(map(str, folder.iterdir()))
    assert {row["error"] for row in rows if row is not rows[70]} == {None}
    assert rows[70]["error"] == "process_died"
    assert json.loads((out / "summary.json").read_text())["parts"] == 1
    assert [file.name for file in out.glob(".*")] == []


FULL = """
import errno, os, sys
from digits.cli.main import main
from digits.scoring import run
from digits.scoring.worker import Scorer

class Full(Scorer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._results._system.pipe_file = self.is_full

    def is_full(self, path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

run.Scorer = Full
main(["score", "docs/seven.png", "--out", *sys.argv[1:]])
"""


def test_a_full_disk_in_a_worker_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"Error: a worker failed: {tmp_path} cannot be written: No space left on device; "
        "run the same command again to continue"
    )
    assert "Traceback" not in done.stderr
