"""Files are UTF-8 whatever the locale is: Python 3.11 to 3.14 would take the locale's encoding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SCRIPTS = {
    "pages": """
from digits.http.page import page_of
for name in ("page.html", "reference.html"):
    assert set("\\u2013\\u2026") & set(page_of(name).body.decode()), name
""",
    "a manifest": """
from digits.models.manifest import read_manifest, write_manifest
made = read_manifest(ROOT / "models" / "starter").model_copy(update={"data": "donn\\u00e9es"})
write_manifest(HERE, made)
assert read_manifest(HERE) == made
""",
    "a trial": """
from digits.search.records import Records, Trial
records = Records(HERE)
records.begin({"data": "donn\\u00e9es"})
trial = Trial(number=0, values={}, error="donn\\u00e9es")
records.write(trial)
assert records.read() == {0: trial}
records.check({"data": "donn\\u00e9es"})
""",
    "a space": """
from digits.search.space import load_space
from digits.training.settings import TrainSettings
(HERE / "space.toml").write_bytes("dropout = {choices = [0.1, 0.2]}  # donn\\u00e9es".encode())
assert list(load_space(str(HERE / "space.toml"), TrainSettings())) == ["dropout"]
""",
    "a configuration": """
from digits.local.config import read_config
(HERE / "a.yaml").write_bytes("# donn\\u00e9es\\n".encode() + (ROOT / "serve_config.yaml").read_bytes())
assert read_config(HERE / "a.yaml", None)
""",
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_text_is_utf8_in_any_locale(what: str, tmp_path: Path) -> None:
    script = f"from pathlib import Path\nHERE, ROOT = Path({str(tmp_path)!r}), Path({str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", script + SCRIPTS[what]],
        cwd=ROOT, env=os.environ | ASCII, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
