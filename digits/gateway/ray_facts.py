"""Private behaviour of Ray and HAProxy that the gateway relies on; digits/ray_internals.py checks it."""

from typing import Any

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# A node's address is then 127.0.0.1, as it is on macOS by default, and Ray's servers listen there.
LOOPBACK_NODE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Without these headers a replica runs each request under two more tasks and a timer, which watch for slow and
# disconnected clients.  HAProxy's timeouts and the batch queue already do that.
DISABLED_RAY_WATCHDOGS = ((b"x-request-timeout-seconds", b"0"), (b"x-request-disconnect-disabled", b"?1"))
# HAProxy waits for a body that fits, with the headers, in its buffer of 32 KiB (serve.env), of which it keeps
# 1 KiB free (tune.maxrewrite).
HAPROXY_BUFFERED_BYTES = 31 * 1024


def app_without_request_ids(app: Any) -> Any:
    """Returns the app inside Ray Serve's request-id middleware, or the given app if it is another one."""
    return app._app if type(app).__name__ == "RequestIdMiddleware" else app
