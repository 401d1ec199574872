"""The HTTP API in front of the starter model, in a thread of this process: for clients that need no Ray."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from digits.gateway.settings import EdgeSettings
from digits.inference.settings import ServeSettings
from testkit.cluster import wait_until
from testkit.fakes import api_of
from testkit.models import load_classifier
from testkit.ports import free_port


@contextmanager
def served(settings: EdgeSettings) -> Iterator[str]:
    """Yields the address of the app behind its gateway, in a thread of this process."""
    classifier = load_classifier(ServeSettings(model_uri="models/starter"))
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(api_of(classifier, settings), port=port, log_level=logging.WARNING, loop="asyncio")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    wait_until(lambda: server.started, 10)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)
