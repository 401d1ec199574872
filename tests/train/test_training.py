"""train_ray.py as users run it: workers in step, each epoch in MLflow once, a model that serves."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from digits.errors import NotRegistered
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.models.manifest import MANIFEST, read_manifest
from digits.registry.source import RegistrySource
from digits.registry.versions import resolve
from digits.task import CLASSES, SIDE
from digits.training.data import load
from digits.training.judging import judge_on
from digits.training.provenance import Provenance
from testkit.cluster import wait_until
from testkit.ports import free_port
from tests.mlflow_server import register_copy
from tests.train.conftest import DEADLINE_S, ROOT, Workplace, small_file

# Lines of Ray Train's reports, of Ray about tokens, and of the C++ of Ray and TensorFlow.
NOISE = re.compile(r"TrainingReport|authentication|\.cc:\d|absl::|\b[IWE]0000 |oneDNN|[Cc][Uu][Dd][Aa]")
STARTER = ROOT / "models" / "starter"


def runs(workplace: Workplace) -> list[Run]:
    client = mlflow.MlflowClient(workplace.tracking_uri)
    return list(client.search_runs([client.get_experiment_by_name("digits").experiment_id]))  # type: ignore[union-attr]


def history(workplace: Workplace, run: Run, metric: str) -> dict[int, float]:
    """Returns the metric's value at each step; fails if a step was logged twice."""
    logged = mlflow.MlflowClient(workplace.tracking_uri).get_metric_history(run.info.run_id, metric)
    values = {entry.step: entry.value for entry in logged}
    assert len(values) == len(logged)
    return values


def steps(workplace: Workplace, run: Run) -> list[int]:
    return list(history(workplace, run, "val_accuracy"))


def logged_steps(workplace: Workplace) -> list[int]:
    """Returns the epochs in MLflow; none before the experiment, the run or the first epoch exists."""
    try:
        (run,) = runs(workplace)
    except (ValueError, AttributeError):
        return []
    return steps(workplace, run)


@pytest.mark.essential
def test_two_workers_make_one_complete_mlflow_run(trained: Workplace) -> None:
    """It holds every epoch once, the parameters, the provenance, the test metrics and the plots."""
    (run,) = runs(trained)
    assert run.info.status == "FINISHED"
    assert steps(trained, run) == list(range(1, 13))
    assert run.inputs is not None
    assert run.outputs is not None
    assert [dataset.dataset.name for dataset in run.inputs.dataset_inputs] == ["sklearn-digits"]
    assert {"mlflow.user", "mlflow.source.name"} <= run.data.tags.keys()
    (model,) = run.outputs.model_outputs
    client = mlflow.MlflowClient(trained.tracking_uri)
    assert client.get_logged_model(model.model_id).model_type == "image-classifier"
    assert (
        client.get_experiment(run.info.experiment_id).tags["mlflow.experimentKind"].startswith("custom_model")
    )
    assert (run.data.params["epochs"], run.data.params["num_workers"]) == ("12", "2")
    manifest = read_manifest(trained.folder / "out" / "first")
    provenance = Provenance(**manifest.model_dump(exclude={"name", "files", "metrics"}))
    assert provenance.tags().items() <= run.data.tags.items()
    assert provenance.command.endswith("--num-workers 2 --name first --min-test-images 360")
    assert run.data.metrics["test_accuracy"] > 0.97
    plots = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {
        f"plots/{name}.png" for name in ("learning_curves", "confusion_matrix", "worst_mistakes")
    }


