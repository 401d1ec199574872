"""The command line: help that loads nothing heavy, exit codes, one line for an error."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from digits.cli.main import COMMANDS, main
from digits.corpus.kinds import KINDS
from digits.models.folders import copy_for_serving
from digits.models.manifest import read_manifest, write_manifest
from digits.task import SHAPE

ROOT = Path(__file__).parents[3]
SEVEN = str(ROOT / "docs" / "seven.png")


def test_help_imports_no_command_and_nothing_heavy() -> None:
    """It answers within the start of Python and click."""
    script = (
        "import sys, contextlib\n"
        "from digits.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(*({'ray', 'mlflow', 'numpy', 'pydantic', 'onnxruntime'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line for line in output.splitlines() if line.startswith("  predict")]
    assert output.splitlines()[-1] == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_listed_command_has_help_with_an_example(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    assert "Example" in CliRunner().invoke(main, [name, "--help"]).output


@pytest.mark.parametrize(
    ("words", "completed"),
    [("digits reg", "registry"), ("digits registry pro", "promote"), ("digits predict --js", "--json")],
)
def test_bash_completes_by_the_lines_of_the_page(words: str, completed: str) -> None:
    """Those of docs/operations.md."""
    page = (ROOT / "docs" / "operations.md").read_text()
    (lines,) = re.findall(r"```sh\n(alias.*?)```", page, re.DOTALL)
    at = len(words.split()) - 1
    ask = f'COMP_WORDS=({words}); COMP_CWORD={at}; _digits_completion digits; echo "${{COMPREPLY[@]}}"'
    command = ["bash", "-c", f"{lines}\ncomplete -p digits >&2\n{ask}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{completed}\n", done.stderr
    assert "-F _digits_completion digits" in done.stderr


def test_pictures_are_read_in_this_process() -> None:
    """The answers come in the order of the files; one without an answer sets the status."""
    result = CliRunner().invoke(main, ["predict", "--json", SEVEN, "README.md", "none.png"])
    answers = [json.loads(line) for line in result.output.splitlines()]
    assert (result.exit_code, answers[0]["digit"]) == (1, 7)
    assert [answer["error"]["code"] for answer in answers[1:]] == ["image_unsupported", "file_unreadable"]
    assert CliRunner().invoke(main, ["predict", SEVEN]).exit_code == 0
    assert CliRunner().invoke(main, ["predict"]).exit_code == 2


def test_a_model_is_in_the_current_folder_as_pictures_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there is none, in the project: so is the default, wherever the command runs."""
    copy_for_serving(ROOT / "models" / "starter", tmp_path / "models" / "mine")
    shutil.copy(SEVEN, tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for model, version in (["--model", "models/mine"], "mine"), ([], "starter"):
        result = CliRunner().invoke(main, ["predict", "--json", *model, "a.png"])
        assert json.loads(result.output)["model"]["version"] == version, result.output


class Service(BaseHTTPRequestHandler):
    """Answers a request with the right key, and a problem without it."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "image/*"
        assert self.path == "/predict"
        is_known = self.headers.get("X-API-Key") == "right"
        answer = (
            {"digit": 7, "confidence": 0.9} if is_known else {"code": "key_missing", "detail": "Send a key"}
        )
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("key", ["right", "right\n"])
def test_a_service_is_asked_with_the_key(key: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key from a Kubernetes Secret often ends with a line break."""
    monkeypatch.setenv("DIGITS_API_KEY", key)
    for address in (url, f"{url}/", f"{url}/predict"):
        assert "7  90.0%" in CliRunner().invoke(main, ["predict", "--url", address, SEVEN]).output
    monkeypatch.delenv("DIGITS_API_KEY")
    refused = CliRunner().invoke(main, ["predict", "--url", url, SEVEN])
    assert (refused.exit_code, "Send a key" in refused.output) == (1, True)


def test_an_error_of_another_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OtherServer, "text", b"HTTP/1.0 404 Nothing Here\r\n\r\n[]")
    with socketserver.TCPServer(("127.0.0.1", 0), OtherServer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        asked = CliRunner().invoke(main, ["predict", "--url", url, SEVEN])
    assert asked.exit_code == 1
    assert "the service answered 404 Nothing Here" in asked.output


class OtherServer(socketserver.BaseRequestHandler):
    """Sends `text` whatever it is asked."""

    text = b""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(self.text)


@pytest.mark.parametrize(
    "text", [b"SSH-2.0\r\n", b"HTTP/1.0 200 OK\r\n\r\n<html>", b"HTTP/1.0 200 OK\r\n\r\n7", b""]
)
def test_another_server_at_the_address_is_named(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, whatever it answers."""
    monkeypatch.setattr(OtherServer, "text", text)
    with socketserver.TCPServer(("127.0.0.1", 0), OtherServer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        asked = CliRunner().invoke(main, ["predict", "--url", url, SEVEN])
    assert (asked.exit_code, len(asked.output.splitlines())) == (1, 1)
    assert url in asked.output


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "localhost", "ftp://127.0.0.1"])
def test_an_address_without_http_is_a_wrong_command_line(url: str) -> None:
    asked = CliRunner().invoke(main, ["predict", "--url", url, SEVEN])
    assert (asked.exit_code, "must begin with http://" in asked.output) == (2, True)


def test_no_proxy_is_asked_for_a_service_on_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert "Send a key" in CliRunner().invoke(main, ["predict", "--url", url, SEVEN]).output
    assert os.environ["no_proxy"] == "", "programs that are started later would inherit it"
    elsewhere = CliRunner().invoke(main, ["predict", "--url", "http://digits.example.com", SEVEN])
    assert "Connection refused" in elsewhere.output, "the proxy is for services elsewhere"


@pytest.mark.parametrize("model", ["", "models/none", "models:/digits"])
def test_a_model_that_is_none_is_one_line(model: str) -> None:
    asked = CliRunner().invoke(main, ["predict", "--model", model, SEVEN])
    assert (asked.exit_code, len(asked.output.splitlines())) == (1, 1)
    assert asked.output.startswith("Error: ")


@pytest.mark.parametrize("command", ["list", "promote", "rollback"])
def test_a_registry_that_is_not_there_is_not_made(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that says how to get one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    asked = CliRunner().invoke(main, ["registry", command])
    assert (asked.exit_code, len(asked.output.splitlines())) == (1, 1)
    assert "python -m digits train" in asked.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("against", "beside"),
    [("none", ""), ("out/none-augmented", "out/none-augmented"), ("models/starter", "")],
)
def test_a_report_stands_beside_the_model_that_is_named(
    against: str, beside: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`none` is no model, but it may be a part of a model's name."""
    from digits.report import report

    asked = []

    def run(model: str, other: str, *_: object, must_compare: bool) -> report.Report:
        asked.append((model, other))
        return report.Report(tmp_path, model, other, [])

    monkeypatch.setattr(report, "report", run)
    done = CliRunner().invoke(main, ["report", "models/starter", "--against", against])
    assert done.exit_code == 0, done.output
    assert asked == [("models/starter", beside)]


def test_a_report_compares_with_the_champion_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training with --model-name clothes registers a model of that name, which is in its manifest."""
    from digits.report import report

    folder = tmp_path / "model"
    copy_for_serving(ROOT / "models" / "starter", folder)
    write_manifest(folder, read_manifest(folder).model_copy(update={"name": "clothes"}))
    monkeypatch.setattr(report, "default_champion", lambda name: f"models:/{name}@champion")
    asked = []

    def run(model: str, other: str, *_: object, must_compare: bool) -> report.Report:
        asked.append(other)
        return report.Report(tmp_path, model, other, [])

    monkeypatch.setattr(report, "report", run)
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert (done.exit_code, asked) == (0, ["models:/clothes@champion"]), done.output


@pytest.mark.parametrize(
    ("flag", "number"), [("--mean", "nan"), ("--std", "0"), ("--std", "-1"), ("--std", "inf")]
)
def test_a_normalisation_that_is_none_is_refused(flag: str, number: str) -> None:
    asked = CliRunner().invoke(main, ["registry", "import", SEVEN, "--labels", "0,1", flag, number])
    assert (asked.exit_code, f"{number!r} is invalid; give one number" in asked.output) == (2, True)


@pytest.mark.parametrize("name", ["my digits", "a/b", "", "..", "-x"])
@pytest.mark.parametrize("command", ["registry import FILE --labels 0,1 --name", "train --model-name"])
def test_a_name_without_an_address_is_invalid(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a version would be registered, and then models:/NAME/1 be no address. Nothing is written."""
    monkeypatch.chdir(tmp_path)
    asked = CliRunner().invoke(main, [*command.replace("FILE", SEVEN).split(), name])
    flag = command.split()[-1]
    assert (asked.exit_code, flag in asked.output) == (2, True), asked.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "-x"])
