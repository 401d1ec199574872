"""TensorFlow's lines while it is loaded stay off the terminal, unless it cannot be loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from testkit.cluster import ROOT

LOADS = "from digits.training.quiet import quiet_tensorflow; quiet_tensorflow(); import tensorflow, os; "
LOADS += "os.write(2, b'after it\\n')"
NOISE = "import os; os.write(2, b'noise of C++\\n'); "


@pytest.mark.parametrize(
    ("module", "status", "said"),
    [(NOISE, 0, "after it\n"), (NOISE + "raise ImportError('too old')", 1, "noise of C++\nTraceback")],
)
def test_lines_of_tensorflows_start_are_hidden(tmp_path: Path, module: str, status: int, said: str) -> None:
    """A stand-in that writes to the descriptor, as TensorFlow's libraries do."""
    (tmp_path / "tensorflow.py").write_text(module)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {LOADS}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(said)
