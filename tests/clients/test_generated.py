"""The OpenAPI document is valid, and clients that are generated from it compile and predict."""

import json
from pathlib import Path

import httpx2
import pytest

from digits.http.examples import examples
from digits.http.schemas import EXAMPLE as DIGIT
from tests.programs import CLIENTS, ROOT, run

ROWS = examples()["predict"]["grey levels"]["pixels"]
TYPESCRIPT = ROOT / "tests" / "clients" / "typescript"


@pytest.fixture
def document(service: str, tmp_path: Path) -> Path:
    file = tmp_path / "openapi.json"
    file.write_bytes(httpx2.get(f"{service}/openapi.json").raise_for_status().content)
    return file


def program(name: str) -> str:
    return str(CLIENTS / "bin" / name)


def test_the_document_is_valid(document: Path) -> None:
    assert "OK" in run(program("openapi-spec-validator"), str(document))


def test_a_generated_python_client_predicts(service: str, document: Path, tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    run(
        program("openapi-python-client"), "generate", "--path", str(document), "--meta", "none",
        "--output-path", str(folder),
    )  # fmt: skip
    run(program("python"), "-m", "compileall", "-q", str(folder))
    ask = ROOT / "tests" / "clients" / "python_client.py"
    answer = json.loads(run(program("python"), str(ask), service, json.dumps(ROWS), path=tmp_path))
    codes = ["body_invalid", "body_invalid"]
    assert answer == {"digit": DIGIT, "many": 2, "label": [DIGIT], "codes": codes}


def test_a_generated_typescript_client_predicts(service: str, document: Path, tmp_path: Path) -> None:
    for file in (*TYPESCRIPT.glob("*.ts"), TYPESCRIPT / "tsconfig.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    node = tmp_path / "node_modules" / ".bin"
    run(str(node / "openapi-typescript"), str(document), "-o", "schema.d.ts", cwd=tmp_path)
    run(str(node / "tsc"), "--project", ".", cwd=tmp_path)
    answer = json.loads(run("node", "main.js", service, json.dumps(ROWS), cwd=tmp_path))
    assert answer == {"digit": DIGIT, "saw": ROWS[0][0], "label": DIGIT, "code": "body_invalid"}
