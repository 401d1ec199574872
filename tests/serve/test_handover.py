"""The application `handover` runs once every worker has answered for a while, or fails in time."""

import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from ray.serve.exceptions import RayServeException

from digits.serving.handover import ASK_EVERY_S, NAME, HandoverSettings, Seen, _answers, wait
from testkit.cluster import ENVIRONMENTS, LocalCluster, wait_until
from testkit.ports import free_port

SETTINGS = HandoverSettings(answered_for_s=5, within_s=60)


def waited_s(look: Callable[[float], Seen]) -> float:
    """Returns the seconds until `wait` returns, by a clock that only its pauses move."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        assert now[0] < 1000, "it waits for ever"

    wait(SETTINGS, lambda: look(now[0] - 100), lambda: now[0], sleep)
    return now[0] - 100


def seen(*answers: bool, others_run: bool = True) -> Seen:
    return Seen(others_run, {f"10.0.0.{number}": is_good for number, is_good in enumerate(answers)})


def test_it_waits_until_every_worker_has_answered_for_5_s() -> None:
    """The second worker answers from second 3 on."""
    assert waited_s(lambda now: seen(True, now >= 3)) == 8


def test_a_failed_answer_begins_the_wait_again() -> None:
    assert waited_s(lambda now: seen(True, now != 4)) == 4 + ASK_EVERY_S + 5


def test_a_worker_that_joins_must_answer_as_long() -> None:
    assert waited_s(lambda now: seen(True) if now < 4 else seen(True, True)) == 9


def test_a_worker_that_has_gone_is_not_waited_for() -> None:
    assert waited_s(lambda now: seen(True, False) if now < 20 else seen(True)) == 20


def test_it_waits_for_the_other_applications() -> None:
    """Longer than `within_s`: the state of the other application says why it does not run."""
    assert waited_s(lambda now: seen(True, others_run=now >= 300)) == 300


@pytest.mark.parametrize(("answers", "said"), [((True, False), "http://10.0.0.1:8000"), ((), "no node")])
def test_it_fails_in_time_and_names_the_silent_worker(answers: tuple[bool, ...], said: str) -> None:
    with pytest.raises(RayServeException, match=said):
        waited_s(lambda now: seen(*answers))


def test_a_worker_is_asked_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster may give each pod the proxy of its network, and no_proxy cannot name all pods."""

    class Worker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "")
    with ThreadingHTTPServer(("127.0.0.1", 0), Worker) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert _answers("127.0.0.1", server.server_address[1])


def test_a_worker_that_answers_no_http_is_silent() -> None:
    """An error would end the task, which Serve then repeats without an end."""
    with socket.create_server(("127.0.0.1", 0)) as worker:

        def answer() -> None:
            connection, _ = worker.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"?\r\n")

        Thread(target=answer, daemon=True).start()
        assert not _answers("127.0.0.1", worker.getsockname()[1])


def with_handover(cluster: LocalCluster, **args: Any) -> dict[str, Any]:
    config = cluster.fixed(1)
    config["http_options"]["host"] = "0.0.0.0"  # as in a pod: it asks at the node's address
    config["applications"].append(
        {"name": NAME, "route_prefix": None, "import_path": "digits.serving.handover:app", "args": args}
    )
    return config


def handover(cluster: LocalCluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.details()["applications"].get(NAME, {})
    return found


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    """A cluster behind HAProxy whose applications end with the module."""
    with LocalCluster(**ENVIRONMENTS["haproxy"]()) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def states(own: LocalCluster) -> list[dict[str, str]]:
    """The states of the applications, from their first deployment to when both run."""
    own.apply(with_handover(own, port=own.port, answered_for_s=3, within_s=60))
    seen: list[dict[str, str]] = []

    def both_run() -> bool:
        applications = own.details()["applications"]
        seen.append({name: one["status"] for name, one in applications.items()})
        return seen[-1] == {"digits": "RUNNING", NAME: "RUNNING"}

    wait_until(both_run, 120, lambda: str(handover(own)))
    return seen


def test_serve_runs_it_after_the_service_and_nothing_stays(
    own: LocalCluster, states: list[dict[str, str]]
) -> None:
    """With a real Serve: it is deployed at once, runs after `digits`, and has no replica."""
    assert {"digits": "RUNNING", NAME: "DEPLOYING"} in states
    assert own.ready()
    assert [one["replicas"] for one in handover(own)["deployments"].values()] == [[]]
    assert handover(own)["route_prefix"] is None


@pytest.mark.usefixtures("states")
def test_a_change_of_the_service_in_place_does_not_wait_again(own: LocalCluster) -> None:
    config = with_handover(own, port=own.port, answered_for_s=3, within_s=60)
    config["applications"][0]["deployments"][0]["user_config"]["max_batch_size"] = 32
    before = handover(own)["last_deployed_time_s"]
    own.apply(config)
    wait_until(lambda: handover(own)["last_deployed_time_s"] > before, 30)
    wait_until(lambda: handover(own)["status"] == "RUNNING", 2.5)  # sooner than after a wait of 3 s


def test_without_answers_it_is_deploy_failed_with_the_reason(own: LocalCluster) -> None:
    """On a port where nothing listens.  The service still answers, and the same again is another try."""
    port = free_port()
    config = with_handover(own, port=port, answered_for_s=1, within_s=2)
    for _ in range(2):
        own.apply(config)
        for status in ("DEPLOYING", "DEPLOY_FAILED"):
            wait_until(lambda: handover(own).get("status") == status, 60, lambda: str(handover(own)))  # noqa: B023
        assert f":{port}/-/healthz. The old cluster keeps the traffic" in handover(own)["message"]
    assert own.ready()
