"""Clients of the other protocols, written by others, get right answers and useful errors."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from digits.vision.golden import golden_digits
from testkit.encodings import base64_png
from tests.programs import ask_with, run


@pytest.mark.essential
@pytest.mark.parametrize("client", ["triton", "kserve_rest", "mlserver_types"])
def test_a_client_of_the_open_inference_protocol(service: str, client: str) -> None:
    """Health, metadata, binary and JSON tensors, files, 64 requests at once, wrong requests."""
    ask_with(client, service)


def test_the_client_of_mlflows_scoring_server(service: str) -> None:
    """Arrays and a DataFrame."""
    ask_with("mlflow_scoring", service, Path(sys.executable))


@pytest.mark.parametrize("name", ["pixels", "image"])
def test_tritons_perf_analyzer(service: str, tmp_path: Path, name: str) -> None:
    """It reads the model's configuration; a request that fails would end it with an error."""
    if not (program := shutil.which("perf_analyzer")):
        pytest.skip("perf_analyzer is missing: pip install perf-analyzer, with glibc 2.38 or newer")
    images, _ = golden_digits()
    content, shape = {
        "pixels": ([image.ravel().tolist() for image in images], [1, *images.shape[1:]]),
        "image": ([[base64_png(image)] for image in images], [1]),
    }[name]
    data = {"data": [{name: {"content": one, "shape": shape}} for one in content]}
    file = tmp_path / "data.json"
    file.write_text(json.dumps(data))
    address = service.removeprefix("http://")
    said = run(program, "-m", "digits", "-u", address, "--input-data", str(file), "--request-count", "100")
    (throughput,) = re.findall(r"Throughput: ([\d.]+) infer/sec", said)
    assert float(throughput) > 0
