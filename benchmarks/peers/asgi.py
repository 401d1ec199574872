"""The ceiling: uvicorn alone, one process with uvloop and httptools, the model on the event loop.

    python -m uvicorn benchmarks.peers.asgi:app --loop=uvloop --http=httptools --lifespan=off

A batch is all that has arrived while the last one ran.
"""

import asyncio
import json

from starlette.types import Receive, Scope, Send

from testkit.models import classify, load_model

MAX_BATCH_SIZE = 64
MODEL = load_model(max_batch_size=MAX_BATCH_SIZE)

waiting: list[tuple[bytes, asyncio.Future[list[float]]]] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    loop = asyncio.get_running_loop()
    if not waiting:
        loop.call_soon(answer_batch)
    waiting.append((body, answer := loop.create_future()))
    probabilities = await answer
    digit = probabilities.index(max(probabilities))
    content = json.dumps({"digit": digit, "probabilities": probabilities}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def answer_batch() -> None:
    batch = waiting[:MAX_BATCH_SIZE]
    del waiting[:MAX_BATCH_SIZE]
    if waiting:
        asyncio.get_running_loop().call_soon(answer_batch)
    rows = classify(MODEL, [body for body, _ in batch])
    for (_, answer), row in zip(batch, rows, strict=True):
        if not answer.done():
            answer.set_result(row)
