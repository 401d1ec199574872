"""The address of the MLflow tracking server: where it comes from, its checks, and how it is shown."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from digits.errors import NotRegistered, TrackingUnavailable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
FORMS = "http://HOST:PORT, https://HOST or sqlite:////FOLDER/mlflow.db"


def tracking_uri() -> str:
    """Returns MLFLOW_TRACKING_URI, or mlflow.db in the current folder as a full path, for workers.

    Raises TrackingUnavailable for an address that MLflow would take for a folder name.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
    if "://" not in uri or uri.startswith("file:"):
        raise TrackingUnavailable(
            f"MLFLOW_TRACKING_URI is {_shown(uri)}, which is not the address of an MLflow server; "
            f"set it to {FORMS}{_guess(uri)}"
        )
    return uri


def is_unwritten(uri: str) -> bool:
    """Returns whether the address is a file that no training has written; opening it would create it."""
    return uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).exists()


def existing_tracking_uri() -> str:
    """Returns `tracking_uri` for reading. Raises NotRegistered where MLflow would create an empty file."""
    uri = tracking_uri()
    if is_unwritten(uri):
        raise NotRegistered(
            f"no model is registered: {uri} does not exist; train a model with `python -m digits train`, or "
            "set MLFLOW_TRACKING_URI"
        )
    return uri


def _shown(uri: str) -> str:
    """Returns the text without anything before an @, which may be a password."""
    return repr(re.sub(r".*@", "", uri))


def _guess(uri: str) -> str:
    """Returns the probably intended address, as the end of a sentence."""
    if re.fullmatch(r"[\w.-]+:\d+/?", uri):
        return f", probably http://{uri}"
    folder = uri.removeprefix("file://")
    if "@" not in uri and (Path(folder) / "mlflow.db").is_file():
        return f", probably sqlite:///{Path(folder).resolve() / 'mlflow.db'}"
    return ""


def without_password(uri: str) -> str:
    """Returns the address without its credentials, for messages, logs and /readyz."""
    return re.sub(r"(?<=://)[^/\s]*@", "", uri)


def bypass_proxy(uri: str) -> None:
    """Adds a server on this machine to no_proxy: a proxy elsewhere cannot reach it."""
    host = urlsplit(uri).hostname
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host in LOOPBACK and host not in listed.split(","):
        os.environ["no_proxy"] = ",".join(filter(None, (listed, host)))
