"""The service reads no pickle and no other data that can run code.

Ray's messages between its own processes are exempt: they are pickles, but never leave the cluster.
"""

import ast
import base64
import io
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.errors import ModelRejected
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE, FileRecord, Manifest, read_manifest, record, write_manifest
from digits.registry import cache as registry_cache
from digits.registry.source import RegistrySource
from digits.task import ModelVersion
from testkit.encodings import form, json_body
from testkit.fakes import api_of, checksum_classifier
from testkit.models import load_classifier
from tests.source import MODULES, imports, own_imports, room_of, tree_of

STARTER = PROJECT / "models" / "starter"
# Modules that can run code in the data they read, or pass it to one that does.
READERS = {
    "pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml", "torch",
    "keras", "tensorflow", "tf_keras", "h5py", "runpy", "imp",
}  # fmt: skip
RUNNERS = {"eval", "exec", "compile", "__import__"}
LOADERS = {"load_model", "load_weights", "load_state_dict", "import_module", "unpickle", "read_pickle"}


def serving_path() -> set[str]:
    """Returns the modules that `digits.serving` imports, directly and indirectly, also inside functions."""
    path, new = set[str](), {name for name in MODULES if name.startswith("serving.")}
    while new:
        path |= new
        new = {found for module in new for found in own_imports(module)} - path
    return path


def suspicious(tree: ast.Module) -> Iterator[str]:
    """Yields every import and call that can read a pickle or run data."""
    for name in imports(tree):
        parts = name.split(".")
        if parts[0] in READERS or LOADERS & set(parts):
            yield name
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name, options = ast.unparse(call.func), list(map(ast.unparse, call.keywords))
        if name in RUNNERS or name.split(".")[-1] in LOADERS:
            yield name
        if "allow_pickle=True" in options or (
            name in ("np.load", "numpy.load") and "allow_pickle=False" not in options
        ):
            yield ast.unparse(call)


def test_the_serving_path_is_followed_to_its_end() -> None:
    rooms = {room_of(module) for module in serving_path()}
    assert {"serving", "http", "gateway", "inference", "models", "registry", "vision"} <= rooms
    assert "training" not in rooms


