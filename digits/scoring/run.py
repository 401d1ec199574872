"""The Ray Data job: blocks -> a pool of actors -> parts.

The only module of this folder that imports ray.data.
"""

import logging
import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Never, cast
from uuid import uuid4

import ray
import ray.data
from tqdm import tqdm

from digits.errors import ScoringFailed, last_line
from digits.ray_start import left_when_interrupted, start_ray
from digits.registry.source import open_source
from digits.registry.versions import is_registered
from digits.scoring.inputs import Block, blocks_of
from digits.scoring.results import CONTINUE, Format, Results
from digits.scoring.worker import Done, Scorer
from digits.task import ModelVersion

# The size of a part: seconds of work, so that its start costs little, and little is repeated after a kill.
MOST_FILES, MOST_BYTES = 5_000, 100_000_000


@dataclass(frozen=True)
class Summary:
    parts: int  # in all
    written: int  # parts that this call has written
    version: ModelVersion
    pictures: int  # pictures that this call has scored
    digits: int  # of these
    seconds: float


def score(
    inputs: Sequence[str], out: str, form: Format, model_uri: str, model_cache: str, workers: int | None
) -> Summary:
    """Scores all pictures that are not in `out` yet, with `workers` actors of one CPU (None: all CPUs).

    Raises DataUnavailable, InvalidSettings, RayUnavailable, ScoringFailed, and what loading the model raises.
    """
    out = out.rstrip("/") if "://" in out else str(Path(out).resolve())
    blocks = blocks_of(inputs, MOST_FILES, MOST_BYTES, out)
    version = open_source(model_uri, model_cache).resolve()
    # An alias may move during the scoring; all parts must come from the version that it points to now.
    pinned = f"models:/{version.name}/{version.version}" if is_registered(model_uri) else model_uri
    results = Results(out, form)
    remaining = results.begin(blocks, version)
    began, pictures, digits = time.monotonic(), 0, 0
    try:
        if remaining:
            arguments = (pinned, model_cache, out, form, uuid4().hex)
            parts = closing(_run(blocks, remaining, Scorer, arguments, workers))  # Ray Data ends before Ray
            with left_when_interrupted(), _bar(blocks, remaining) as bar, parts as every:
                for done in every:
                    bar.update(done["pictures"])
                    pictures, digits = pictures + done["pictures"], digits + done["digits"]
        results.end({"parts": len(blocks), "model": asdict(version)})
    except ScoringFailed as error:
        raise ScoringFailed(f"{error}; {CONTINUE}") from error
    seconds = round(time.monotonic() - began, 1)
    return Summary(len(blocks), len(remaining), version, pictures, digits, seconds)


def _bar(blocks: Sequence[Block], remaining: Sequence[int]) -> "tqdm[Never]":
    """Returns a progress bar. The remaining time is known for files only, not for Parquet."""
    whole = sum(len(block.files) for block in blocks)
    done = whole - sum(len(blocks[number].files) for number in remaining)
    has_parquet = any(block.row_group is not None for block in blocks)
    return tqdm(total=None if has_parquet else whole, initial=0 if has_parquet else done, unit="picture")


def _run(
    blocks: Sequence[Block],
    remaining: Sequence[int],
    scorer: type[Scorer],
    arguments: tuple[str, ...],
    workers: int | None,
) -> Generator[Done]:
    # Ray Data's own actors cause a harmless error message of the C++ core at each start.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    start_ray(logging_level=logging.ERROR, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    rows = [{"number": number, **asdict(blocks[number])} for number in remaining]
    cores: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    actors = min(workers or int(cores["CPU"]), len(rows))
    parts = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        scorer,  # type: ignore[arg-type]
        fn_constructor_args=arguments,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )
    try:
        with closing(cast("Generator[Done]", iter(parts.iter_rows()))) as every:
            for done in every:
                if done["failure"]:
                    raise ScoringFailed(f"a worker failed: {done['failure']}")
                yield done
    except ray.exceptions.RayError as error:
        raise ScoringFailed(f"a worker failed: {last_line(str(error))}") from error