def test_a_run_is_no_other_folder(name: str) -> None:
    """The name of a run is that of its folders in out/ and out/ray/."""
    asked = CliRunner().invoke(main, ["train", "--name", name])
    assert (asked.exit_code, "--name: String should match pattern" in asked.output) == (2, True), asked.output


@pytest.mark.parametrize("flag", ["--max-rejected", "--max-refused"])
@pytest.mark.parametrize("command", ["train", "report", "registry promote"])
def test_an_earlier_name_of_a_flag_is_taken(
    command: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value reaches the settings, which name it as it is named now; the help shows only that name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    asked = CliRunner().invoke(main, [*command.split(), flag, "2"])
    assert (asked.exit_code, "--max-rejected: Input should be less" in asked.output) == (2, True), (
        asked.output
    )
    shown = CliRunner().invoke(main, [*command.split(), "--help"]).output
    assert ("--max-rejected" in shown, "refused" in shown) == (True, False)


def test_errors_of_this_project_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, and what to do."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "user:secret@127.0.0.1:5000")
    result = CliRunner().invoke(main, ["registry", "list"])
    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: MLFLOW_TRACKING_URI is '127.0.0.1:5000', which is not the address"
    )
    assert "secret" not in result.output


def test_data_writes_any_arrays_and_pictures_as_parquet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a download, as the message of a failed one advises."""
    monkeypatch.setattr("digits.training.as_parquet.KINDS", {"grey_28": KINDS["grey_28"]})
    images, labels = np.zeros((20, *SHAPE), np.uint8), np.arange(20) % 10
    for name in ("some", "pictures"):
        np.savez(tmp_path / f"{name}.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)

    def run(name: str) -> Result:
        arguments = ["data", "--data", str(tmp_path / f"{name}.npz"), "--out", str(tmp_path / name)]
        return CliRunner().invoke(main, [*arguments, "--pictures", "1"])

    assert run("some").exit_code == 0
    written = {file.parent.relative_to(tmp_path / "some") for file in tmp_path.glob("some/**/*.parquet")}
    both = product(("some", "pictures"), ("train", "test"))
    assert written == {Path(data, part) for data, part in both} | {Path("pictures", "validation")}
    assert "rename the file" in run("pictures").output
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("command", ["golden", "report", "registry import"])
def test_data_in_memory_is_what_the_help_offers(command: str) -> None:
    """`train` also streams folders and addresses; these commands do not."""
    shown = " ".join(CliRunner().invoke(main, [*command.split(), "--help"]).output.split())
    assert "mnist, sklearn-digits or FILE.npz" in shown


@pytest.mark.parametrize(
    ("command", "module", "package"),
    [
        ("data", "digits.training.as_parquet", "pyarrow"),
        ("score scans --out scores", "digits.scoring.run", "ray"),
    ],
)
def test_a_missing_package_is_one_line(
    command: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the packages of the service are installed."""
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    asked = CliRunner().invoke(main, command.split())
    assert (asked.exit_code, len(asked.output.splitlines())) == (1, 1)
    assert f"needs the package {package}, which is not installed; run it in an environment" in asked.output
