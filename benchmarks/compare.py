"""Compares this service with others on the same machine, model, images and load; each is checked first.

    python -m benchmarks.setup      # once
    python -m benchmarks.compare

A round starts each service, measures all its points and stops it; rounds repeat, so that a drift of the
machine's speed affects all alike.  benchmarks.services lists the services, testkit.load generates the load.
Every measurement goes to results.json, from which benchmarks.report makes the page and the plots.
"""

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import numpy as np
from tqdm import tqdm

from benchmarks.bodies import mix
from benchmarks.circumstances import circumstances
from benchmarks.report import write_report
from benchmarks.running import Running, running
from benchmarks.services import ROOT, V2_PATH, levels_body, services
from digits.task import SIDE
from digits.vision.golden import golden_digits
from testkit.encodings import Body, v2_body
from testkit.load import MOST_CONNECTIONS, closed_loop, open_loop
from testkit.models import classify, load_model

CONNECTIONS = (1, 16, 64, 256)
SHARES = (0.4, 0.7, 0.9, 1.2)  # of the service's best rate in a closed loop
# Most requests that can wait in an overload.  HAProxy, as Ray configures it, takes 4096 connections.
OVERLOAD_CONNECTIONS = 2048
PICTURE_CONNECTIONS = (1, 16, 64)
MANY, MANY_CONNECTIONS = 64, 4  # images in one request


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    every = services()
    names = [service.name for service in every]
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="length of each measurement")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=" ".join(names)
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks", help="folder")
    arguments = parser.parse_args()
    chosen = [service for service in every if service.name in arguments.only]
    if not all(service.virtual_environment.exists() for service in chosen):
        parser.error("run `python -m benchmarks.setup` first")
    results = circumstances(chosen) | {"services": {service.name: service.how for service in chosen}}
    results |= {"rounds": [], "onnxruntime": []}
    arguments.output.mkdir(parents=True, exist_ok=True)
    file = arguments.output / "results.json"
    with tqdm(total=arguments.rounds * len(chosen), unit="service") as progress:
        for _ in range(arguments.rounds):
            results["onnxruntime"] += model_alone(arguments.seconds)
            for service in chosen:
                progress.set_description(service.name)
                with running(service) as run:
                    results["rounds"].append({"service": service.name} | measure(run, arguments.seconds))
                file.write_text(json.dumps(results, indent=1) + "\n")  # kept if a later one fails
                progress.update()
    write_report(file)


def measure(run: Running, seconds: int) -> dict[str, Any]:
    """Measures every point of one service; between two points it finishes the requests it still has."""
    images, _ = golden_digits()
    read = run.golden_digits_read()
    if read < len(images):
        raise RuntimeError(
            f"{run.service.name} reads only {read} of the {len(images)} golden digits, so it is not timed"
        )
    body = run.service.form.body(images[0])
    closed_loop(run.url, [body], connections=16, seconds=1)
    closed, opened = [], []
    for connections in CONNECTIONS:
        run.ask(images[0])
        closed.append(closed_loop(run.url, [body], connections, seconds))
    capacity = max(point.rate for point in closed[1:])
    for share in SHARES:
        run.ask(images[0])
        most = OVERLOAD_CONNECTIONS if share > 1 else MOST_CONNECTIONS
        point = open_loop(run.url, body, share * capacity, seconds, most)
        opened.append({"share": share} | asdict(point))
    run.ask(images[0])
    return {
        "start_s": run.start_s,
        "golden_digits_read": read,
        "closed": [asdict(point) for point in closed],
        "open": opened,
        "many": many_images(run, seconds) if run.service.replicas else None,
        "pictures": pictures(run, seconds),
        **asdict(run.memory()),
    }


def pictures(run: Running, seconds: int) -> list[dict[str, float]] | None:
    """Measures the mix of pictures in a closed loop; None for a service that takes no image files."""
    bodies = [run.service.form.body_of_file(body.content) for body in mix()]
    files = [body for body in bodies if body is not None]
    if not files:
        return None
    for body, expected in zip(files, classify(load_model(), [one.content for one in mix()]), strict=True):
        if np.argmax(run.send(body)) != np.argmax(expected):
            raise RuntimeError(f"{run.service.name} misreads a picture, so it is not timed")
    closed_loop(run.url, files, connections=16, seconds=1)
    return [
        asdict(closed_loop(run.url, files, connections, 2 * seconds)) for connections in PICTURE_CONNECTIONS
    ]


def many_images(run: Running, seconds: int) -> list[dict[str, Any]]:
    """Measures requests with many images, as POST /predict takes them and by the Open Inference Protocol."""
    images, labels = (np.resize(array, (MANY, *array.shape[1:])) for array in golden_digits())
    digits_only = v2_body(images, outputs=[{"name": "digit"}])
    infer = urljoin(run.url, V2_PATH)
    if [one["digit"] for one in answer_to(run.url, levels_body(images))["predictions"]] != labels.tolist():
        raise RuntimeError(f"{run.service.name} misreads {MANY} images of one request")
    if answer_to(infer, digits_only)["outputs"][0]["data"] != labels.tolist():
        raise RuntimeError(f"{run.service.name} misreads {MANY} images of one V2 request")
    bodies = {
        "bytes to /predict": (run.url, levels_body(images)),
        "V2, binary tensors": (infer, v2_body(images, parameters={"binary_data_output": True})),
    }
    return [
        asdict(point) | {"form": form, "images": MANY, "images_per_s": point.rate * MANY}
        for form, (url, body) in bodies.items()
        for point in [closed_loop(url, [body], MANY_CONNECTIONS, seconds)]
    ]


def answer_to(url: str, body: Body) -> Any:
    headers = {"Content-Type": body.content_type or "", **dict(body.headers)}
    return httpx2.post(url, content=body.content, headers=headers).raise_for_status().json()


def model_alone(seconds: int) -> list[dict[str, float]]:
    """Measures ONNX Runtime in a loop, by threads and batch size."""
    found = []
    for threads in sorted({1, os.cpu_count() or 1}):
        model = load_model(max_batch_size=MANY, threads=threads)
        for batch in (1, MANY):
            images = np.resize(golden_digits()[0], (batch, SIDE, SIDE))
            runs, end = 0, time.perf_counter() + seconds
            while time.perf_counter() < end:
                model.predict(images)
                runs += 1
            found.append({"threads": threads, "batch": batch, "images_per_s": runs * batch / seconds})
    return found


if __name__ == "__main__":
    main()
