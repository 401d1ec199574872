"""The HTML pages: each is one self-contained file."""

import base64
import hashlib
import json
import re
from importlib.resources import files

from starlette.responses import HTMLResponse

from digits.task import CHANNELS, LABELS, NOUN, READER, SIDE

UNSENT = re.compile(r"\n\s*(?://[^\n]*)?")  # indentation and comments: a twentieth of the bytes
# What a page needs to know of the task; `<` could end the element that holds it.
TASK = json.dumps(
    {"noun": NOUN, "labels": LABELS, "side": SIDE, "channels": CHANNELS, "draws": READER == "digit"}
).replace("<", "\\u003c")
INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def page_of(name: str) -> HTMLResponse:
    """Returns the answer with the HTML file `name` of this folder, with {{task}} replaced by TASK.

    Its Content-Security-Policy allows the file's inline scripts and styles by their hashes, and requests to
    this service. Nothing else may run or load, and no other page may frame it.
    """
    text = files("digits.http").joinpath(name).read_text("utf-8")
    html = UNSENT.sub("\n", text).replace("{{task}}", TASK)
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
        },
    )


def _hashes(html: str, tag: str) -> str:
    """Returns the CSP sources for the inline elements with this tag; 'none' if there are none."""
    digests = [hashlib.sha256(text.encode()).digest() for found, text in INLINE.findall(html) if found == tag]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
