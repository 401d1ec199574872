"""Ray Data: chunks read in parallel, in order. The only module of this folder that imports ray.data."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import ray
import ray.data

from digits.streaming.chunks import Chunk
from digits.streaming.reading import Rows, read_chunk

NODE = "ray.io/node-id"  # the label that Ray gives to each node


def stream(chunks: Sequence[Chunk], readers: int) -> Iterator[Rows]:
    """Yields the rows of the chunks in order, read ahead by this many tasks on this node.

    The tasks share the CPUs that this process has reserved. A task that dies runs again, and its rows are
    yielded once. Errors of reading are raised within Ray's errors.
    """
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    items = [{"chunk": chunk.to_json()} for chunk in chunks]
    rows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _read,
        batch_size=1,
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=readers),
        label_selector={NODE: ray.get_runtime_context().get_node_id()},
    )
    for batch in rows.iter_batches(batch_size=None, prefetch_batches=readers):
        yield Rows(batch["images"], batch["labels"], batch["errors"].tolist())


def _read(batch: dict[str, Any]) -> dict[str, Any]:
    (text,) = batch["chunk"]
    rows = read_chunk(Chunk.from_json(text))
    return {"images": rows.images, "labels": rows.labels, "errors": rows.errors}
