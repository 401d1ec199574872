"""The list of pictures that a training could not read, in the folder of its checkpoints."""

import logging
from collections.abc import Sequence

import fsspec

log = logging.getLogger(__name__)

NAME = "unreadable.txt"


def list_unreadable(folder: str, found: Sequence[str]) -> None:
    """Adds pictures to the list, and logs how many are new: every epoch meets the same ones again.

    A list that cannot be written is only logged: an exception would end the training.
    """
    if not found:
        return
    lines = [" ".join(each.split()) for each in found]
    try:
        system, path = fsspec.core.url_to_fs(f"{folder}/{NAME}")
        known = system.cat_file(path).decode().splitlines() if system.exists(path) else []
        every = dict.fromkeys([*known, *lines])
        if len(every) > len(known):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.pipe_file(path, "".join(f"{line}\n" for line in every).encode())
            log.warning("pictures left out unreadable=%d list=%s/%s", len(every), folder, NAME)
    except Exception as error:  # those of file systems share no base
        log.warning("pictures left out, not listed new=%d first=%s error=%s", len(lines), lines[0], error)
