"""Ray Data: chunks read in parallel, in order. The only module of this folder that imports ray.data."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import ray
import ray.data

from digits.errors import DataUnavailable, last_line
from digits.streaming.chunks import Chunk
from digits.streaming.reading import Rows, read_chunk

NODE = "ray.io/node-id"  # the label that Ray gives to each node


def stream(chunks: Sequence[Chunk], readers: int) -> Iterator[Rows]:
    """Yields the rows of the chunks in order, read ahead by this many tasks on this node.

    The tasks share the CPUs that this process has reserved. A task that dies runs again, and its rows are
    yielded once. Raises DataUnavailable.
    """
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it logs each error that it raises
    items = [{"chunk": chunk.to_json()} for chunk in chunks]
    rows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _read,
        batch_size=1,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=readers),
        label_selector={NODE: ray.get_runtime_context().get_node_id()},
    )
    try:
        for batch in rows.iter_batches(batch_size=None, prefetch_batches=readers):
            yield Rows(batch["images"], batch["labels"], batch["errors"].tolist())
    except ray.exceptions.RayError as error:
        raise DataUnavailable(f"the data cannot be read: {_cause(error)}") from error


def _cause(error: ray.exceptions.RayError) -> str:
    """Returns the last line of the error in a reading task: Ray Data raises one about its retries from it."""
    chain = str(error).split("\n\nThe above exception was the direct cause of the following exception:\n")
    is_about_retries = isinstance(error, ray.exceptions.UserCodeException) and len(chain) > 1
    return last_line(chain[-2] if is_about_retries else chain[-1])


def _read(batch: dict[str, Any]) -> dict[str, Any]:
    (text,) = batch["chunk"]
    rows = read_chunk(Chunk.from_json(text))
    return {"images": rows.images, "labels": rows.labels, "errors": rows.errors}
