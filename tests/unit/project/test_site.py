"""The documents make a site: strictly, without a network, with every link inside it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from project.documents import DOCS, ROOT
from project.site import linked_files, page_of, place_of, target_of, with_site_links
from tests.programs import skip_or_fail

MKDOCS = ROOT / ".docs" / "bin" / "python"
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it; a warning of MkDocs is an error, unless --quiet hides it."""
    if not MKDOCS.exists():
        skip_or_fail("docs", "MkDocs is missing; `make docs` installs it")
    folder = tmp_path_factory.mktemp("site")
    command = [str(MKDOCS), "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | NO_NETWORK,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_document_and_linked_file_has_a_page(site: Path) -> None:
    pages = [file.relative_to(DOCS).with_suffix("").as_posix() for file in DOCS.rglob("*.md")]
    pages = [name.replace("README", "index") for name in pages]
    pages += ["root/index", "root/SECURITY", "kuberay/index", "source/digits/task.py"]
    assert [page for page in pages if not (site / f"{page}.html").exists()] == []
    assert "LABELS" in (site / "source" / "digits" / "task.py.html").read_text()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """A reader without a network sees the same; links that are clicked may lead elsewhere."""
    for page in [site / "index.html", site / "runbook.html"]:
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(http[^"]+)"', page.read_text()
        )
        assert loaded == []


def test_links_of_the_repository_become_links_of_the_site() -> None:
    assert place_of("docs/tutorial.md") == "tutorial.md"
    assert place_of("README.md") == "root/README.md"
    assert place_of("kuberay/README.md") == "kuberay/README.md"
    assert target_of("../digits/http/", "docs/architecture.md") == "digits/http/__init__.py"
    text = "[a](../app.py), [b](scaling.md#autoscaling), [c](https://x.example/a.py), [d](#here)"
    assert with_site_links(text, "docs/architecture.md") == (
        "[a](source/app.py.md), [b](scaling.md#autoscaling), [c](https://x.example/a.py), [d](#here)"
    )
    assert with_site_links("![a](docs/seven.png)", "README.md") == "![a](../seven.png)"


def test_a_linked_file_is_shown_and_a_folder_listed() -> None:
    assert "app.py" in linked_files()
    assert page_of("app.py").startswith("# app.py\n\n`````python\n")
    assert "- `unit`" in page_of("tests")
