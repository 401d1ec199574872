"""Requests that the service has accepted, when their clients hang up or the service stops."""

import asyncio
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from testkit.cluster import LocalCluster, deployment_of, wait_until
from testkit.encodings import Body
from testkit.traffic import BODY
from tests.serve.hanging import COUNTED, HELD, SLOW, body
from tests.serve.raw_clients import all_of, connect, head_of
from tests.serve.under_load import Figure, with_variables

Answer = tuple[int, str]  # status and text; status 0: no answer


@pytest.fixture
def seen(tmp_path_factory: pytest.TempPathFactory, cluster: LocalCluster) -> Path:
    """The file in which a replica of tests/serve/hanging.py counts its images; the replica is up."""
    file = tmp_path_factory.mktemp("seen") / "seen"
    config = with_variables(cluster.fixed(1), DIGITS_SEEN=str(file))
    config["applications"][0]["import_path"] = "tests.serve.hanging:app"
    deployment = deployment_of(config)
    deployment["health_check_period_s"] = 60  # a held batch must not count as a model that hangs
    deployment["user_config"]["queue_timeout_s"] = 25
    cluster.apply(config)
    wait_until(file.exists, timeout_s=90, on_timeout=cluster.logs)  # a new replica warms up its model
    cluster.wait_until_running_are(1, timeout_s=90)

    def is_alone() -> bool:
        before = file.stat().st_size
        answers = [ask(cluster, body(COUNTED)) for _ in range(4)]
        return all(status == 200 for status, _ in answers) and file.stat().st_size == before + 4

    wait_until(is_alone, timeout_s=30, on_timeout=cluster.logs)  # the old one may still answer
    return file


def ask(cluster: LocalCluster, image: Body) -> Answer:
    try:
        headers = {"Content-Type": image.content_type or ""}
        response = httpx2.post(f"{cluster.url}/predict", content=image.content, headers=headers, timeout=40)
    except httpx2.TransportError as error:
        return 0, repr(error)
    return response.status_code, response.text


@pytest.mark.haproxy_only  # Ray's own proxy does not report every client that hangs up to the replica
def test_abandoned_requests_never_reach_the_model(cluster: LocalCluster, seen: Path, figure: Figure) -> None:
    """Their clients hang up while another batch runs."""
    abandoned, there = 200, 20
    image = body(COUNTED)

    async def waiting_are(count: int) -> None:
        waiting = seen.with_name("waiting").read_text
        await asyncio.to_thread(
            wait_until, lambda: waiting() == str(count), 15, lambda: f"{waiting()} wait, not {count}"
        )

    async def send(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await connect(port)
        writer.write(head_of(image) + image.content)
        await writer.drain()
        return reader, writer

    async def stay(port: int, _: int) -> bytes:
        reader, _writer = await send(port)
        return await reader.readuntil(b"\r\n")

    async def all_clients() -> list[bytes]:
        staying = asyncio.create_task(all_of(stay, cluster.port, there, at_once=there))
        given_up = [await send(cluster.port) for _ in range(abandoned)]
        await waiting_are(there + abandoned)
        for _reader, writer in given_up:
            writer.transport.abort()
        await waiting_are(there)
        assert seen.stat().st_size == before + 1
        seen.with_name("go").touch()
        return await staying

    before = seen.stat().st_size
    with ThreadPoolExecutor(1) as threads:
        busy = threads.submit(ask, cluster, body(HELD))
        wait_until(lambda: seen.stat().st_size == before + 1, timeout_s=30)
        answers = set(asyncio.run(all_clients()))
        assert busy.result()[0] == 200
    assert ask(cluster, BODY)[0] == 200
    saw = seen.stat().st_size - before - 1
    figure(f"{there} clients waited, {abandoned} hung up, the model got {saw} images")
    assert answers == {b"HTTP/1.1 200 OK\r\n"}
    assert saw == there


def accepted_requests(
    cluster: LocalCluster, threads: ThreadPoolExecutor, requests: int, seen: Path
) -> list[Future[Answer]]:
    """Returns slow requests that the service has accepted: some are in the model, the others wait."""
    before = seen.stat().st_size
    futures = [threads.submit(ask, cluster, body(SLOW)) for _ in range(requests)]
    wait_until(lambda: seen.stat().st_size > before, timeout_s=30, on_timeout=cluster.logs)
    time.sleep(0.2)
    assert not any(future.done() for future in futures)
    return futures


def counted(statuses: Counter[int]) -> str:
    """Returns "8 answered with 200, 2 without an answer"."""
    texts = [
        f"{count} {f'answered with {status}' if status else 'without an answer'}"
        for status, count in sorted(statuses.items(), reverse=True)
    ]
    return ", ".join(texts)


@pytest.mark.long_behind_rays_proxy
def test_a_removed_application_answers_accepted_requests(
    cluster: LocalCluster, seen: Path, figure: Figure
) -> None:
    """Later requests get a problem that names the reason, or no answer."""
    config = cluster.config()
    config["applications"] = []
    with ThreadPoolExecutor(16) as threads:
        accepted = accepted_requests(cluster, threads, 8, seen)
        cluster.apply(config)
        wait_until(lambda: ask(cluster, BODY)[0] != 200, timeout_s=30)
        later = [threads.submit(ask, cluster, BODY) for _ in range(8)]
        statuses = Counter(future.result()[0] for future in accepted)
        refused = Counter(future.result()[0] for future in later)
    figure(f"accepted requests: {counted(statuses)}; later ones: {counted(refused)}")
    assert statuses == {200: 8}
    assert refused.keys() <= {0, 404, 503}


@pytest.mark.long_behind_rays_proxy
def test_serve_shutdown_leaves_no_client_waiting(cluster: LocalCluster, seen: Path, figure: Figure) -> None:
    """Each accepted request is answered or closed within 5 s of the end of the command."""
    with ThreadPoolExecutor(8) as threads:
        accepted = accepted_requests(cluster, threads, 8, seen)
        start = time.monotonic()
        cluster.run("serve", "shutdown", "-y")
        ended_s = time.monotonic() - start
        statuses = Counter(future.result(timeout=5)[0] for future in accepted)
    figure(f"accepted requests: {counted(statuses)}; the command took {ended_s:.1f} s")
    assert statuses.keys() <= {0, 200, 503}
    assert ask(cluster, BODY)[0] == 0
    assert ended_s < 40
