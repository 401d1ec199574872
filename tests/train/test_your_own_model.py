"""docs/your-own-model.md as it stands: from a clone to a service that answers, and models from elsewhere."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest

from digits.task import LABELS
from digits.training.data import load
from digits.vision.golden import golden_digits
from testkit.encodings import image_file
from testkit.local import serving
from testkit.own_models import CLOTHES, FRUIT, Own, changed_lines
from testkit.ports import free_service_port
from tests.torch_onnx import as_torch_exports
from tests.train.conftest import DEADLINE_S, RAY_IS_TOO_SLOW, ROOT, Workplace

SERVE = "python -m digits serve"
WRITTEN = {"digits/vision/golden.npz", "models/starter/manifest.json", "models/starter/model.onnx"}


def fresh_clone(folder: Path) -> Path:
    """Clones this checkout, with what is not committed of its files."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    changes = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    if changes.stdout:
        subprocess.run(["git", "apply", "-"], cwd=folder, input=changes.stdout, check=True)
        subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    return folder


def run(command: str, clone: Path, environment: dict[str, str]) -> str:
    """Returns what a line of the document prints; again if Ray did not start."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        done = subprocess.run(
            shlex.split(command), cwd=clone, env=environment, text=True, timeout=DEADLINE_S, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode == 0:
            return done.stdout
        assert RAY_IS_TOO_SLOW in done.stdout, f"{command}: {done.stdout[-5000:]}"
        assert time.monotonic() < deadline, done.stdout[-5000:]


@pytest.mark.parametrize("own", [CLOTHES, FRUIT], ids=lambda own: own.heading)
def test_the_document_leads_to_a_service(own: Own, tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Its diff, its commands, its answer; nothing else of the clone is changed by hand."""
    began = time.monotonic()
    clone = fresh_clone(tmp_path / "clone")
    subprocess.run(["git", "apply", "-"], cwd=clone, input=own.diff, text=True, check=True)
    own.write(clone / f"{own.heading.lower()}.npz", 900, 300)
    environment = Workplace(tmp_path).environment | {
        "PYTHONPATH": str(clone),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    *commands, serve = own.commands
    assert serve == SERVE
    output = "".join(run(command, clone, environment) for command in commands)
    assert "models:/digits/1 is the champion" in output, output[-3000:]
    port = free_service_port()
    command = [sys.executable, *shlex.split(serve)[1:], "--port", str(port)]
    with serving(port, command=command, folder=clone):
        right = ask_for_each(own, f"http://127.0.0.1:{port}")
    changed = subprocess.run(
        ["git", "diff", "--name-only"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(changed) == {file for file, *_ in changed_lines(own.diff)} | WRITTEN
    (accuracy,) = re.findall(r"test accuracy ([\d.]+)", output)
    figure(f"{own.heading}: accuracy {accuracy}, in all {time.monotonic() - began:.0f} s; {right} read right")


def ask_for_each(own: Own, url: str) -> str:
    """Returns how many new pictures, larger than the model's images, are read right: nearly all."""
    rng = np.random.default_rng(2)
    right, asked = 0, [label for label in own.labels for _ in range(5)]
    (shown,) = re.findall(r"^(\{.*\})$", own.section, re.MULTILINE)
    for number, label in enumerate(asked):
        picture = image_file(own.draw(label, 150, rng), ("PNG", "JPEG")[number % 2])
        answer = httpx2.post(f"{url}/predict", content=picture).raise_for_status().json()
        assert [*answer] == [*json.loads(shown)]
        assert own.labels[answer[own.noun]] == answer["label"]
        right += answer["label"] == label
    assert right >= 0.9 * len(asked)
    return f"{right} of {len(asked)}"


def weights_by_least_squares(mean: float, std: float) -> np.ndarray:
    """A linear model "of elsewhere": (10, 784) from scikit-learn's digits and the golden ones."""
    dataset, (golden, labels) = load("sklearn-digits"), golden_digits()
    images = np.concatenate([dataset.train_images, *[golden] * 40])
    wanted = np.eye(len(LABELS))[np.concatenate([dataset.train_labels, *[labels] * 40])]
    inputs = (images.reshape(len(images), -1) / 255 - mean) / std
    fitted = np.linalg.solve(inputs.T @ inputs + 30 * np.eye(inputs.shape[1]), inputs.T @ (wanted - 0.1))
    return (12 * fitted.T).astype(np.float32)


KERAS = """
import numpy as np
from keras import Sequential, layers
network = Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, use_bias=False)])
network.set_weights([np.load("weights.npy").T])
network.save("mine.keras")
"""
JUDGED = ("--data", "sklearn-digits", "--min-test-images", "360")
LENIENT = ("--min-accuracy", "0.8", "--max-ece", "0.3", "--slice-tolerance", "1")


def test_models_from_elsewhere_are_registered_and_gated(tmp_path: Path) -> None:
    """An ONNX file as PyTorch writes it, then a Keras file: adapted, judged, refused, promoted, read with."""
    workplace = Workplace(tmp_path)
    onnx.save(as_torch_exports(weights_by_least_squares(0.1307, 0.3081)), tmp_path / "torch.onnx")
    labels = ("--labels", ",".join(LABELS))
    asked = ("import", "torch.onnx", *labels, "--mean", "0.1307", "--std", "0.3081", *JUDGED)
    refused = workplace.registry(*asked)
    assert refused.returncode == 0, refused.stderr
    assert refused.stdout.startswith(
        "added to the model: (level / 255 - 0.1307) / 0.3081; levels as NCHW; a softmax behind its output\n"
        "test accuracy 0."
    )
    assert "models:/digits/1 is registered, not promoted:\n  - test accuracy 0." in refused.stdout
    promoted = workplace.registry(*asked, *LENIENT)
    assert "models:/digits/2 is the champion\n" in promoted.stdout, promoted.stderr
    np.save(tmp_path / "weights.npy", weights_by_least_squares(0, 1))
    workplace.run_python(KERAS)
    from_keras = workplace.registry("import", "mine.keras", *labels, *JUDGED, *LENIENT)
    assert "models:/digits/3 is" in from_keras.stdout, from_keras.stderr
    listed = json.loads(workplace.registry("list", "--json").stdout)
    assert [(one["version"], one["data"], one["missing"]) for one in listed] == [
        (version, "sklearn-digits", "") for version in ("3", "2", "1")
    ]
    asking = [sys.executable, "-m", "digits", "predict", "--model", "models:/digits/2", "docs/seven.png"]
    read = subprocess.run(
        asking, cwd=ROOT, env=workplace.environment, capture_output=True, text=True, timeout=DEADLINE_S,
        check=False,
    )  # fmt: skip
    assert re.search(r"seven\.png  \d  \d+\.\d%", read.stdout), read.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torch.onnx", "--labels", "a,b"), "--labels are a, b; the task's are 0, 1, "),
        (("weights.npy", "--labels", ",".join(LABELS)), "give an .onnx or a .keras file"),
        (("broken.onnx", "--labels", ",".join(LABELS)), "cannot be read as an ONNX file"),
        (("torch.onnx", "--labels", ",".join(LABELS), "--std", "0"), "give one number, above 0"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """And nothing is registered."""
    onnx.save(as_torch_exports(np.zeros((10, 784), np.float32)), tmp_path / "torch.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\xff no model")
    np.save(tmp_path / "weights.npy", np.zeros(3))
    done = Workplace(tmp_path).registry("import", *arguments, "--data", "sklearn-digits")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlflow.db").exists()
