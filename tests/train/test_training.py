"""train_ray.py as users run it: in step, told to MLflow once, registered, served."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from digits.errors import NotRegistered
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.registry.source import RegistrySource
from digits.registry.versions import resolve
from digits.training.data import load
from tests.train.conftest import ROOT, Workplace


def runs(workplace: Workplace) -> list[Run]:
    client = mlflow.MlflowClient(workplace.tracking_uri)
    return list(client.search_runs([client.get_experiment_by_name("digits").experiment_id]))  # type: ignore[union-attr]


def history(workplace: Workplace, run: Run, metric: str) -> dict[int, float]:
    """Its value at each step; fails if a step was told twice."""
    told = mlflow.MlflowClient(workplace.tracking_uri).get_metric_history(run.info.run_id, metric)
    values = {entry.step: entry.value for entry in told}
    assert len(values) == len(told)
    return values


def steps(workplace: Workplace, run: Run) -> list[int]:
    return list(history(workplace, run, "val_accuracy"))


@pytest.mark.essential
def test_two_workers_make_one_run_with_every_epoch_its_parameters_and_its_origin(trained: Workplace) -> None:
    (run,) = runs(trained)
    assert run.info.status == "FINISHED"
    assert steps(trained, run) == list(range(1, 13))
    assert (run.data.params["epochs"], run.data.params["num_workers"]) == ("12", "2")
    assert {"git_commit", "data_sha256", "preprocessing_sha256", "version.keras"} <= set(run.data.tags)
    assert run.data.metrics["test_accuracy"] > 0.97
    client = mlflow.MlflowClient(trained.tracking_uri)
    plots = {file.path for file in client.list_artifacts(run.info.run_id, "plots")}
    assert plots == {
        f"plots/{name}.png" for name in ("learning_curves", "confusion_matrix", "worst_mistakes")
    }


@pytest.mark.essential
def test_the_registered_model_answers_as_the_service_does(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.tracking_uri)
    images = load("sklearn-digits").test_images[:50]
    mlflow.set_tracking_uri(trained.tracking_uri)
    network = mlflow.keras.load_model("models:/digits@champion")
    uri = "models:/digits@champion"
    settings = ServeSettings(model_uri=uri, model_cache=str(trained.folder / "cache"))
    source = RegistrySource(uri, settings.model_cache)
    classifier = Classifier.load(settings, 1, source, source.resolve())
    assert (classifier.version.name, classifier.version.version) == ("digits", "1")
    difference = np.abs(np.asarray(network(images)) - asyncio.run(classifier.classify(images)).probabilities)
    assert difference.max() <= 1e-5
    info = mlflow.models.get_model_info("models:/digits@champion")
    assert info.signature is not None
    assert info.signature.inputs.to_dict()[0]["tensor-spec"] == {"dtype": "uint8", "shape": (-1, 28, 28)}


def test_two_workers_have_the_same_variables_after_every_epoch(trained: Workplace) -> None:
    (run,) = runs(trained)
    assert history(trained, run, "workers_in_step") == dict.fromkeys(range(1, 13), 2.0)


def test_an_alias_that_nobody_set_is_named(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.tracking_uri)
    with pytest.raises(NotRegistered, match="previous"):
        resolve("models:/digits@previous")


def test_a_worse_model_is_registered_not_promoted_and_a_champion_can_be_rolled_back(
    trained: Workplace,
) -> None:
    output = trained.train(epochs="1", name="second")
    assert "models:/digits/2 is registered, not promoted" in output
    refused = trained.registry("promote")
    assert refused.returncode == 1
    assert re.search(r"not promoted:\n  - test accuracy 0\.\d+ is below 0\.97", refused.stderr)
    assert "2        candidate" in trained.registry("list").stdout
    nothing = trained.registry("rollback")
    assert (nothing.returncode, "previous" in nothing.stderr) == (1, True)
    lenient = [
        f"--{flag}={value}"
        for flag, value in {
            "min-accuracy": 0, "max-ece": 1, "accuracy-tolerance": 1, "slice-tolerance": 1,
        }.items()
    ]  # fmt: skip
    misread = trained.registry("promote", *lenient)
    assert "golden digits" in misread.stderr
    promoted = trained.registry("promote", "--version", "1")
    assert promoted.stdout == "champion of digits is version 1\n"


def test_the_same_name_after_the_end_is_refused_clearly(trained: Workplace) -> None:
    process = trained.start(epochs="1", name="first")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert output.strip().endswith("the run first has finished; choose another --name, or none")


def test_help_names_every_flag_without_loading_ray_or_tensorflow() -> None:
    script = (
        "import sys, contextlib, train_ray\n"
        "with contextlib.suppress(SystemExit): train_ray.parse_args(['--help'])\n"
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
    ],
)
def test_what_cannot_be_trained_is_said_before_ray_starts(
    tmp_path: Path, flags: dict[str, str], message: str
) -> None:
    process = Workplace(tmp_path).start(**flags)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (1, 2)
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()
