"""The services that are compared, each in the best form that its own documentation shows.

All serve models/starter/model.onnx, with one thread of ONNX Runtime a process, on one port, one at a time.
"""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from digits.task import Pixels
from testkit.cluster import serve_env
from testkit.encodings import image_file

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".bench"  # what benchmarks.setup makes: a virtual environment for each, and MLflow's model
PORT = 8100
SIDE_PORTS = (8101, 8102)  # of HAProxy's and MLServer's statistics, gRPC


@dataclass(frozen=True)
class Form:
    """How a product takes one image, and where in its answer the ten probabilities are."""

    path: str
    content_type: str
    body: Callable[[Pixels], bytes]
    probabilities: Callable[[Any], list[float]]


@dataclass(frozen=True)
class Service:
    """In command and environment {folder} is a temporary one, into which Ray Serve's configuration goes."""

    name: str
    how: str
    form: Form
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    virtual_environment: Path = Path(sys.prefix)
    replicas: int = 0  # of Ray Serve


def base64_png(pixels: Pixels) -> str:
    return base64.b64encode(image_file(pixels)).decode()


def compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


TENSOR = {"name": "pixels", "datatype": "UINT8", "shape": [1, 28, 28]}
PNG = Form("/predict", "image/png", image_file, lambda answer: answer["probabilities"])
LITSERVE = Form(
    "/predict", "application/json",
    lambda pixels: compact({"image_data": base64_png(pixels)}),
    lambda answer: answer["probabilities"],
)  # fmt: skip
BENTOML = Form(
    "/predict", "application/json",
    lambda pixels: compact({"images": [base64_png(pixels)]}),
    lambda answer: answer[0],
)  # fmt: skip
MLSERVER = Form(
    "/v2/models/digits/infer", "application/json",
    lambda pixels: compact({"inputs": [TENSOR | {"data": pixels.ravel().tolist()}]}),
    lambda answer: answer["outputs"][0]["data"],
)  # fmt: skip
MLFLOW = Form(
    "/invocations", "application/json",
    lambda pixels: compact({"inputs": {"pixels": [pixels.tolist()]}}),
    lambda answer: answer["predictions"]["probabilities"][0],
)  # fmt: skip
# Of this service's body for many images.
MANY_CONTENT_TYPE = "application/octet-stream"

SERVE_RUN = ("serve", "run", "--address", "local", "{folder}/serve_config.yaml")


def services() -> list[Service]:
    return [
        *(
            Service(
                f"digits-{mode}-{replicas}",
                f"this service, {replicas} replica{'s' * (replicas > 1)}, {proxy}; a PNG",
                PNG, SERVE_RUN, environment, replicas=replicas,
            )
            for mode, proxy, environment in (
                ("haproxy", "behind HAProxy as `make serve` starts it", serve_env(*SIDE_PORTS)),
                ("default", "behind Ray's default proxy", {}),
            )
            for replicas in (1, 2)
        ),
        Service(
            "asgi",
            "the ceiling: uvicorn, uvloop and httptools, no framework, one process; a PNG",
            PNG,
            ("uvicorn", "benchmarks.peers.asgi:app", f"--port={PORT}", "--no-access-log"),
        ),
        Service(
            "flask-keras",
            "the former design: Flask in threaded gunicorn, Keras' `model.predict` a request; a PNG",
            PNG,
            (
                "gunicorn", f"--bind=127.0.0.1:{PORT}", "--worker-class=gthread", "--threads=16",
                "--keep-alive=65", "benchmarks.peers.flask_keras:create_app()",
            ),
            {"TF_CPP_MIN_LOG_LEVEL": "3"},
        ),
        Service(
            "litserve",
            "batches of 64 within 1 ms, a worker a core, fast_queue; base64 in JSON as its guides have it",
            LITSERVE,
            ("python", "-m", "benchmarks.peers.litserve", str(PORT)),
            virtual_environment=PEERS / "litserve",
        ),
        Service(
            "bentoml",
            "batchable, batches of 64, a worker a core, uvloop; base64 in JSON",
            BENTOML,
            ("bentoml", "serve", "benchmarks.peers.bentoml:Digits", "--host=127.0.0.1", f"--port={PORT}"),
            {"BENTOML_HOME": "{folder}", "BENTOML_DO_NOT_TRACK": "True"},
            PEERS / "bentoml",
        ),
        Service(
            "mlserver",
            "no batching and no parallel workers, a third faster here than with either; a V2 tensor in JSON",
            MLSERVER,
            ("mlserver", "start", "{folder}"),
            {
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": str(PORT),
                "MLSERVER_GRPC_PORT": str(SIDE_PORTS[0]),
                "MLSERVER_METRICS_PORT": str(SIDE_PORTS[1]),
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
            "`mlflow models serve`, ONNX flavour, two workers; pixels in JSON, for it takes no image",
            MLFLOW,
            (
                "mlflow", "models", "serve", f"--model-uri={PEERS / 'mlflow-model'}", "--env-manager=local",
                "--host=127.0.0.1", f"--port={PORT}", "--workers=2",
            ),
        ),
    ]  # fmt: skip
