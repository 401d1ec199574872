"""API keys: which paths need one, where a request carries it, and whether it is accepted.

Only the keys' SHA-256 hashes are configured (settings.py), so neither the environment nor a log contains a
key.
"""

import hashlib
import hmac
import re

from digits.errors import BadInput
from digits.gateway.settings import EdgeSettings
from digits.problems import PROBLEMS

SCHEME = re.compile(rb"\Abearer +", re.IGNORECASE)  # RFC 9110: in any case, followed by spaces
KEY_HEADERS = (b"authorization", b"x-api-key")
# Health checks and the manual need no key.
OPEN = frozenset((
    "/", "/docs", "/openapi.json", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/-/healthz",
    "/-/routes",
))  # fmt: skip
ADMIN = "/admin/"


def check_key(settings: EdgeSettings, path: str, sent: list[bytes]) -> None:
    """Raises BadInput unless one of the `sent` values of the KEY_HEADERS is a key for `path`.

    Without configured keys every path is open, except those under /admin/, which are disabled.
    """
    is_admin = path.startswith(ADMIN)
    accepted = settings.admin_keys_sha256 if is_admin else settings.api_keys_sha256
    if path in OPEN or not (accepted or is_admin):
        return
    if not accepted:
        raise BadInput("path_disabled", PROBLEMS["path_disabled"].detail)
    if not sent:
        raise BadInput("key_missing", PROBLEMS["key_missing"].detail)
    # A proxy in front may need one of the headers for itself, so either may hold the key.
    hashes = [hashlib.sha256(SCHEME.sub(b"", value)).hexdigest() for value in sent]
    # Every pair is compared, in constant time, so that the duration reveals nothing about the keys.
    if not sum(hmac.compare_digest(one, known) for one in hashes for known in accepted):
        raise BadInput("key_refused", PROBLEMS["key_refused"].detail)
