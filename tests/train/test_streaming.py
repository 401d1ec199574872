"""Data that is streamed: each row once also after kills, flat memory, epochs that continue."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from digits.inference.source import PROJECT
from digits.local.processes import marked
from digits.task import CLASSES, LEVELS
from digits.training.as_parquet import write_dataset
from digits.training.checkpoints import read_begun, read_progress
from digits.training.data import load
from testkit.cluster import wait_until
from tests.mlflow_server import register_copy
from tests.train.conftest import DEADLINE_S, FOLDER_VARIABLE, Workplace
from tests.train.test_training import runs, steps

Figure = Callable[[str], None]
READER = "ray::Map"  # the title of Ray Data's tasks


def parquet(folder: Path) -> Path:
    """Writes scikit-learn's digits as folders train and test: 1,437 and 360 rows."""
    write_dataset(folder, load("sklearn-digits"))
    return folder


def numbered(folder: Path, rows: int) -> Path:
    """Writes rows whose first two pixels are their number."""
    folder.mkdir()
    pixels = np.zeros((rows, LEVELS), np.uint8)
    pixels[:, :2] = np.arange(rows, dtype=">u2").view(np.uint8).reshape(rows, 2)
    columns = {"pixels": [row.tobytes() for row in pixels], "label": (np.arange(rows) % CLASSES).tolist()}
    pq.write_table(pa.table(columns), folder / "a.parquet", row_group_size=2000)
    return folder


ROWS = 60_000  # read in some ten seconds

SEES_ROWS = """
import json, sys, time
from pathlib import Path
from digits.streaming.plan import Stretch
from digits.training.cluster import connect
from digits.training.settings import TrainSettings
from digits.training.stream_feed import StreamFeed
from digits.training.streamed import open_data

data, workers, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
settings = TrainSettings(data=data, batch_size=60, drawn=0, cpus_per_worker=1)
connect(settings)
dataset = open_data(settings)
place, seen = Path("place.json"), Path("seen.jsonl")
done = [Stretch(*each) for each in json.loads(place.read_text())] if place.exists() else []
feeds = [StreamFeed(settings, dataset, worker, workers) for worker in range(workers)]
batches = [feed.raw_batches(3, done) for feed in feeds]
with seen.open("a") as log:
    for step, together in enumerate(zip(*batches), 1):
        pixels = [batch.images[batch.weights > 0][:, 0, :2].astype(int) for batch in together]
        rows = [int(a * 256 + b) for part in pixels for a, b in part]
        log.write(json.dumps([len(done), step, rows]) + chr(10))
        log.flush()
        if step % 10 == 0:
            Path("partial").write_text(json.dumps([*done, feeds[0].stretch(step)]))
            Path("partial").replace(place)
        time.sleep(pause_s)
print("all", step)
"""


def test_each_row_is_seen_once_also_after_kills(tmp_path: Path) -> None:
    """Readers are killed, then the trainer; the rest of the epoch goes to another number of workers."""
    data = numbered(tmp_path / "rows", ROWS)
    workplace = Workplace(tmp_path)
    (tmp_path / "sees.py").write_text(SEES_ROWS)

    def start(workers: int, pause_s: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "sees.py", str(data), str(workers), str(pause_s)],
            cwd=tmp_path, env=workplace.environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def step() -> int:
        seen = tmp_path / "seen.jsonl"
        return len(seen.read_text().splitlines()) if seen.exists() else 0

    began = start(workers=2, pause_s=0.05)
    wait_until(lambda: step() or began.poll() is not None, DEADLINE_S)
    killed: set[int] = set()
    while len(killed) < 3 and began.poll() is None and step() < 200:
        for pid in workplace.pids(READER):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    assert killed, "no reader was found"
    at = step()
    wait_until(lambda: step() > at + 50 or began.poll() is not None, DEADLINE_S)
    assert began.poll() is None, began.communicate()[0][-3000:]
    os.killpg(began.pid, signal.SIGKILL)
    began.wait()
    for pid in marked(f"{FOLDER_VARIABLE}={tmp_path}"):  # Ray's agents outlive a killed driver
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (stretch,) = json.loads((tmp_path / "place.json").read_text())
    last = start(workers=3, pause_s=0)
    output, _ = last.communicate(timeout=DEADLINE_S)
    assert last.returncode == 0, output[-3000:]

    lines = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
    counted = [rows for stretches, number, rows in lines if stretches or number <= stretch[1]]
    seen = Counter(row for rows in counted for row in rows)
    assert set(seen.values()) == {1}
    assert len(seen) >= 0.6 * ROWS, "validation and test have less than 10,000 each"
    unsaved = [rows for stretches, number, rows in lines if not stretches and number > stretch[1]]
    assert {row for rows in unsaved for row in rows} <= seen.keys()
    assert sorted(seen) != [row for rows in counted for row in rows], "the order is mixed"


