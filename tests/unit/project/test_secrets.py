"""No log holds an image or a key; no file and no command-line flag holds a secret."""

import ast
import base64
import hashlib
import logging
import re
import subprocess
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from digits.errors import DeadlineExceeded, Overloaded, TrackingUnavailable
from digits.gateway.settings import EdgeSettings
from digits.inference.classifier import Classifier
from digits.inference.source import PROJECT
from digits.registry.address import without_password
from digits.registry.gate import GateSettings
from digits.registry.mlflow import start_run
from digits.settings import Settings
from digits.task import Images
from digits.training.settings import TrainSettings
from digits.vision.golden import golden_digits
from testkit.encodings import MANY, ONE, Body, base64_png, form, image_file, json_body
from testkit.fakes import FailingClassifier, api_of, checksum_classifier

KEY, WRONG_KEY = "open-sesame-8f1c02", "let-me-in-77aa31"
HASH = hashlib.sha256(KEY.encode()).hexdigest()
SETTINGS = EdgeSettings(max_body_bytes=100_000, api_keys_sha256=(HASH,), admin_keys_sha256=(HASH,))
WINDOW = 12  # so many equal characters in a row are no coincidence


def noisy() -> list[Images]:
    """Returns digits whose ink is noise, so that no piece of them is in a log for another reason."""
    random = np.random.default_rng(7)
    images = golden_digits()[0]
    return list(np.where(images > 0, random.integers(128, 256, images.shape), 0).astype(np.uint8))


IMAGES = noisy()