@pytest.mark.essential
def test_the_registered_network_and_the_service_agree(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras' network from MLflow and the classifier give the same probabilities."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.tracking_uri)
    images = load("sklearn-digits").test_images[:50]
    mlflow.set_tracking_uri(trained.tracking_uri)
    network = mlflow.keras.load_model("models:/digits@champion")
    uri = "models:/digits@champion"
    settings = ServeSettings(model_uri=uri, model_cache=str(trained.folder / "cache"))
    source = RegistrySource(uri, settings.model_cache)
    classifier = Classifier.load(settings, 1, source, source.resolve())
    assert (classifier.version.name, classifier.version.version) == ("digits", "1")
    scores = np.column_stack([np.asarray(output) for output in network(images)])
    assert scores.shape == (50, CLASSES + 1)
    difference = np.abs(scores - asyncio.run(classifier.classify(images)).scores)
    assert difference.max() <= 1e-5
    info = mlflow.models.get_model_info("models:/digits@champion")
    assert info.signature is not None
    assert info.signature.inputs.to_dict()[0]["tensor-spec"] == {"dtype": "uint8", "shape": (-1, SIDE, SIDE)}


def test_workers_have_equal_variables_after_every_epoch(trained: Workplace) -> None:
    """The metric counts the workers whose hash of all variables is the first worker's."""
    (run,) = runs(trained)
    assert history(trained, run, "workers_in_step") == dict.fromkeys(range(1, 13), 2.0)


def test_an_alias_that_is_not_set_is_named(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first champion has no previous one."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.tracking_uri)
    with pytest.raises(NotRegistered, match="previous"):
        resolve("models:/digits@previous")


def test_a_worse_model_is_registered_but_not_promoted(trained: Workplace) -> None:
    """`promote` names the rules that failed, never accepts misread golden digits, and keeps the champion."""
    output = trained.train(epochs="1", drawn="0", name="second", min_test_images="360")
    assert "models:/digits/2 is registered, not promoted" in output
    refused = trained.registry("promote", "--min-test-images", "360")
    assert refused.returncode == 1
    assert re.search(r"not promoted:\n  - test accuracy 0\.\d+ is below 0\.97", refused.stderr)
    assert re.search(r"2 +candidate +sklearn-digits +20\d\d-", trained.registry("list").stdout)
    nothing = trained.registry("rollback")
    assert (nothing.returncode, "previous" in nothing.stderr) == (1, True)
    lenient = [
        f"--{flag}={value}"
        for flag, value in {
            "min-test-images": 1, "min-accuracy": 0, "max-ece": 1, "accuracy-tolerance": 1,
            "slice-tolerance": 1, "auroc-tolerance": 1,
        }.items()
    ]  # fmt: skip
    misread = trained.registry("promote", *lenient)
    assert "golden digits" in misread.stderr
    promoted = trained.registry("promote", "--version", "1")
    assert promoted.stdout == "champion of digits is version 1\n"


def test_a_champion_of_other_data_is_judged_on_the_same(
    trained: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The starter, with a perfect figure on MNIST, is tested on the candidate's images, scikit-learn's."""
    shutil.copytree(trained.folder, tmp_path, dirs_exist_ok=True)
    workplace = Workplace(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workplace.tracking_uri)
    best = tmp_path / "best"
    shutil.copytree(STARTER, best)
    manifest = json.loads((best / MANIFEST).read_text())
    manifest["metrics"]["test_accuracy"] = 1.0
    (best / MANIFEST).write_text(json.dumps(manifest))
    champion = register_copy(best)
    mlflow.MlflowClient(workplace.tracking_uri).set_registered_model_alias(
        "digits", "champion", champion.version
    )
    its = judge_on(load("sklearn-digits"))(STARTER, champion.sha256)["test_accuracy"]
    own = read_manifest(tmp_path / "out" / "first").metrics["test_accuracy"]
    tolerance = max(0.0, its - own) + 0.0005
    assert own < 1 - tolerance, "by its own figure the champion would not be better: the test proves nothing"
    lenient = ("--min-test-images=360", "--slice-tolerance=1", "--auroc-tolerance=1")
    promoted = workplace.registry("promote", "--version=1", *lenient, f"--accuracy-tolerance={tolerance}")
    assert promoted.stdout == "champion of digits is version 1\n", promoted.stderr


def test_the_name_of_a_finished_training_is_rejected(trained: Workplace) -> None:
    """The message says to give another name."""
    process = trained.start(epochs="1", name="first")
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert output.strip().endswith("the run first has finished; choose another --name, or leave it out")


FITS_TWICE = """
import json
from digits.training.data import load
from digits.training.fit import fit
from digits.training.provenance import collect_provenance
from digits.training.settings import TrainSettings

dataset = load("sklearn-digits")
provenance = collect_provenance(dataset)
for name, rate in (("slow", 1e-6), ("fast", 2e-3)):
    settings = TrainSettings(
        data="sklearn-digits", drawn=0, epochs=2, batch_size=64, cpus_per_worker=1, name=name,
        learning_rate=rate,
    )
    result = fit(settings, dataset, provenance)
    accuracy = max(epoch["val_accuracy"] for epoch in result.history)
    print(json.dumps([str(result.folder), accuracy, len(result.history)]))
"""


def test_fit_can_be_repeated_and_registers_nothing(tmp_path: Path) -> None:
    """A search over hyper-parameters calls `fit` in one process and compares validation accuracies."""
    workplace = Workplace(tmp_path)
    lines = [line for line in workplace.run_python(FITS_TWICE).splitlines() if line.startswith("[")]
    (slow, slow_accuracy, _), (fast, fast_accuracy, epochs) = map(json.loads, lines)
    assert (slow, fast, epochs) == ("out/slow", "out/fast", 2)
    assert slow_accuracy < fast_accuracy
    manifest = read_manifest(tmp_path / fast)
    assert manifest.metrics["best_val_accuracy"] == fast_accuracy
    assert not (tmp_path / "mlflow.db").exists()


OTHER_TASK = """
from pathlib import Path
from digits import task
task.LABELS, task.CLASSES, task.READER = (*"9876543210", "20", "30"), 12, "resize"
task.SIDE, task.SHAPE, task.LEVELS = 32, (32, 32), 32 * 32
task.IS_DRAWN, task.NUMBERS = False, tuple(map(int, task.LABELS))

from digits.training.data import load
from digits.training.evaluation import evaluate
from digits.training.plots import save_plots
from digits.training.settings import TrainSettings
from digits.training.step import Trainer

dataset = load("sklearn-digits")
trainer = Trainer(TrainSettings(batch_size=16), dataset, worker=0, workers=1)
history = [trainer.train_epoch(number, lambda *_: None) for number in range(3)]
evaluation = evaluate(trainer.predict, dataset.test_images, dataset.test_labels)
save_plots(Path("plots"), history, evaluation, dataset.test_images, dataset.test_labels)
print(trainer.network.input_shape, trainer.network.output_shape, evaluation.accuracy > 0.8)
print(*sorted(name for name in evaluation.metrics() if name.startswith("test_recall")))
"""


def test_another_side_and_label_set_need_only_the_task(tmp_path: Path) -> None:
    """Side 32 and twelve labels in another order: data, network, step, figures and plots follow."""
    shapes, recalls = Workplace(tmp_path).run_python(OTHER_TASK).splitlines()[-2:]
    assert shapes == "(None, 32, 32) (None, 12) True"
    assert recalls.split() == sorted(f"test_recall_{label}" for label in (*range(10), 20, 30))
    assert len(list((tmp_path / "plots").iterdir())) == 3


def test_help_loads_neither_ray_nor_tensorflow() -> None:
    """It would take seconds otherwise."""
    script = (
        "import sys, contextlib, train_ray\n"
        "with contextlib.suppress(SystemExit): train_ray.main(['train', '--help'])\n"
        "print(*({'ray', 'tensorflow', 'mlflow'} & sys.modules.keys()))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "--learning-rate" in output
    assert output.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"data": "none.npz"}, "there is no file none.npz"),
        ({"epochs": "0"}, "--epochs: Input should be greater than or equal to 1, not 0"),
        ({"num_workers": "3"}, "--batch-size 64 must be a multiple of --num-workers 3"),
        ({"batch_size": "8192"}, "do not fill one batch of 8192; choose a smaller --batch-size"),
    ],
)
def test_invalid_flags_are_reported_before_ray_starts(
    tmp_path: Path, flags: dict[str, str], message: str
) -> None:
    """One line, no traceback, and no output folder."""
    process = Workplace(tmp_path).start(**flags)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode in (1, 2)
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_workers": "64"}, "needs 64 times 1 CPU, but Ray has room for"),
        ({"storage_path": "/proc/nowhere"}, "--storage-path /proc/nowhere cannot be written"),
        ({"output": "/proc/nowhere"}, "--output /proc/nowhere cannot be written"),
    ],
)
def test_what_cannot_run_is_said_before_a_run_begins(
    tmp_path: Path, flags: dict[str, str], message: str
) -> None:
    """The last line says what is needed and what there is; no MLflow run is left behind."""
    process, output = Workplace(tmp_path).start_until(lambda: False, **flags)
    assert process.returncode == 1, output()[-3000:]
    assert output().strip().splitlines()[-1].startswith("Error: no model was trained: ")
    assert message in output().strip().splitlines()[-1]
    assert not (tmp_path / "mlflow.db").exists()


def test_a_cluster_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    output, _ = Workplace(tmp_path).start().communicate(timeout=DEADLINE_S)
    (line,) = output.splitlines()
    assert "no model was trained: nothing answers at RAY_ADDRESS" in line


def test_a_ray_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc/nowhere")
    output, _ = Workplace(tmp_path).start().communicate(timeout=DEADLINE_S)
    (line,) = output.splitlines()
    assert "no model was trained: Ray does not start: [Errno 2] No such file or directory" in line


def has_more_than(workplace: Workplace, epochs: int) -> bool:
    return len(logged_steps(workplace)) > epochs


def test_ctrl_c_and_sigterm_end_a_training_to_continue(tmp_path: Path) -> None:
    """The run is marked, every process ends, and the same command trains no reported epoch again.

    A test in test_faults.py continues a training to its end.
    """
    workplace = Workplace(tmp_path)
    asked = {
        "data": small_file(tmp_path), "epochs": "100", "patience": "100", "batch_size": "16", "drawn": "0",
        "name": "stopped",
    }  # fmt: skip
    before: dict[int, float] = {}
    # A terminal's Ctrl-C reaches the whole group; Kubernetes and `timeout` send SIGTERM to the program.
    for send, number in ((os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)):
        done = len(before)
        process, output = workplace.start_until(partial(has_more_than, workplace, done), **asked)
        assert process.poll() is None, output()[-3000:]
        (run,) = runs(workplace)
        assert run.info.status == "RUNNING"
        send(process.pid, number)
        assert process.wait(timeout=DEADLINE_S) == 130, output()[-3000:]
        hint = "run the same command with --name stopped to continue from the last checkpoint"
        assert output().strip().splitlines()[-1] == f"interrupted; {hint}"
        wait_until(lambda: not workplace.pids("ray::"), DEADLINE_S, lambda: "a process survived")
        (run,) = runs(workplace)
        assert run.info.status == "KILLED"
        reported = history(workplace, run, "val_loss")
        assert list(reported) == list(range(1, len(reported) + 1))
        assert done < len(reported) < 100
        assert before.items() <= reported.items()
        before = reported