CONTINUES = """
import sys
import numpy as np
from digits.training.cluster import connect
from digits.training.settings import TrainSettings
from digits.training.step import Trainer
from digits.training.streamed import open_data

settings = TrainSettings(data=sys.argv[1], batch_size=32, drawn=0.2, cpus_per_worker=1)
connect(settings)
dataset = open_data(settings)
whole = Trainer(settings, dataset, worker=0, workers=1)
saved = []
whole.train_epoch(2, lambda *_: None, (), lambda stretch: saved.append((stretch, whole.state())))
(stretch, state), *_ = saved
rest = Trainer(settings, dataset, worker=0, workers=1)
rest.restore(state)
rest.train_epoch(2, lambda *_: None, [stretch])
same = [np.array_equal(a, b) for a, b in zip(whole.state().values(), rest.state().values(), strict=True)]
print(stretch.steps, len(saved), np.mean(same))
"""


@pytest.mark.parametrize("form", ["in memory", "streamed"])
def test_an_epoch_continues_as_if_it_had_not_stopped(tmp_path: Path, form: str) -> None:
    """After a checkpoint within an epoch, all variables are in the end as without the interruption."""
    data = "sklearn-digits" if form == "in memory" else str(parquet(tmp_path / "data"))
    script = CONTINUES.replace("sys.argv[1]", repr(data))
    steps_done, pauses, same = Workplace(tmp_path).run_python(script).split()[-3:]
    assert (steps_done, float(same)) == ("20", 1.0)
    assert int(pauses) >= 1


def test_pictures_in_folders_train_a_model_that_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, from class-named folders; an unreadable picture is listed, and the training goes on.

    The driver is killed within the third epoch, and the same command continues there. A later champion, of
    MNIST, is tested on the same pictures.
    """
    whole = load("sklearn-digits")
    for part, images, labels in (
        ("train", whole.train_images, whole.train_labels), ("test", whole.test_images, whole.test_labels),
    ):  # fmt: skip
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = tmp_path / "pictures" / part / str(label) / f"{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    broken = [tmp_path / "pictures" / "train" / "3" / name for name in ("a.png", "b.png", "c.png")]
    for file in broken:
        file.write_bytes(b"no picture")
    workplace = Workplace(tmp_path)
    asked = {
        "data": "pictures", "epochs": "4", "num_workers": "2", "name": "streamed", "drawn": "0",
        "batch_size": "16", "checkpoint_steps": "20",
    }  # fmt: skip
    folder = tmp_path / "out" / "ray" / "streamed"

    def within_third() -> bool:
        found = sorted(folder.glob("checkpoint_2*/progress.json"))
        with suppress(OSError, ValueError):
            return bool(found and len(read_progress(found[-1].parent)) == 2 and read_begun(found[-1].parent))
        return False

    process, output = workplace.start_until(within_third, **asked)
    assert process.poll() is None, output()[-3000:]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=DEADLINE_S)
    wait_until(lambda: not workplace.pids("ray::"), DEADLINE_S, lambda: "a process survived the driver")
    said = workplace.train(**asked)
    assert "models:/digits/1 is" in said
    (run,) = runs(workplace)
    assert steps(workplace, run) == [1, 2, 3, 4]
    assert run.data.metrics["test_accuracy"] > 0.9
    assert run.data.metrics["workers_in_step"] == 2
    listed = (folder / "unreadable.txt").read_text().splitlines()
    assert {line.partition(":")[0] for line in listed} <= {f"train/3/{file.name}" for file in broken}
    assert listed
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workplace.tracking_uri)
    champion = register_copy(PROJECT / "models" / "starter")
    client = mlflow.MlflowClient(workplace.tracking_uri)
    client.set_registered_model_alias("digits", "champion", champion.version)
    promoted = workplace.registry("promote", "--version=1", "--min-test-images=360")
    assert "Error: not promoted:\n" in promoted.stderr, "the starter could not be tested on the pictures"
    assert re.search(r"test_auroc_\w+ 0\.0000 is more than \S+ below the champion's", promoted.stderr)


def test_a_training_skips_a_damaged_row_group(tmp_path: Path) -> None:
    """Its rows are listed, those held back for validation and test too, and the training goes on."""
    whole, file = load("sklearn-digits"), tmp_path / "rows" / "a.parquet"
    columns = {"pixels": [image.tobytes() for image in whole.train_images], "label": whole.train_labels}
    file.parent.mkdir()
    pq.write_table(pa.table(columns), file, row_group_size=120)
    column = pq.ParquetFile(file).metadata.row_group(1).column(0)
    start = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
    with file.open("r+b") as content:
        content.seek(start)
        content.write(b"\xff" * column.total_compressed_size)
    said = Workplace(tmp_path).train(data="rows", epochs="1", drawn="0", name="damaged")
    assert "models:/digits/1 is" in said
    listed = (tmp_path / "out" / "ray" / "damaged" / "unreadable.txt").read_text().splitlines()
    assert sorted(line.partition(":")[0] for line in listed) == [
        f"a.parquet#{row}" for row in range(120, 240)
    ]


LOSES_ITS_FILE = """
import sys
from pathlib import Path
from digits.errors import DataUnavailable
from digits.training.cluster import connect
from digits.training.settings import TrainSettings
from digits.training.step import Trainer
from digits.training.streamed import open_data

