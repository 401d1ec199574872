"""Ray for a training or a scoring: the cluster of RAY_ADDRESS, or one that is started on this machine."""

import logging
import os
import re
import socket
from typing import Any

from digits.errors import RayUnavailable

ANSWERS_WITHIN_S = 5.0
# Its start logs an error about its own actor, and nothing announces the end of a Ray that is started here.
PREEMPTION_WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"
TOKENS = "ray._private.authentication.authentication_token_setup"  # a logger


def start_ray(**options: Any) -> None:
    """Calls `ray.init` with these options, unless this process has called it.

    Raises RayUnavailable.
    """
    import ray

    if ray.is_initialized():
        return
    if address := os.environ.get("RAY_ADDRESS"):
        check_answers(address)
    else:  # Ray warns that what it starts requires a token, which it finds by itself
        logging.getLogger(TOKENS).setLevel(logging.ERROR)
        options["dashboard_port"] = 0  # a free one: 8265 is that of `make serve`
    try:
        ray.init(**options)
    except Exception as error:  # of many classes; Exception itself if a process starts too slowly
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise RayUnavailable(f"Ray does not start: {reason}") from error


def check_answers(address: str) -> None:
    """Raises RayUnavailable if nothing listens at this RAY_ADDRESS: Ray itself would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?\[?([^\s/]+?)\]?:(\d{1,5})", address)
    if not found:  # a word that Ray knows, like auto
        return
    try:
        socket.create_connection((found[1], int(found[2])), ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise RayUnavailable(
            f"nothing answers at RAY_ADDRESS {address} ({error}); start that cluster, correct the address, "
            f"or unset RAY_ADDRESS to run on this machine"
        ) from error
