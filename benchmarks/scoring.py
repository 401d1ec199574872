"""Compares offline scoring with its reader and model alone: `python -m benchmarks.scoring`

100,000 small PNGs and 2,000 photos of 12 megapixels, as files. Alone means: a process for each CPU reads and
predicts its share of them and keeps nothing. The scoring's rate is that of its parts after the first of each
actor; `whole_s` includes the start of Ray. Takes five minutes; writes docs/benchmarks/scoring.json.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.bodies import SMALL, TELEPHONE, bodies
from benchmarks.circumstances import circumstances
from benchmarks.tables import number, table
from digits.inference.offline import OfflineModel
from digits.inference.source import PROJECT, FolderSource
from digits.scoring.worker import BATCH, TOGETHER

OUTPUT = PROJECT / "docs" / "benchmarks" / "scoring.json"
MOST_LINKS = 50_000  # names of one file that any file system allows
COUNTS = {SMALL: 100_000, TELEPHONE: 2_000}


def alone(files: list[Path]) -> float:
    """Returns the pictures a second that one process for each CPU reads and predicts."""
    shares = [files[place :: os.cpu_count()] for place in range(os.cpu_count() or 1)]
    with ProcessPoolExecutor(len(shares)) as pool:
        return sum(pool.map(_rate, shares))


def _rate(files: list[Path]) -> float:
    model = OfflineModel(FolderSource("models/starter"), BATCH)
    began = time.perf_counter()
    for start in range(0, len(files), TOGETHER):
        model.predict([file.read_bytes() for file in files[start : start + TOGETHER]])
    return len(files) / (time.perf_counter() - began)


def scored(folder: Path, out: Path) -> dict[str, float]:
    """Returns the rate of the parts and the seconds of the whole command."""
    began = time.time()
    subprocess.run(
        [sys.executable, "-m", "digits", "score", str(folder), "--out", str(out)], cwd=PROJECT, check=True
    )
    parts = sorted(out.glob("part-*"), key=lambda part: part.stat().st_mtime)
    # The first parts end the start of each actor, so what follows is the work of all of them.
    first, last = (part.stat().st_mtime for part in (parts[(os.cpu_count() or 1) - 1], parts[-1]))
    done = (len(parts) - (os.cpu_count() or 1)) / len(parts)
    return {"share_done": done, "seconds": last - first, "whole_s": time.time() - began}


def measure(name: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        files = [pictures / f"{place:06}" for place in range(count)]
        files = [file.with_suffix(".png" if name == SMALL else ".jpg") for file in files]
        for place, file in enumerate(files):
            first = files[place - place % MOST_LINKS]
            if file is first:
                file.write_bytes(bodies()[name].content)
            else:
                os.link(first, file)
        rate = alone(files)
        found = scored(pictures, Path(folder) / "out")
    return {
        "pictures": count,
        "alone_per_s": rate,
        "scored_per_s": count * found["share_done"] / found["seconds"],
        "whole_s": found["whole_s"],
    }


def main() -> None:
    figures: dict[str, Any] = circumstances([])
    figures["scoring"] = {name: measure(name, count) for name, count in COUNTS.items()}
    OUTPUT.write_text(json.dumps(figures, indent=1) + "\n")
    print(scoring_table(figures), end="")


def scoring_table(figures: dict[str, Any]) -> str:
    """Returns the table of docs/scoring.md."""
    rows = [
        [
            name, f"{row['pictures']:,}", number(row["alone_per_s"]), number(row["scored_per_s"]),
            f"{row['scored_per_s'] / row['alone_per_s']:.2f}", f"{row['whole_s']:.0f}",
        ]
        for name, row in figures["scoring"].items()
    ]  # fmt: skip
    head = [
        "picture",
        "files",
        "reader and model alone, pictures/s",
        "scored, pictures/s",
        "share",
        "whole command, s",
    ]
    return table(head, rows) + "\n"


if __name__ == "__main__":
    main()