settings = TrainSettings(data=sys.argv[1], batch_size=32, drawn=0, cpus_per_worker=1)
connect(settings)
dataset, other = open_data(settings), open_data(settings)
trainer = Trainer(settings, dataset, worker=0, workers=1)
for file in Path(sys.argv[1]).glob("**/*.parquet"):
    file.unlink()
for read in (lambda: other.test, lambda: trainer.train_epoch(0, lambda *_: None)):
    try:
        read()
    except DataUnavailable as error:
        print(error)
"""


def test_a_lost_file_is_named_by_driver_and_worker(tmp_path: Path) -> None:
    """Not Ray's traceback, nor TensorFlow's `[[while/body/_1/while/IteratorGetNext]]`."""
    data = parquet(tmp_path / "data")
    script = LOSES_ITS_FILE.replace("sys.argv[1]", repr(str(data)))
    lines = Workplace(tmp_path).run_python(script).strip().splitlines()
    for line, part in zip(lines[-2:], ("test", "train"), strict=True):
        assert f"{data}/{part}/part-000.parquet cannot be read: " in line


MEMORY_LIMIT = 3_000_000_000  # bytes of address space for data; libraries and threads alone take two thirds
BEHIND = 3_000_000  # bytes


@contextmanager
def limited_memory(limit: int) -> Iterator[None]:
    """Programs that are started meanwhile cannot allocate more, nor can those that they start."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def big_pictures(folder: Path, most: int) -> int:
    """Writes class-named pictures of so many bytes, most of them further names of 200 files.

    Each is a small PNG with 3 MB behind its end, so that reading it takes little time and much memory.
    """
    whole = load("sklearn-digits")
    written = 0
    for number in count():
        label = whole.train_labels[number % 200]
        file = folder / str(label) / f"{number:05}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        first = folder / str(label) / f"{number % 200:05}.png"
        if file != first:
            os.link(first, file)
        else:
            file.write_bytes(cv2.imencode(".png", whole.train_images[number])[1].tobytes() + bytes(BEHIND))
        written += file.stat().st_size
        if written >= most:
            return written
    raise AssertionError


def private_bytes(pid: int) -> int:
    """Returns the memory that a process shares with no file and no other process."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2].split()[0]) * 1024


@pytest.mark.long
def test_memory_stays_flat_with_data_five_times_its_limit(tmp_path: Path, figure: Figure) -> None:
    """A process that allocates more than the limit fails; the trainer holds no more in the last epoch."""
    size = big_pictures(tmp_path / "pictures", 5 * MEMORY_LIMIT)
    workplace = Workplace(tmp_path)
    peaks: dict[int, int] = {}  # of all workers, by the number of epochs done

    def look() -> None:
        done = len(list((tmp_path / "out" / "ray" / "big").glob("checkpoint_2*")))
        for pid in [*workplace.pids("ray::RayTrainWorker"), *workplace.pids(READER)]:
            with suppress(OSError, IndexError):  # it has ended meanwhile
                peaks[done] = max(peaks.get(done, 0), private_bytes(pid))

    with limited_memory(MEMORY_LIMIT):
        process, output = workplace.start_until(look, data="pictures", epochs="2", drawn="0", name="big")
    assert process.returncode == 0, output()[-5000:]
    figure(
        f"{size / 1e9:.1f} GB of pictures: at most {peaks[0] / 1e6:.0f} MB of private memory in the first "
        f"epoch, {peaks[1] / 1e6:.0f} MB in the second"
    )
    assert peaks[1] < 1.1 * peaks[0]
