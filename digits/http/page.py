"""The pages for people: each is one HTML file that loads nothing from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files

from starlette.responses import HTMLResponse

INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_of(name: str) -> HTMLResponse:
    """Returns the answer with the HTML file `name` of this folder.

    Its Content-Security-Policy admits the inline scripts and styles of the file by their hashes, and
    requests to this service; nothing else runs or loads, and no other page may frame it.
    """
    html = files("digits.http").joinpath(name).read_text()
    policy = {
        "default-src": "'none'",
        "script-src": _hashes(html, "script"),
        "style-src": _hashes(html, "style"),
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return HTMLResponse(
        html,
        headers={
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _hashes(html: str, tag: str) -> str:
    """The CSP sources of the inline elements with this tag; without one, none is admitted."""
    digests = [hashlib.sha256(text.encode()).digest() for found, text in INLINE.findall(html) if found == tag]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
