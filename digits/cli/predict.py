"""`python -m digits predict`."""

import http.client
import json
import os
import sys
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click

from digits.cli.flags import model_option
from digits.errors import BadInput
from digits.task import LABELS, NOUN

Answer = dict[str, Any]  # as the service's JSON, or {"error": {"code", "detail"}}
TIMEOUT_S = 60
KEY = "DIGITS_API_KEY"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", help="Send the pictures to the service at this address instead of loading a model.")
@model_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for each picture.")
def predict(files: tuple[Path, ...], url: str | None, model: str, as_json: bool) -> None:
    """Read the digit in each picture.

    The status is 0 if every picture has an answer, 1 if one has none, 2 for a wrong command line. If the
    service requires an API key, set it in the environment variable DIGITS_API_KEY.

    \b
    Examples:
      python -m digits predict docs/seven.png
      python -m digits predict --json *.png | jq .digit
      python -m digits predict --url http://127.0.0.1:8000 photo.jpg
      python -m digits predict --model models:/digits@champion photo.jpg
    """
    width = max(len(str(file)) for file in files)
    failed = False
    for file, answer in zip(files, _answers(files, url, model), strict=True):
        failed |= "error" in answer
        click.echo(json.dumps({"file": str(file)} | answer) if as_json else _line(file, width, answer))
    sys.exit(1 if failed else 0)


def _line(file: Path, width: int, answer: Answer) -> str:
    if "error" in answer:
        return f"{file!s:{width}}  -  {answer['error']['detail']}"
    return f"{file!s:{width}}  {LABELS[answer[NOUN]]}  {answer['confidence']:.1%}"


def _answers(files: tuple[Path, ...], url: str | None, model: str) -> Iterator[Answer]:
    ask = _service(url) if url else _model(model)
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            yield _error("file_unreadable", f"the file cannot be read: {error.strerror}")
            continue
        yield ask(content)


def _error(code: str, detail: str) -> Answer:
    return {"error": {"code": code, "detail": detail}}


def _service(url: str) -> Callable[[bytes], Answer]:
    """Returns a function that sends a picture to a running service, or raises click.ClickException."""
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url must begin with http:// or https://, not {url!r}")
    is_here = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    # A proxy elsewhere cannot reach a service on this machine.
    opener = build_opener(ProxyHandler({})) if is_here else build_opener()
    address = f"{url.rstrip('/').removesuffix('/predict')}/predict"

    def ask(content: bytes) -> Answer:
        headers = {"Content-Type": "image/*"}  # so that other bytes are an error, not grey levels
        if key := os.environ.get(KEY, "").strip():  # a Secret often ends with a line break
            headers["X-API-Key"] = key
        try:
            request = Request(address, content, headers)
            with opener.open(request, timeout=TIMEOUT_S) as response:
                answer: Answer = json.load(response)
        except urllib.error.HTTPError as error:
            return {"error": _problem(error)}
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise click.ClickException(
                f"no service answers at {url}: {reason}; start one with `make serve`, or leave out --url"
            ) from error
        except (http.client.HTTPException, ValueError):
            answer = {}
        if not isinstance(answer, dict) or NOUN not in answer:
            raise click.ClickException(f"another program answers at {url}; check host and port")
        return answer

    return ask


def _problem(error: urllib.error.HTTPError) -> Answer:
    try:
        problem: Answer = json.load(error)
        return {"code": problem["code"], "detail": problem["detail"]}
    except (ValueError, KeyError, TypeError):
        return {"code": "http_error", "detail": f"the service answered {error.code} {error.reason}"}


def _model(model_uri: str) -> Callable[[bytes], Answer]:
    """Returns a function that reads a picture with a model loaded in this process.  Raises ModelRejected."""
    from digits.inference.offline import OfflineModel
    from digits.inference.settings import ServeSettings
    from digits.registry.source import open_source

    settings = ServeSettings.parse({"model_uri": model_uri})
    model = OfflineModel(open_source(settings.model_uri, settings.model_cache), max_batch_size=1)

    def ask(content: bytes) -> Answer:
        (item,) = model.predict([content])
        if isinstance(item, BadInput):
            return _error(item.code, item.detail)
        found: Answer = {
            NOUN: item.position,
            "label": item.label,
            "confidence": item.confidence,
            "probabilities": item.probabilities,
        }
        if item.is_digit is not None:
            found["is_digit"] = item.is_digit
        return found | {"model": {"name": item.model.name, "version": item.model.version}}

    return ask
