"""The real service over HTTP: serve_config.yaml deployed with `serve deploy`."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import numpy as np
import pytest

from digits.http.schemas import PredictResponse
from digits.vision.golden import golden_digits
from testkit.cluster import LocalCluster, deployment_of, wait_until
from testkit.encodings import MANY, ONE, Body, image_file

IMAGES, LABELS = golden_digits()
pytestmark = pytest.mark.essential


@pytest.fixture(scope="module")
def service(cluster: LocalCluster) -> Iterator[httpx2.Client]:
    """A client of the shipped configuration."""
    cluster.deploy(cluster.config())
    cluster.wait_until_running()
    with httpx2.Client(base_url=cluster.url, timeout=30) as client:
        yield client


def post(client: httpx2.Client, body: Body) -> httpx2.Response:
    headers = {} if body.content_type is None else {"Content-Type": body.content_type}
    return client.post("/predict", content=body.content, headers=headers)


def test_readyz_names_the_model(service: httpx2.Client) -> None:
    ready = {"status": "ready", "model": {"name": "digits", "version": "starter"}, "warning": None}
    assert service.get("/readyz").json() == ready


@pytest.mark.parametrize("label", range(10))
def test_every_form_of_a_digit_gives_the_same_answer(service: httpx2.Client, label: int) -> None:
    answers = [
        PredictResponse.model_validate_json(post(service, form(IMAGES[label])).content)
        for form in ONE.values()
    ]
    assert {answer.position for answer in answers} == {label}
    for answer in answers:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-6)


def test_an_explanation_names_the_replica(service: httpx2.Client) -> None:
    body = {"pixels": golden_digits()[0][0].tolist()}
    answer = service.post("/predict?explain=true", json=body).json()
    assert answer["pixels"] == body["pixels"]
    assert answer["timing"]["replica"] not in ("", "local")


def test_many_images_are_answered_in_order(service: httpx2.Client) -> None:
    for form in MANY.values():
        predictions = post(service, form(list(IMAGES))).json()["predictions"]
        assert [prediction["digit"] for prediction in predictions] == LABELS.tolist()


def test_two_hundred_requests_at_once_get_their_own_answers(service: httpx2.Client) -> None:
    labels = [int(label) for label in LABELS] * 20
    files = [image_file(image) for image in IMAGES]
    with ThreadPoolExecutor(32) as threads:
        responses = list(threads.map(lambda label: post(service, Body(files[label], "image/png")), labels))
    assert [response.json()["digit"] for response in responses] == labels


def test_a_bad_request_is_a_problem_over_the_wire_too(service: httpx2.Client) -> None:
    response = post(service, Body(b"seven", "text/plain"))
    assert (response.status_code, response.json()["code"]) == (415, "content_type_unsupported")
    assert response.headers["content-type"] == "application/problem+json"


def test_a_change_of_user_config_reaches_the_running_replica(
    cluster: LocalCluster, service: httpx2.Client
) -> None:
    before = wait_until(cluster.replicas, timeout_s=30, on_timeout=cluster.logs)
    cluster.apply(cluster.config(max_images_per_request=3))
    body = MANY["base64 list"](list(IMAGES))
    wait_until(lambda: post(service, body).status_code == 413, timeout_s=30, on_timeout=cluster.logs)
    assert wait_until(cluster.replicas, timeout_s=30, on_timeout=cluster.logs) == before
    cluster.apply(cluster.config())
    wait_until(lambda: post(service, body).status_code == 200, timeout_s=30, on_timeout=cluster.logs)
    assert wait_until(cluster.replicas, timeout_s=30, on_timeout=cluster.logs) == before


@contextmanager
def asking(client: httpx2.Client, connections: int) -> Iterator[list[httpx2.Response]]:
    """Sends requests without a pause; yields the answers so far, and fails at the end if one is wrong."""
    stop = threading.Event()
    answers: list[httpx2.Response] = []

    def ask() -> None:
        body = ONE["png"](IMAGES[3])
        while not stop.is_set():
            answers.append(post(client, body))

    with ThreadPoolExecutor(connections) as threads:
        askers = [threads.submit(ask) for _ in range(connections)]
        try:
            yield answers
        finally:
            stop.set()
    for asker in askers:
        asker.result()
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert {answer.json()["digit"] for answer in answers} == {3}


@pytest.mark.long_behind_rays_proxy
def test_scaling_in_the_config_fails_no_request(cluster: LocalCluster, service: httpx2.Client) -> None:
    """From one replica to two and back."""
    cluster.apply(cluster.fixed(1))
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=60, on_timeout=cluster.logs)
    with asking(service, connections=4) as answers:
        for replicas in (2, 1):
            cluster.apply(cluster.fixed(replicas))
            wait_until(
                lambda: len(cluster.replicas()) == replicas,  # noqa: B023
                timeout_s=90, on_timeout=cluster.logs,
            )  # fmt: skip
    assert len(answers) > 50


@pytest.mark.long_behind_rays_proxy
def test_load_adds_a_replica_and_its_end_removes_one(cluster: LocalCluster, service: httpx2.Client) -> None:
    """The replicas follow the load within the bounds of autoscaling_config, and no request fails."""
    config = cluster.config()
    autoscaling = deployment_of(config)["autoscaling_config"]
    autoscaling |= {"target_ongoing_requests": 1, "upscale_delay_s": 1, "downscale_delay_s": 1}
    cluster.apply(config)
    with asking(service, connections=16):
        wait_until(lambda: len(cluster.replicas()) == 2, timeout_s=60, on_timeout=cluster.logs)
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=90, on_timeout=cluster.logs)


@pytest.mark.long_behind_rays_proxy
def test_photos_add_a_replica_though_few_wait(cluster: LocalCluster, service: httpx2.Client) -> None:
    """Eight requests at once are a quarter of target_ongoing_requests, and more than a replica can decode."""
    config = cluster.config()
    deployment_of(config)["autoscaling_config"]["upscale_delay_s"] = 1
    cluster.apply(config)
    wait_until(lambda: len(cluster.replicas()) == 1, timeout_s=150, on_timeout=cluster.logs)
    photo = Body(image_file(np.kron(IMAGES[3], np.ones((70, 70), np.uint8))), "image/png")
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            assert post(service, photo).status_code in (200, 429)

    with ThreadPoolExecutor(8) as threads:
        sending = [threads.submit(send) for _ in range(8)]
        try:
            wait_until(lambda: len(cluster.replicas()) == 2, timeout_s=60, on_timeout=cluster.logs)
        finally:
            stop.set()
        for sender in sending:
            sender.result()


def test_requests_beyond_the_queue_get_429_and_retry_after(
    cluster: LocalCluster, service: httpx2.Client
) -> None:
    """The others are answered, and with room in the queue all are again."""
    config = cluster.fixed(1)
    deployment_of(config).update({"max_ongoing_requests": 1, "max_queued_requests": 1})
    cluster.apply(config)
    large = Body(
        image_file(np.kron(IMAGES[3], np.ones((100, 100), np.uint8))), "image/png"
    )  # 0.1 s to decode

    def refused() -> list[httpx2.Response]:
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda _: post(service, large), range(12)))
        assert {answer.status_code for answer in answers} <= {200, 429}
        assert any(answer.status_code == 200 and answer.json()["digit"] == 3 for answer in answers)
        return [answer for answer in answers if answer.status_code == 429]

    for answer in wait_until(refused, timeout_s=30, on_timeout=cluster.logs):
        assert answer.headers["retry-after"] == "1"
        if cluster.has_edge:
            assert answer.json()["code"] == "overloaded"
    cluster.apply(cluster.config())
    wait_until(lambda: not refused(), timeout_s=30, on_timeout=cluster.logs)


def test_a_missing_model_never_becomes_ready_and_says_why(cluster: LocalCluster) -> None:
    """`serve status` names the reason, and the next good configuration is served."""
    cluster.apply(cluster.config() | {"applications": []})  # a replica that answers would keep its model
    wait_until(lambda: not cluster.details()["applications"], timeout_s=60)
    cluster.apply(cluster.config(model_uri="models/none"))
    message = "no manifest.json in"
    wait_until(lambda: message in cluster.run("serve", "status"), timeout_s=90, on_timeout=cluster.logs)
    cluster.apply(cluster.config())
    cluster.wait_until_running(timeout_s=90)
    assert cluster.ready()
