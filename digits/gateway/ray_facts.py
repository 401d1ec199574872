"""What the gateway uses of private behaviour of Ray and HAProxy; digits/ray_internals.py checks it."""

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
# A node's address is then 127.0.0.1, as it is on macOS by default, and Ray's servers listen there.
LOOPBACK_NODE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Without these headers a replica runs each request under two more tasks and a timer, which watch for slow and
# vanished clients.  HAProxy's timeouts and the batch queue do that already.
DISABLED_RAY_WATCHDOGS = ((b"x-request-timeout-seconds", b"0"), (b"x-request-disconnect-disabled", b"?1"))
# HAProxy waits for a body that fits, with the headers, in its buffer of 32 KiB (serve.env), of which it keeps
# 1 KiB free (tune.maxrewrite).
HAPROXY_BUFFERED_BYTES = 31 * 1024