@pytest.mark.parametrize("module", sorted(serving_path()))
def test_no_module_that_serves_can_read_a_pickle(module: str) -> None:
    assert list(suspicious(tree_of(module))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "def f():\n    from joblib import load", "import yaml", "import keras.saving",
        "from keras import saving", "np.load(file)", "np.load(file, allow_pickle=True)", "eval(text)",
        "from mlflow.keras import load_model", "mlflow.pyfunc.load_model(uri)", "read(x, allow_pickle=True)",
        "importlib.import_module(name)",
    ],
)  # fmt: skip
def test_the_search_finds_every_way_to_read_a_pickle(code: str) -> None:
    assert list(suspicious(ast.parse(code)))


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that a payload creates when it runs; the fixture has checked that it does."""
    file = tmp_path / "ran"
    pickle.loads(pickle.dumps(Payload(file)))
    file.unlink()
    return file


def npy(payload: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([payload], object), allow_pickle=True)
    return file.getvalue()


def npz(payload: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.array([payload], object))
    return file.getvalue()


FORMS: dict[str, Callable[[object], bytes]] = {
    "a pickle": pickle.dumps,
    "an object array": npy,
    "object arrays in a zip file": npz,
}


def poisoned(folder: Path, content: bytes) -> Manifest:
    """Makes a model folder whose manifest matches a file that is no model."""
    folder.mkdir(parents=True)
    (folder / ONNX_FILE).write_bytes(content)
    files: dict[str, FileRecord] = {ONNX_FILE: record(folder / ONNX_FILE)}
    manifest = read_manifest(STARTER).model_copy(update={"files": files})
    write_manifest(folder, manifest)
    return manifest


@pytest.mark.parametrize("kind", FORMS)
def test_a_pickle_in_a_model_folder_is_rejected_and_not_run(tmp_path: Path, ran: Path, kind: str) -> None:
    poisoned(tmp_path / "model", FORMS[kind](Payload(ran)))
    with pytest.raises(ModelRejected, match="cannot be run by ONNX Runtime"):
        load_classifier(ServeSettings(model_uri=str(tmp_path / "model")))
    assert not ran.exists()


@pytest.mark.parametrize("kind", FORMS)
def test_a_pickle_in_a_version_is_rejected_and_not_run(
    tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def download(uri: str, artifact: str, folder: Path) -> Path:
        poisoned(folder / "serving", FORMS[kind](Payload(ran)))
        return folder / "serving"

    monkeypatch.setattr(registry_cache, "download", download)
    sha256 = poisoned(tmp_path / "same", FORMS[kind](Payload(ran))).files[ONNX_FILE].sha256
    settings = ServeSettings(model_uri="models:/digits/7", model_cache=str(tmp_path / "cache"))
    source = RegistrySource(settings.model_uri, settings.model_cache)
    with pytest.raises(ModelRejected, match="cannot be run by ONNX Runtime"):
        Classifier.load(settings, 1, source, ModelVersion("digits", "7", sha256))
    assert not ran.exists()


def bodies(data: bytes) -> list[tuple[bytes, str]]:
    types = [
        "", "application/octet-stream", "application/x-www-form-urlencoded", "image/png", "application/json",
        "application/x-pickle", "application/python-pickle", "application/x-npy",
        "multipart/form-data; boundary=x",
    ]  # fmt: skip
    encoded = base64.b64encode(data).decode()
    forms = [
        form(data), json_body({"image": encoded}), json_body({"images": [encoded]}),
        json_body({"image": f"data:application/x-pickle;base64,{encoded}"}),
    ]  # fmt: skip
    return [(data, given) for given in types] + [(body.content, str(body.content_type)) for body in forms]


@pytest.mark.parametrize("kind", FORMS)
def test_a_pickle_in_a_request_is_rejected_and_not_run(ran: Path, kind: str) -> None:
    app = api_of(checksum_classifier())
    with TestClient(app) as client:
        for content, media_type in bodies(FORMS[kind](Payload(ran))):
            response = client.post("/predict", content=content, headers={"Content-Type": media_type})
            failed = response.json().get("predictions", [{"error": response.json()}])
            assert 400 <= failed[0]["error"]["status"] < 500, (media_type, response.text)
            assert not ran.exists(), media_type


WATCHED = """
import sys
unpickled = []
sys.addaudithook(lambda event, arguments: event == "pickle.find_class" and unpickled.append(arguments))
import pickle
pickle.loads(pickle.dumps(OSError))
assert unpickled, "the hook reports nothing"
unpickled.clear()
from starlette.testclient import TestClient
from digits.http.app import create_api
from digits.vision.golden import golden_digits
from digits.inference.settings import ServeSettings
from testkit.encodings import MANY, ONE
from testkit.fakes import predictor_of
from testkit.models import load_classifier
images = list(golden_digits()[0])
bodies = [ONE[name](images[7]) for name in ONE] + [MANY[name](images) for name in MANY]
settings = ServeSettings(model_uri="models/starter")
with TestClient(create_api(predictor_of(load_classifier(settings)))) as client:
    for body in bodies:
        headers = {"Content-Type": body.content_type or ""}
        assert client.post("/predict", content=body.content, headers=headers).status_code == 200
print(len(bodies), unpickled)
"""


def test_no_pickle_is_read_from_import_to_answer() -> None:
    """Python's audit hook reports each name that a pickle looks up, from the first import to every answer."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "22 []\n", done.stdout + done.stderr


def test_the_golden_digits_hold_no_object() -> None:
    with np.load(PROJECT / "digits" / "vision" / "golden.npz", allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.hasobject for name in arrays.files} == {
            "images": False,
            "labels": False,
        }
