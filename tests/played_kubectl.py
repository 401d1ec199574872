"""A script that plays kubectl, for tests of the commands that call it.

The real kubectl renders overlays, for which it asks no cluster.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from testkit.cluster import ROOT
from tests.programs import require_program
from tests.rules.manifests import Object

PROGRAM = """#!{python}
import json, os, pathlib, sys
if sys.argv[1] == "kustomize":
    os.execv({real!r}, sys.argv)
folder = pathlib.Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
answers = json.loads((folder / "answers.json").read_text())
key = " ".join(sys.argv[1:])
for name, given in answers.items():
    if name in key:
        answer = given.pop(0) if len(given) > 1 else given[0]
        (folder / "answers.json").write_text(json.dumps(answers))
        if "error" in answer:
            print(answer.get("text", ""))
            print(answer["error"], file=sys.stderr)
            sys.exit(answer.get("status", 1))
        lines = (answer["text"] if "text" in answer else json.dumps(answer)).splitlines()
        (tail,) = [int(one[7:]) for one in sys.argv if one.startswith("--tail=")] or [len(lines)]
        print(*lines[-tail:], sep="\\n")
        break
"""
HURRIED = """
import runpy, sys
sys.path.insert(0, "")  # the project's folder
import kuberay.service as service
service.LOOK_EVERY_S, service.SILENT_FOR_S = 0.01, 3
wait_until = service.wait_until
service.wait_until = lambda look, within_s, for_s=0: wait_until(look, within_s / 20, for_s / 100)
_, _, module, *arguments = sys.argv
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__")
"""


def hurried(folder: Path) -> str:
    """Returns a Python, as a command, that runs kuberay/ without most of its pauses."""
    (folder / "hurried.py").write_text(HURRIED)
    return f"{sys.executable} {folder / 'hurried.py'}"


# What a test need not say: there is no RayService yet when `make deploy` begins, and no warning.
USUAL: dict[str, list[Object]] = {
    "--ignore-not-found rayservice/": [{"text": ""}],
    "get -n digits events": [{"items": []}],
}


def event(number: int, reason: str, message: str) -> Object:
    """Returns a warning of Kubernetes about a pod; another number is a repetition."""
    return {
        "metadata": {"uid": "one", "resourceVersion": str(number)},
        "involvedObject": {"kind": "Pod", "name": "digits-ab12c-head"},
        "reason": reason,
        "message": message,
    }


class Kubectl:
    """Answers a command by the first key that it contains; the last answer of a list is repeated."""

    def __init__(self, folder: Path, **answers: list[Object]) -> None:
        require_program("kubectl", "kubectl")
        self._folder = folder
        script = folder / "kubectl"
        real = str(shutil.which("kubectl"))
        script.write_text(PROGRAM.format(python=sys.executable, folder=str(folder), real=real))
        script.chmod(0o755)
        (folder / "answers.json").write_text(json.dumps(USUAL | answers))

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a target with this kubectl and without the pauses between two looks."""
        python = hurried(self._folder)
        path = {"PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}"}
        inherited = {name: value for name, value in os.environ.items() if name not in ("OVERLAY", "FORCE")}
        return subprocess.run(
            ["make", *arguments, f"PYTHON={python}"],
            cwd=ROOT, env=inherited | path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def calls(self) -> list[str]:
        """Returns the calls without those of USUAL."""
        file = self._folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        calls = [" ".join(json.loads(line)) for line in lines]
        return [call for call in calls if not any(usual in call for usual in USUAL)]
