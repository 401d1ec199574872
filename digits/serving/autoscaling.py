"""The number of replicas that the load needs, by concurrent requests and by decoding work.

A request with a photo costs a hundred times as much as one with a small PNG, and excess work is refused
before it waits. So the number of requests alone would not show a load of photos.
"""

import time
from typing import TYPE_CHECKING, Any

from digits.inference.reader import Reader

if TYPE_CHECKING:
    from ray.serve.config import AutoscalingContext

WORK = "offered_work"  # the name of the replicas' metric
TARGET = 0.7  # the share of a replica's capacity above which requests begin to wait


class OfferedWork:
    """The decoding work that clients send to one replica."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._asked_at, self._offered_s = time.monotonic(), 0.0

    def share(self) -> float:
        """Returns the work since the last call, done or refused, as a share of the replica's capacity."""
        now, offered_s = time.monotonic(), self._reader.busy_s + self._reader.refused_s
        seconds = max(now - self._asked_at, 0.001) * self._reader.threads
        share = (offered_s - self._offered_s) / seconds
        self._asked_at, self._offered_s = now, offered_s
        return share


def replicas_needed(context: "AutoscalingContext") -> tuple[float, dict[str, Any]]:
    """Returns the number of replicas: the policy of autoscaling_config. Ray applies bounds and delays.

    `target_ongoing_requests` is the number of concurrent requests for each replica.
    """
    assert context.config is not None  # Ray declares it optional and always sets it
    by_requests = context.total_num_requests / context.config.get_target_ongoing_requests()
    shares = (context.aggregated_metrics or {}).get(WORK, {})
    return max(by_requests, sum(shares.values()) / TARGET), {}