def windows(text: str) -> set[str]:
    """Returns every piece of WINDOW characters."""
    pieces = {text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1)}
    return {piece for piece in pieces if len(set(piece)) > WINDOW // 2}  # the rest is blank paper or zeros


def written_as(content: bytes) -> Iterator[str]:
    """Yields the forms in which a log line could hold bytes."""
    yield content.decode("latin-1")
    yield repr(content)[2:-1]
    yield content.hex()
    yield from (base64.b64encode(content[start:]).decode() for start in range(3))
    yield ", ".join(map(str, content))


def leaked(there: set[str], content: bytes) -> set[str]:
    """Returns the pieces of `content` among the windows of a log."""
    return {piece for text in written_as(content) for piece in windows(text) & there}


CLASSIFIERS: dict[str, Callable[[], Classifier | None]] = {
    "a good model": checksum_classifier,
    "a failing model": lambda: FailingClassifier(RuntimeError("the model broke")),
    "a slow model": lambda: FailingClassifier(DeadlineExceeded("not answered within 5 s")),
    "a full queue": lambda: FailingClassifier(Overloaded("1024 images wait")),
    "no model": lambda: None,
}
GOOD = [ONE[name](IMAGES[7]) for name in ONE] + [MANY[name](IMAGES) for name in MANY]
BAD = [
    Body(image_file(IMAGES[7])[:200], "image/png"),
    Body(image_file(IMAGES[7]), "text/plain"),
    Body(base64_png(IMAGES[7]).encode(), "image/png"),
    Body(b'{"image": "' + base64_png(IMAGES[7]).encode(), "application/json"),
    Body(b'{"image": "' + image_file(IMAGES[7]) + b'"}', "application/json"),
    Body(form(image_file(IMAGES[7])).content, "multipart/form-data; boundary=another"),
    Body(IMAGES[7].tobytes()[:-3], "application/octet-stream"),
    json_body({"image": base64_png(IMAGES[7])[:-3]}),
    json_body({"image": base64_png(IMAGES[7]), "name": "a patient's name"}),
    json_body({"pixels": [IMAGES[7].tolist()[:27]]}),
    json_body({"pixels": ["a patient's name", *IMAGES[7].ravel().tolist()]}),
    form(image_file(IMAGES[7]), text_field="a patient's name"),
    Body(
        b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n'
        b"Content-Transfer-Encoding: a patient's name\r\n\r\nx\r\n--x--",
        "multipart/form-data; boundary=x",
    ),
]
HEADERS = [
    {"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {"X-API-Key": WRONG_KEY}, {"X-API-Key": HASH},
    {"Authorization": f"Basic {WRONG_KEY}"}, {},
]  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_no_log_line_holds_an_image_a_body_or_a_key(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    classifier = CLASSIFIERS[name]()
    app = api_of(classifier, SETTINGS)
    answers = set()
    with TestClient(app, raise_server_exceptions=False) as client:
        for body in GOOD + BAD:
            typed = {"Content-Type": body.content_type} if body.content_type else {}
            for headers in HEADERS if body in (GOOD[0], BAD[0]) else HEADERS[:1]:
                answers.add(
                    client.post("/predict", content=body.content, headers=headers | typed).status_code
                )
                client.post("/admin/reload", headers=headers)
                client.post("/predict", content=body.content, headers=headers | {"Host": ""})
    assert {401, 403} <= answers
    printed = "".join(capfd.readouterr())
    log = caplog.text + printed + "".join(str(record.__dict__) for record in caplog.records)
    assert "POST" in log, "nothing was captured"
    assert ("the model broke" in log) == (name == "a failing model")
    assert [secret for secret in (KEY, WRONG_KEY, HASH, "a patient's name") if secret in log] == []
    pixels = [Body(image.tobytes(), None) for image in IMAGES]
    there = windows(log)
    found = {piece for body in GOOD + BAD + pixels for piece in leaked(there, body.content)}
    assert found - HARMLESS == set()


# Words of HTTP that bodies and log lines share.
HARMLESS = windows("Content-Disposition: form-data; name=") | windows("multipart/form-data; boundary=")


@pytest.mark.parametrize("line", list(written_as(image_file(IMAGES[7]))))
def test_a_log_line_with_a_piece_of_an_image_would_be_found(line: str) -> None:
    there = windows(f"request failed body={line[100:140]} status=500")
    assert leaked(there, image_file(IMAGES[7]))


def test_printed_settings_show_no_key_hash() -> None:
    assert HASH not in f"{SETTINGS!r} {SETTINGS}"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:pass@mlflow:5000/a", "http://mlflow:5000/a"),
        ("postgresql+psycopg://ann:p@ss:1@db/mlflow", "postgresql+psycopg://db/mlflow"),
        ("http://token@mlflow", "http://mlflow"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:////srv/a@b/mlflow.db", "sqlite:////srv/a@b/mlflow.db"),
    ],
)
def test_the_address_of_mlflow_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert without_password(uri) == shown


def test_an_unreachable_mlflow_is_named_without_its_password() -> None:
    """The text is in logs, and public in /readyz."""
    with pytest.raises(TrackingUnavailable, match=r"at http://127\.0\.0\.1:1 does not answer") as caught:
        start_run("http://ann:pa55word@127.0.0.1:1", "any", {}, {})
    assert "pa55word" not in str(caught.value)


SECRET_NAME = re.compile(r"(?i)(pass(word|wd)?|secret|token|api_?key|credential)s?$")
# A telling name with a literal value of some length; a private key; the tokens of well-known hosts.
SECRET = re.compile(
    r"""(?ix)
    \b[\w-]*(?:password|passwd|secret|token|api[_-]?key|credential)s?["']?[^\S\n]*[:=][^\S\n]*["']?(?P<value>[^\s"',;)}\]]{8,})
    | -----BEGIN[ A-Z]*PRIVATE\ KEY-----
    | \bgh[pousr]_[A-Za-z0-9]{30,} | \bAKIA[0-9A-Z]{16}\b | \bxox[abpr]-[\w-]{20,} | \bhf_[A-Za-z0-9]{30,}
    | \beyJ[\w-]{20,}\.eyJ[\w-]{20,}
    | ://[^/\s:@"']+:[^/\s:@"'{]+@[\w.-]+
    """
)
# Values that are no secrets: a call, a variable, a name, a type.
CODE = re.compile(r"""[({\[$<]|^[A-Za-z_.]+$""")


def secrets_in(text: str) -> list[str]:
    return [
        match[0] for match in SECRET.finditer(text) if not (match["value"] and CODE.search(match["value"]))
    ]


@pytest.mark.parametrize(
    "text",
    [
        'password = "hunter2hunter2"', "API_KEY=abcd1234efgh", "MLFLOW_TRACKING_PASSWORD: 's3cr3t-value'",
        '{"token": "0123456789abcdef"}', "-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1" * 18, "http://ann:" + "pa55@host/", "hf_" + "aB3" * 12,
    ],
)  # fmt: skip
def test_a_secret_in_a_file_would_be_found(text: str) -> None:
    assert secrets_in(text)


def test_no_tracked_file_holds_a_secret() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    found = {}
    for name in filter(None, listed.stdout.split("\0")):
        if name == "tests/unit/project/test_secrets.py" or not (PROJECT / name).is_file():
            continue
        try:
            text = (PROJECT / name).read_text()
        except UnicodeDecodeError:
            continue
        if lines := secrets_in(text):
            found[name] = lines
    assert found == {}


def test_the_names_of_tracked_files_are_not_those_of_secrets() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True)
    names = re.compile(
        r"(^|/)(\.env|id_rsa|id_ed25519|.*\.(pem|key|p12|pfx|kdbx)|credentials|\.netrc|\.pypirc)$"
    )
    assert [name for name in listed.stdout.split() if names.search(name)] == []


@pytest.mark.parametrize("settings", [TrainSettings, GateSettings])
def test_no_flag_takes_a_secret(settings: type[Settings]) -> None:
    """Every user of a machine can read the command lines of its processes."""
    assert [name for name in settings.model_fields if SECRET_NAME.search(name)] == []


def test_no_parser_takes_a_key_or_a_secret() -> None:
    """The settings with keys never become flags, and no flag is named like a secret."""
    flagged, named = set(), set()
    for file in (
        *(PROJECT / "digits").rglob("*.py"),
        *(PROJECT / "benchmarks").glob("*.py"),
        PROJECT / "train_ray.py",
    ):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func).split(".")[-1]
            if name == "settings_flags":
                flagged |= {ast.unparse(argument) for argument in call.args}
            elif name in ("add_argument", "option"):
                named |= {str(ast.literal_eval(one)) for one in call.args if isinstance(one, ast.Constant)}
    assert {"TrainSettings", "GateSettings"} <= flagged
    assert "EdgeSettings" not in flagged
    assert [name for name in named if SECRET_NAME.search(name.replace("-", "_"))] == []
