"""The services under comparison, each in the best form that its own documentation shows.

All serve models/starter/model.onnx with one thread of ONNX Runtime a process, one service at a time.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digits.task import SIDE, Images, Pixels
from testkit.cluster import serve_env
from testkit.encodings import Body, image_file

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".bench"  # made by benchmarks.setup: a virtual environment for each peer, and MLflow's model
PORT = 8100
MLSERVER_GRPC_PORT, MLSERVER_METRICS_PORT = 8101, 8102
RAYS_NICENESS = {"RAY_worker_niceness": "15"}  # as `make serve` leaves it; LocalCluster sets 0


@dataclass(frozen=True)
class Form:
    """How a product takes one image, and where its answer holds the ten probabilities."""

    path: str
    content_type: str
    content: Callable[[Pixels], bytes]
    probabilities: Callable[[Any], list[float]]
    of_file: Callable[[bytes], bytes] | None = None  # None: it takes no image files

    def body(self, pixels: Pixels) -> Body:
        return Body(self.content(pixels), self.content_type)

    def body_of_file(self, file: bytes) -> Body | None:
        return self.of_file and Body(self.of_file(file), self.content_type)


def form_of_files(
    path: str,
    content_type: str,
    content: Callable[[bytes], bytes],
    probabilities: Callable[[Any], list[float]],
) -> Form:
    """Returns the form of a product that takes image files, and an image as a PNG."""
    return Form(path, content_type, lambda pixels: content(image_file(pixels)), probabilities, content)


@dataclass(frozen=True)
class Service:
    """A command of a peer, or replicas of this service; {folder} stands for a temporary folder."""

    name: str
    how: str
    form: Form
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    virtual_environment: Path = Path(sys.prefix)
    replicas: int = 0


def compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def in_base64(file: bytes) -> str:
    return base64.b64encode(file).decode()


def levels_body(images: Images) -> Body:
    """Returns a request to this service with many images."""
    return Body(images.tobytes(), "application/octet-stream")


V2_PATH = "/v2/models/digits/infer"  # of this service and of MLServer
TENSOR = {"name": "pixels", "datatype": "UINT8", "shape": [1, SIDE, SIDE]}
FILES = {"name": "files", "datatype": "BYTES", "shape": [1, 1], "parameters": {"content_type": "base64"}}
FILE = form_of_files("/predict", "image/png", lambda file: file, lambda answer: answer["probabilities"])
LITSERVE = form_of_files(
    "/predict", "application/json",
    lambda file: compact({"image_data": in_base64(file)}),
    lambda answer: answer["probabilities"],
)  # fmt: skip
BENTOML = form_of_files(
    "/predict", "application/json",
    lambda file: compact({"images": [in_base64(file)]}),
    lambda answer: answer[0],
)  # fmt: skip
MOSEC = form_of_files("/inference", "image/png", lambda file: file, lambda answer: answer["probabilities"])
MLSERVER = Form(
    V2_PATH, "application/json",
    lambda pixels: compact({"inputs": [TENSOR | {"data": pixels.ravel().tolist()}]}),
    lambda answer: answer["outputs"][0]["data"],
    lambda file: compact({"inputs": [FILES | {"data": [in_base64(file)]}]}),
)  # fmt: skip
MLFLOW = Form(
    "/invocations", "application/json",
    lambda pixels: compact({"inputs": {"pixels": [pixels.tolist()]}}),
    lambda answer: answer["predictions"]["probabilities"][0],
)  # fmt: skip


def services() -> list[Service]:
    return [
        *(
            Service(
                f"digits-{mode}-{replicas}",
                f"this service, {replicas} replica{'s' * (replicas > 1)}, {proxy}; a PNG",
                FILE, environment=RAYS_NICENESS | environment, replicas=replicas,
            )
            for mode, proxy, environment in (
                ("haproxy", "behind HAProxy as `make serve` starts it", serve_env()),
                ("default", "behind Ray's own proxy", {}),
            )
            for replicas in (1, 2)
        ),
        Service(
            "asgi",
            "the ceiling: uvicorn with uvloop and httptools, no framework, one process; a PNG",
            FILE,
            ("uvicorn", "benchmarks.peers.asgi:app", f"--port={PORT}", "--no-access-log", "--lifespan=off"),
        ),
        Service(
            "flask-keras",
            "Flask in threaded gunicorn, Keras' `model.predict` for each request; a PNG",
            FILE,
            (
                "gunicorn", f"--bind=127.0.0.1:{PORT}", "--worker-class=gthread", "--threads=16",
                "--keep-alive=65", "benchmarks.peers.flask_keras:create_app()",
            ),
            {"TF_CPP_MIN_LOG_LEVEL": "3"},
        ),
        Service(
            "litserve",
            "batches of up to 64 within 1 ms, two workers, `fast_queue`; base64 in JSON as in its guides",
            LITSERVE,
            ("python", "-m", "benchmarks.peers.litserve", str(PORT)),
            virtual_environment=PEERS / "litserve",
        ),
        Service(
            "bentoml",
            "adaptive batching up to 64, two workers, uvloop; base64 in JSON",
            BENTOML,
            ("bentoml", "serve", "benchmarks.peers.bentoml:Digits", "--host=127.0.0.1", f"--port={PORT}"),
            {"BENTOML_HOME": "{folder}", "BENTOML_DO_NOT_TRACK": "True"},
            PEERS / "bentoml",
        ),
        Service(
            "mosec",
            "a Rust front, batches of up to 64 within 1 ms, one worker; a PNG",
            MOSEC,
            ("python", "-m", "benchmarks.peers.mosec", f"--port={PORT}", "--num=1"),
            virtual_environment=PEERS / "mosec",
        ),
        Service(
            "mosec-2",
            "the same with two workers",
            MOSEC,
            ("python", "-m", "benchmarks.peers.mosec", f"--port={PORT}", "--num=2"),
            virtual_environment=PEERS / "mosec",
        ),
        Service(
            "mlserver",
            "no batching, no parallel workers (either makes it a third slower here); a V2 tensor in JSON, a "
            "picture as base64",
            MLSERVER,
            ("mlserver", "start", "{folder}"),
            {
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": str(PORT),
                "MLSERVER_GRPC_PORT": str(MLSERVER_GRPC_PORT),
                "MLSERVER_METRICS_PORT": str(MLSERVER_METRICS_PORT),
                "MLSERVER_DEBUG": "false",
                "MLSERVER_PARALLEL_WORKERS": "0",
                "MLSERVER_ENVIRONMENTS_DIR": "{folder}/environments",
                "MLSERVER_METRICS_DIR": "{folder}/metrics",
                "MLSERVER_MODEL_NAME": "digits",
                "MLSERVER_MODEL_IMPLEMENTATION": "benchmarks.peers.mlserver.Digits",
            },
            PEERS / "mlserver",
        ),
        Service(
            "mlflow",
            "`mlflow models serve`, ONNX flavour, two workers; pixels in JSON, as it takes no image files",
            MLFLOW,
            (
                "mlflow", "models", "serve", f"--model-uri={PEERS / 'mlflow-model'}", "--env-manager=local",
                "--host=127.0.0.1", f"--port={PORT}", "--workers=2",
            ),
        ),
    ]  # fmt: skip
