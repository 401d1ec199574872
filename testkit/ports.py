"""Ports for the servers that tests and benchmarks start."""

import random
from collections.abc import Callable, Collection

from digits.local.instance import Instance
from digits.local.ports import is_free

# Ray's workers take ports below these and its replicas ports above: only the server takes one of these.
LOWEST, END = 20_000, 30_000
ATTEMPTS = 10_000

_given: set[int] = set()


def free_port() -> int:
    """Returns a port on which nothing listens, never the same one twice."""
    return _choose(lambda port: [port])


def free_service_port() -> int:
    """Returns a PORT for `make serve`, of which no other port is taken or will be given by `free_port`."""
    return _choose(lambda port: Instance(port).ports.values())


def _choose(ports_of: Callable[[int], Collection[int]]) -> int:
    for _ in range(ATTEMPTS):
        port = random.randrange(LOWEST, END)
        ports = ports_of(port)
        if max(ports) < END and _given.isdisjoint(ports) and all(map(is_free, ports)):
            _given.update(ports)
            return port
    raise RuntimeError(f"{ATTEMPTS:,} ports between {LOWEST} and {END} were tried, and none is free")
