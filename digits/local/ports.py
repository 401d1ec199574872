"""The ports of this machine, and which processes hold them."""

import errno
import socket
from contextlib import suppress
from pathlib import Path

from digits.local.processes import target

LISTENING = "0A"  # the state of a listening socket in /proc/net/tcp


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Returns whether a server could listen on the port now."""
    try:
        with socket.create_server((host, port)):
            return True
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise


def holder(port: int) -> str:
    """Returns "NAME (pid N)" of the process that listens on the port, if it belongs to the user."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for file in (process / "fd").iterdir():
                if target(file) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return "a process of another user" if Path("/proc/self").exists() else "another process"
