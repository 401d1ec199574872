"""How many replicas the load needs: by the requests that wait, and by the work that clients send.

A request with a photo costs a hundred times as much as one with a small PNG, and what is too much is refused
before it waits, so the number of requests alone would not show a load of photos.
"""

import time
from typing import TYPE_CHECKING, Any

from digits.inference.reader import Reader

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

WORK = "offered_work"  # the name of the replicas' figure
TARGET = 0.7  # of what a replica's threads can do: beyond it, requests begin to wait


class OfferedWork:
    """The decoding that clients ask of one replica."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._asked_at, self._offered_s = time.monotonic(), 0.0

    def share(self) -> float:
        """The work since the last call, done or refused, as a share of what the replica can do."""
        now, offered_s = time.monotonic(), self._reader.busy_s + self._reader.refused_s
        seconds = max(now - self._asked_at, 0.001) * self._reader.threads
        share = (offered_s - self._offered_s) / seconds
        self._asked_at, self._offered_s = now, offered_s
        return share


def replicas_needed(context: "AutoscalingContext") -> tuple[float, dict[str, Any]]:
    """The policy of autoscaling_config: Ray applies its bounds and delays to the first value.

    `target_ongoing_requests` is the number of requests that each replica may have.
    """
    assert context.config is not None  # Ray declares it optional and always sets it
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    shares = (context.aggregated_metrics or {}).get(WORK, {})
    return max(by_requests, sum(shares.values()) / TARGET), {}
